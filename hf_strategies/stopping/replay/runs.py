"""Past runs, read from `trainer_state.json`, and what stop settings would have done to them."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from hf_strategies.errors import StrategyError, did_you_mean, short
from hf_strategies.stopping.condition import WatchedMetric
from hf_strategies.stopping.evaluation_log import EvaluationLog, GrowingSeries
from hf_strategies.stopping.history import Evaluation, Usage, evaluations, last_step, training_log
from hf_strategies.stopping.metric import Metric
from hf_strategies.stopping.replay.settings import Setting
from hf_strategies.stopping.replay.state import check_state
from hf_strategies.stopping.rule import Judgement
from hf_strategies.values import is_number

__all__ = ["Outcome", "PastRun", "refuse_missing", "replay"]

_SUFFIXES_OF_NO_METRIC = ("_runtime", "_per_second", "_preparation_time")


@dataclass(frozen=True)
class PastRun:
    """A run that has ended: its log, the optimizer steps that it made, and the steps that were planned.

    ``usage`` is what training had used up at its evaluations, which only a run with a budget records.
    """

    name: str
    log_history: Sequence[Mapping[str, Any]]
    steps: int
    planned_steps: int | None = None
    usage: Usage | None = None

    @classmethod
    def of_state(cls, name: str, state: Any) -> "PastRun":
        """Read the content of a `trainer_state.json`, up to the end of training (see `training_log`).

        Raises `StrategyError` for anything else.

        >>> PastRun.of_state("a", {"log_history": [{"eval_loss": 2.0, "step": 5}], "max_steps": 9}).complete
        False
        """
        check_state(name, state)
        return cls(name, training_log(state), last_step(state), state.get("max_steps") or None, _usage(state))

    @property
    def complete(self) -> bool:
        """Whether the run is known to have made all of its planned steps."""
        return self.planned_steps is not None and self.steps >= self.planned_steps

    @cached_property
    def metrics(self) -> list[str]:
        """The names of the metrics that its evaluations logged."""
        kinds = dict.fromkeys(map(tuple, self.log_history))  # few, because most entries have the same keys
        keys = dict.fromkeys(key for kind in kinds for key in kind if key.startswith("eval_"))
        return [key for key in keys if not key.endswith(_SUFFIXES_OF_NO_METRIC)]

    @cached_property
    def odd_values(self) -> dict[str, tuple[int, Any]]:
        """The first value of each metric that is no number, with its step: such a metric cannot be judged."""
        odd: dict[str, tuple[int, Any]] = {}
        for entry in self.log_history:
            for key, value in entry.items():
                if type(value) is not float and key.startswith("eval_") and not is_number(value):
                    odd.setdefault(key, (entry.get("step", 0), value))
        return odd


@dataclass(frozen=True)
class Outcome:
    """What one setting would have done to one run, with the best weights restored at the end.

    ``first`` is the first finite value, ``best_of_run`` the best of all recorded evaluations, and ``secondary`` the
    value of another metric at the evaluation that is ``kept``.
    """

    run: PastRun
    setting: Setting
    judgement: Judgement
    first: float | None
    best_of_run: Evaluation | None
    secondary: float | None = None

    @property
    def stop(self) -> Evaluation | None:
        """The evaluation at which training would have stopped, if any."""
        return self.judgement.stop

    @property
    def ran_on(self) -> bool:
        """Whether training would have gone on beyond the log, because the run ended before its planned steps."""
        return self.stop is None and not self.run.complete

    @property
    def kept(self) -> Evaluation | None:
        """The evaluation whose weights are restored: the best up to the stop, with the value that is not smoothed."""
        return self.judgement.best

    @property
    def saved(self) -> float:
        """The share of the run's optimizer steps that the stop saves, 1 - stop / steps; 0 without a stop."""
        return 1.0 - self.stop.step / self.run.steps if self.stop else 0.0

    @property
    def regret(self) -> float | None:
        """By how much the kept value is worse than the best of the run, in the metric's unit."""
        if self.kept is None or self.best_of_run is None:
            return None
        return abs(self.kept.value - self.best_of_run.value)

    @property
    def given_up(self) -> float | None:
        """The regret as a share of what the run gained, for means over runs whose metrics differ in scale.

        min(1, |k - b| / |f - b|), where k is the ``kept`` value, b that of ``best_of_run`` and f is ``first``. The
        share is 0 if the best of the run is kept, and 1 if the kept value is no better than the first or nothing is
        kept. Values that explode late in the run do not make the share smaller. Where f = b it is 0 if k = b, else
        1. None: no value was finite.
        """
        if self.best_of_run is None or self.first is None:
            return None
        if self.regret == 0.0:
            return 0.0
        gain = abs(self.first - self.best_of_run.value)
        return 1.0 if self.regret is None or self.regret >= gain else self.regret / gain


def replay(runs: Sequence[PastRun], settings: Sequence[Setting], *, secondary: str | None = None) -> list[Outcome]:
    """Judge each of ``runs`` under each of ``settings``; all outcomes of the first run come first.

    ``secondary`` is another metric, which is read at the evaluation that is kept. Raises `StrategyError` for a run
    that lacks a metric or has fewer than two evaluations, and for a budget whose resource the run did not record.

    >>> from hf_strategies.stopping.replay.settings import grid
    >>> log = [{"eval_loss": loss, "step": step} for loss, step in ((0.5, 10), (0.4, 20), (0.6, 30), (0.7, 40))]
    >>> run = PastRun("a", log, steps=40, planned_steps=40)
    >>> outcomes = replay([run], grid("loss", patience=[1, 2, 3]))
    >>> [(outcome.stop and outcome.stop.step, outcome.saved) for outcome in outcomes]
    [(30, 0.25), (40, 0.0), (None, 0.0)]
    """
    metric = None if secondary is None else Metric.read(secondary)
    return [outcome for run in runs for outcome in _outcomes(run, settings, metric)]


def refuse_missing(run: PastRun, metric: Metric) -> None:
    """Raise `StrategyError` if a run has no evaluation, or never logged one of the names that the metric needs."""
    if not run.metrics:
        raise StrategyError(f"{run.name} has no evaluation in its log: only a run that evaluated can be replayed")
    for name in metric.names:
        if name not in run.metrics:
            near = did_you_mean(name.removeprefix("eval_"), [each.removeprefix("eval_") for each in run.metrics])
            raise StrategyError(f"{run.name} has no {name!r} in its log: {near}")
        if name in run.odd_values:
            step, value = run.odd_values[name]
            shown = "a whole number of over 300 digits" if type(value) is int else f"{short(repr(value))}, no number"
            raise StrategyError(f"{run.name} has {name}={shown} at step {step}: log a number, or another metric")


def _outcomes(run: PastRun, settings: Sequence[Setting], secondary: Metric | None) -> list[Outcome]:
    """Return the outcome of each setting for one run."""
    watched = settings[0].rule.watched
    for metric in (watched.metric, *(() if secondary is None else (secondary,))):
        refuse_missing(run, metric)
    logs = _Logs(run)
    log = logs.of(watched, watched.metric.names)
    first, best = _first_and_best(run, log.series(watched.metric, watched.mode).evaluations, watched)
    secondary_at = (
        {each.step: each.value for each in evaluations(run.log_history, secondary.text)} if secondary else {}
    )
    outcomes = []
    for setting in settings:
        judgement = _judge(run, setting, logs)
        value = secondary_at.get(judgement.best.step) if judgement.best else None
        outcomes.append(Outcome(run, setting, judgement, first, best, value))
    return outcomes


class _Logs:
    """The evaluations of a run, which are read once for all settings that need the same metrics."""

    def __init__(self, run: PastRun) -> None:
        self._run = run
        self._logs: dict[tuple[str, ...], tuple[EvaluationLog, GrowingSeries]] = {}

    def of(self, watched: WatchedMetric, names: tuple[str, ...]) -> EvaluationLog:
        """Return the evaluations that have all of ``names``."""
        if names not in self._logs:
            log = EvaluationLog(names, self._run.usage, self._run.planned_steps)
            log.read(self._run.log_history)
            self._logs[names] = (log, watched.series(log))  # the log itself does not keep its series
        return self._logs[names][0]


def _first_and_best(
    run: PastRun, history: Sequence[Evaluation], watched: WatchedMetric
) -> tuple[float | None, Evaluation | None]:
    """Return the first finite value and the best evaluation of a run."""
    if len(history) < 2:
        count = f"{len(history)} evaluation{'' if len(history) == 1 else 's'} of {watched.metric.text}"
        raise StrategyError(f"{run.name} has {count}: a replay takes 2 or more")
    finite = [each for each in history if math.isfinite(each.value)]
    if not finite:
        return None, None
    return finite[0].value, min(finite, key=lambda each: each.value if watched.mode == "min" else -each.value)


def _judge(run: PastRun, setting: Setting, logs: _Logs) -> Judgement:
    """Judge a run; an error names the run and the setting."""
    for name in setting.rule.names:
        refuse_missing(run, Metric(name, (name,)))
    for resource, limit in setting.rule.budgets:
        if not any((run.usage or {}).get(resource, {}).values()):
            raise StrategyError(
                f"{run.name}, {setting}: a budget of {limit:g} {resource} cannot be judged, because the run"
                " did not record what it had used up: replay it without the budget"
            )
    try:
        return setting.rule.judge_evaluations(logs.of(setting.rule.watched, setting.rule.names))
    except StrategyError as mistake:
        raise StrategyError(f"{run.name}, {setting}: {mistake}") from None


def _usage(state: Mapping[str, Any]) -> Usage | None:
    """Return what training had used up at each step, from the records of the callbacks in a Trainer's state.

    Where several callbacks have recorded a resource, the record with the most steps counts.
    """
    usage: dict[str, Mapping[str, float]] = {}
    for record in (state.get("stateful_callbacks") or {}).values():
        recorded = record.get("usage") if isinstance(record, Mapping) else None
        for resource, used in (recorded or {}).items():
            usage[resource] = max(used, usage.get(resource, {}), key=len)
    return usage or None
