"""What stop settings would have done to past runs, as pure functions of what `trainer_state.json` holds."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from hf_strategies.errors import StrategyError, did_you_mean
from hf_strategies.stopping.history import Evaluation, Usage, evaluations, last_step, training_log
from hf_strategies.stopping.metric import Direction, Metric
from hf_strategies.stopping.replay.settings import Setting
from hf_strategies.stopping.rule import Judgement

__all__ = ["Outcome", "PastRun", "refuse_missing", "replay"]

_NOT_METRICS = ("_runtime", "_per_second", "_preparation_time")


@dataclass(frozen=True)
class PastRun:
    """A run as the Trainer left it: its log, the optimizer steps it made, and how many it was planned to make.

    ``usage`` is what training had used up at its evaluations, recorded by a run with a budget.
    """

    name: str
    log_history: Sequence[Mapping[str, Any]]
    steps: int
    planned_steps: int | None = None
    usage: Usage | None = None

    @classmethod
    def of_state(cls, name: str, state: Any) -> "PastRun":
        """Read the mapping that `trainer_state.json` holds, as far as it is of training (see `training_log`).

        Raises `StrategyError` for what is none.

        >>> PastRun.of_state("a", {"log_history": [{"eval_loss": 2.0, "step": 5}], "max_steps": 9}).complete
        False
        """
        log = state.get("log_history") if isinstance(state, Mapping) else None
        if not isinstance(log, list) or not all(isinstance(entry, Mapping) for entry in log):
            raise StrategyError(f"{name} has no log_history: give a trainer_state.json as the Trainer writes it")
        for holder, key in ((state, "global_step"), *((entry, "step") for entry in log)):
            _steps(name, holder, key)
        planned = _steps(name, state, "max_steps") or None
        return cls(name, training_log(state), last_step(state), planned, _usage(state))

    @property
    def complete(self) -> bool:
        """Whether it is known to have made all of its planned steps."""
        return self.planned_steps is not None and self.steps >= self.planned_steps

    @cached_property
    def metrics(self) -> list[str]:
        """The names of the metrics that its evaluations logged."""
        keys = dict.fromkeys(key for entry in self.log_history for key in entry if key.startswith("eval_"))
        return [key for key in keys if not key.endswith(_NOT_METRICS)]


@dataclass(frozen=True)
class Outcome:
    """What one setting would have done to one run, its best weights restored at the end.

    ``best_of_run`` is the best evaluation of all that are recorded, ``first`` the first value that is finite,
    ``secondary`` the value of another metric at the evaluation that is kept.
    """

    run: PastRun
    setting: Setting
    judgement: Judgement
    first: float | None
    best_of_run: Evaluation | None
    secondary: float | None = None

    @property
    def stop(self) -> Evaluation | None:
        """The evaluation at which training would have stopped."""
        return self.judgement.stop

    @property
    def ran_on(self) -> bool:
        """Whether it would have trained on beyond what is recorded, of a run that ended before its planned steps."""
        return self.stop is None and not self.run.complete

    @property
    def kept(self) -> Evaluation | None:
        """The evaluation whose weights are kept: the best up to the stop; its value is the metric's, not smoothed."""
        return self.judgement.best

    @property
    def saved(self) -> float:
        """The share of the run's optimizer steps that were not needed, 1 - stop / steps; 0 without a stop."""
        return 1.0 - self.stop.step / self.run.steps if self.stop else 0.0

    @property
    def regret(self) -> float | None:
        """By how much the kept value is worse than the best one recorded, in the metric's unit."""
        if self.kept is None or self.best_of_run is None:
            return None
        return abs(self.kept.value - self.best_of_run.value)

    @property
    def given_up(self) -> float | None:
        """The regret as a share of what the run gained, for means over runs whose metrics differ in scale.

        min(1, |k - b| / |f - b|), with k the ``kept`` value, b that of ``best_of_run`` and f ``first``: 0 where
        the run's best is kept, 1 where nothing better than the first value is, or nothing is kept. A metric that
        explodes late does not shrink it. Where f = b it is 0 if k = b, else 1. None: no value was ever finite.
        """
        if self.best_of_run is None or self.first is None:
            return None
        if self.regret == 0.0:
            return 0.0
        gain = abs(self.first - self.best_of_run.value)
        return 1.0 if self.regret is None or self.regret >= gain else self.regret / gain


def replay(runs: Sequence[PastRun], settings: Sequence[Setting], *, secondary: str | None = None) -> list[Outcome]:
    """Judge each of ``runs`` under each of ``settings``: all settings of the first run, then of the second, ...

    ``secondary`` is a further metric to read at the evaluation that is kept. Raises `StrategyError` for a run that
    lacks a metric or has fewer than two evaluations, and for a budget of which the run recorded no use.

    >>> from hf_strategies.stopping.replay.settings import grid
    >>> log = [{"eval_loss": loss, "step": step} for loss, step in ((0.5, 10), (0.4, 20), (0.6, 30), (0.7, 40))]
    >>> run = PastRun("a", log, steps=40, planned_steps=40)
    >>> [(one.stop and one.stop.step, one.saved) for one in replay([run], grid("loss", patience=[1, 2, 3]))]
    [(30, 0.25), (40, 0.0), (None, 0.0)]
    """
    others = None if secondary is None else Metric.read(secondary)
    return [outcome for run in runs for outcome in _replay_one(run, settings, others)]


def refuse_missing(run: PastRun, metric: Metric) -> None:
    """Raise `StrategyError` if a run has no evaluation, or one of the metric's names was never logged."""
    if not run.metrics:
        raise StrategyError(f"{run.name} has no evaluation in its log: only a run that evaluated can be replayed")
    for name in metric.names:
        if name not in run.metrics:
            near = did_you_mean(name.removeprefix("eval_"), [each.removeprefix("eval_") for each in run.metrics])
            raise StrategyError(f"{run.name} has no {name!r} in its log: {near}")


def _replay_one(run: PastRun, settings: Sequence[Setting], secondary: Metric | None) -> list[Outcome]:
    watched = settings[0].rule.watched
    for metric in (watched.metric, *(() if secondary is None else (secondary,))):
        refuse_missing(run, metric)
    first, best = _first_and_best(run, watched.metric, watched.mode)
    others = {one.step: one.value for one in _history(run, secondary)} if secondary else {}
    found = []
    for setting in settings:
        judgement = _judge(run, setting)
        other = others.get(judgement.best.step) if judgement.best else None
        found.append(Outcome(run, setting, judgement, first, best, other))
    return found


def _first_and_best(run: PastRun, metric: Metric, mode: Direction) -> tuple[float | None, Evaluation | None]:
    history = _history(run, metric)
    if len(history) < 2:
        count = f"{len(history)} evaluation{'' if len(history) == 1 else 's'} of {metric.text}"
        raise StrategyError(f"{run.name} has {count}: a replay takes 2 or more")
    finite = [each for each in history if math.isfinite(each.value)]
    if not finite:
        return None, None
    return finite[0].value, min(finite, key=lambda each: each.value if mode == "min" else -each.value)


def _history(run: PastRun, metric: Metric) -> list[Evaluation]:
    return evaluations(run.log_history, metric.text)


def _judge(run: PastRun, setting: Setting) -> Judgement:
    for name in setting.rule.names:
        refuse_missing(run, Metric(name, (name,)))
    for resource, limit in setting.rule.budgets:
        if not any((run.usage or {}).get(resource, {}).values()):
            raise StrategyError(
                f"{run.name}, {setting}: a budget of {limit:g} {resource} cannot be judged, because the run"
                " did not record what it had used up: replay it without the budget"
            )
    try:
        return setting.rule.judge(run.log_history, usage=run.usage, total_steps=run.planned_steps)
    except StrategyError as mistake:
        raise StrategyError(f"{run.name}, {setting}: {mistake}") from None


def _steps(name: str, entry: Mapping[str, Any], key: str) -> int:
    steps = entry.get(key, 0)
    if isinstance(steps, bool) or not isinstance(steps, int):
        raise StrategyError(f"{name} has {key}={steps!r}, no number of steps: give a file as the Trainer writes it")
    return max(steps, 0)


def _usage(state: Mapping[str, Any]) -> Usage | None:
    """The longest of the usage that stopping callbacks recorded, each with what was used up at each step."""
    found: dict[str, Mapping[str, float]] = {}
    for record in (state.get("stateful_callbacks") or {}).values():
        recorded = record.get("usage") if isinstance(record, Mapping) else None
        for name, used in (recorded or {}).items():
            found[name] = max(used, found.get(name, {}), key=len)
    return found or None
