"""Any run of the Trainer, read from its `trainer_state.json`: curves, best values, cost, settings, and its end."""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from hf_strategies.errors import StrategyError
from hf_strategies.report.run.ending import End, end_of
from hf_strategies.report.run.rates import PlannedRates, planned_group_rates, sampled
from hf_strategies.report.run.recorded_run import RecordedRun
from hf_strategies.report.run.thinning import Point, finite
from hf_strategies.schedules import Schedule
from hf_strategies.stopping.history import Evaluation, evaluations
from hf_strategies.stopping.metric import Direction, Metric, direction
from hf_strategies.stopping.replay.runs import PastRun, refuse_missing
from hf_strategies.stopping.results import (
    EARLY_STOPPING,
    PLATEAU_COOLDOWN,
    REDUCE_ON_PLATEAU,
    WEIGHT_AVERAGING,
    records_of,
)
from hf_strategies.values import is_number

__all__ = ["Best", "LoggedRun", "RateLine"]

# What a record needs for the report. Another package may have a record of the same name.
_NEEDED: dict[str, dict[str, Any]] = {
    EARLY_STOPPING: {"monitor": str, "stopped": bool, "reason": str},
    PLATEAU_COOLDOWN: {
        "monitor": str,
        "stopped": bool,
        "reason": str,
        "phase": str,
        "trigger": str,
        "cooldown_start": int,
        "cooldown_end": int,
        "drops": list,
    },
}
_ENTRY = ("step", "epoch", "loss", "total_flos")
_OUR_GROUPS = "learning_rate/"
_GROUP_RATES = ("learning_rate_", "learning_rate/", "lr/", "lr-", "lr_group")
_SUMMARY = ("train_runtime", "train_loss", "train_samples_per_second", "train_steps_per_second")


@dataclass(frozen=True)
class Best:
    """The best evaluation of a metric."""

    step: int
    epoch: float
    value: float


@dataclass(frozen=True)
class RateLine:
    """The learning rate of a parameter group, or a part of it; the dots of a line that is not exact were logged."""

    name: str
    points: tuple[Point, ...]
    is_exact: bool


@dataclass(frozen=True)
class LoggedRun:
    """A run as its state tells it; ``recorded`` has the records of our callbacks, where there are any.

    ``monitor`` is the metric to look at, by its name in the log: the one asked for, else the one of a record, else
    the validation loss, else the first metric. It is None if nothing was evaluated. ``mode`` is its direction, None
    if that is not known.
    """

    past: PastRun
    recorded: RecordedRun
    state: Mapping[str, Any]
    monitor: str | None
    mode: Direction | None
    settings: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of_state(
        cls,
        name: str,
        state: Any,
        *,
        monitor: str | None = None,
        mode: str | None = None,
        asked: tuple[Schedule, float] | None = None,
        settings: Mapping[str, str] | None = None,
    ) -> "LoggedRun":
        """Read the content of a `trainer_state.json`; raise `StrategyError` for what no Trainer writes.

        ``monitor`` and ``mode`` are a metric and its direction, as a user gives them. A run that lacks that metric,
        or whose metric is of unknown direction, is a mistake if it was asked for. ``asked`` is the schedule that the
        run was asked for with its peak, and ``settings`` are settings that the state does not have, where they are
        known.

        >>> log = [{"eval_loss": 0.5, "step": 3}, {"eval_loss": 0.4, "step": 6}]
        >>> run = LoggedRun.of_state("a", {"log_history": log, "max_steps": 6})
        >>> run.best("eval_loss")
        Best(step=6, epoch=0.0, value=0.4)
        """
        past = PastRun.of_state(name, state)
        sound = {**state, "stateful_callbacks": _sound_records(state.get("stateful_callbacks"))}
        recorded, more = RecordedRun.of_state(sound, asked), dict(settings or {})
        if monitor is not None:
            metric = Metric.read(monitor)
            refuse_missing(past, metric)
            return cls(past, recorded, sound, metric.text, _direction(monitor, mode), more)
        found = _own_monitor(past, recorded)
        return cls(past, recorded, sound, found, _recorded_mode(recorded) or _known(found, mode), more)

    @property
    def name(self) -> str:
        """The name of the run, as the user gave it."""
        return self.past.name

    @property
    def steps(self) -> int:
        """The optimizer steps that it made."""
        return self.past.steps

    @property
    def epochs(self) -> float | None:
        """The epochs that it made; None if none was logged."""
        epochs = [entry["epoch"] for entry in self.past.log_history[-5:] if is_number(entry.get("epoch"))]
        return max(epochs, default=None)

    @property
    def seconds(self) -> float | None:
        """The wall time of training in seconds: all that was logged, or what a callback has recorded."""
        logged = [entry["train_runtime"] for entry in self._summaries if is_number(entry["train_runtime"])]
        used = (self.past.usage or {}).get("seconds", {}).values()
        return math.fsum(logged) if logged else max(used, default=None)

    @property
    def flops(self) -> float | None:
        """The floating-point operations of training, as the Trainer estimates them; None if it did not."""
        given = [each.get("total_flos") for each in (self.state, *self._summaries)]
        return max((float(each) for each in given if each and is_number(each)), default=None)

    @cached_property
    def end(self) -> End:
        """How it ended."""
        return end_of(self.past, self.recorded, self.state)

    @cached_property
    def metrics(self) -> list[str]:
        """The metrics of its evaluations that are numbers, the watched one first, without standard errors."""
        own = [name for name in self.past.metrics if name not in self.past.odd_values]
        shown = [name for name in own if not name.endswith("_stderr")]
        first = [self.monitor] if self.monitor is not None else []
        return list(dict.fromkeys([*first, *shown]))

    def evaluations(self, metric: str) -> Sequence[Evaluation]:
        """The evaluations of a metric, or of an expression of metrics; none if the run did not log it."""
        if metric != self.monitor and metric not in self.past.metrics:
            return []
        if metric not in self._evaluations:
            self._evaluations[metric] = evaluations(self._evaluated, self.metric_text(metric))
        return self._evaluations[metric]

    def metric_text(self, metric: str) -> str:
        """A metric as `Metric.read` takes it: a name of the log in quotes if it would be an expression otherwise."""
        with suppress(StrategyError):
            if metric not in self.past.metrics or Metric.read(metric).names == (metric,):
                return metric
        return repr(metric)

    def direction(self, metric: str) -> Direction | None:
        """Whether lower or higher is better; None if that is not known."""
        return self.mode if metric == self.monitor else _known(self.metric_text(metric))

    def best(self, metric: str) -> Best | None:
        """The best finite evaluation of a metric, the first of several; None if its direction is not known."""
        mode = self.direction(metric)
        found = [each for each in self.evaluations(metric) if math.isfinite(each.value)]
        if mode is None or not found:
            return None
        best = min(found, key=lambda each: each.value if mode == "min" else -each.value)
        return Best(best.step, best.epoch, best.value)

    @cached_property
    def losses(self) -> list[Point]:
        """The logged training losses by step."""
        return self.logged("loss")

    def logged(self, key: str) -> list[Point]:
        """The numbers that training logged under a key, by step."""
        return [(each.get("step", 0), float(each[key])) for each in self.past.log_history if is_number(each.get(key))]

    @cached_property
    def other_keys(self) -> list[str]:
        """What training logged beside losses and rates, such as the gradient's norm or a reward."""
        kinds = dict.fromkeys(map(tuple, self.past.log_history))  # few, because most entries have the same keys
        known = {*_ENTRY, *_SUMMARY, "learning_rate"}
        keys = dict.fromkeys(key for kind in kinds for key in kind if not key.startswith(("eval_", *_GROUP_RATES)))
        return [key for key in keys if key not in known and self.logged(key)]

    @cached_property
    def rate_lines(self) -> list[RateLine]:
        """The learning rates: of the groups that were logged or that the records tell, else of the first group."""
        parts = [RateLine("learning rate", each.points, each.is_exact) for each in self.recorded.rate_curves]
        groups = planned_group_rates(self.state) if all(part.is_exact for part in parts) else []
        if len(groups) > 1:
            # The log agrees with the plan of the first group, and the others share its schedule and callbacks.
            return [RateLine(self._name_of_group(each), tuple(sampled(each, 0, self.steps)), True) for each in groups]
        return [*parts, *self._logged_groups()]

    @property
    def peak(self) -> float | None:
        """The highest learning rate that was logged."""
        return max((rate for _, rate in finite(self.recorded.learning_rates)), default=None)

    @property
    def warmup_steps(self) -> int | None:
        """The length of the warmup by the records; None if they do not tell, or there is none."""
        return (self.recorded.planned.warmup_steps or None) if self.recorded.planned else None

    @cached_property
    def logged_warmup(self) -> int | None:
        """The end of the warmup as the logged rates tell it; None if they do not rise twice and fall later.

        The rate is taken to go on rising as it did between two logged rates before the highest, until it has reached
        that. So the end of a linear warmup is right where no rate was logged at it.
        """
        rates = finite(self.recorded.learning_rates)
        top = 0
        while top + 1 < len(rates) and rates[top + 1][1] > rates[top][1]:
            top += 1
        if top < 2 or top + 1 == len(rates):  # it may still be rising
            return None
        (before, low), (step, rate), (end, high) = rates[top - 2 : top + 1]
        reached = step + (high - rate) * (step - before) / (rate - low)
        return round(min(reached, end)) - 1  # the update that led to a step had the rate of the step before

    @property
    def averaging_start(self) -> int | None:
        """The step after which the average of the weights began; None without an average."""
        for record in records_of(WEIGHT_AVERAGING, self.state.get("stateful_callbacks")).values():
            if is_number(record.get("start")) and record.get("updates"):
                return int(record["start"])
        return None

    @property
    def plateaus(self) -> list[int]:
        """The steps at which `ReduceOnPlateau` has lowered the rate."""
        records = records_of(REDUCE_ON_PLATEAU, self.state.get("stateful_callbacks")).values()
        stalls = [record.get("stalls") for record in records]
        return sorted(step for each in stalls if isinstance(each, list) for step in each if is_number(step))

    @property
    def stop_step(self) -> int | None:
        """The step at which something ended it before its planned steps; None for a run that made them."""
        if self.recorded.record and self.recorded.record["stopped"]:
            recorded = self.recorded.record.get("stop_step")
            return recorded if isinstance(recorded, int) else None
        return self.steps if self.end.word in ("stopped early", "stopped") else None

    @property
    def has_our_end(self) -> bool:
        """Whether one of our callbacks decided on its end."""
        return bool(self.recorded.cooldown or (self.recorded.record and self.recorded.record["stopped"]))

    @cached_property
    def _evaluated(self) -> list[Mapping[str, Any]]:
        return [entry for entry in self.past.log_history if any(key.startswith("eval_") for key in entry)]

    @cached_property
    def _evaluations(self) -> dict[str, Sequence[Evaluation]]:
        return {}

    @cached_property
    def _summaries(self) -> list[Mapping[str, Any]]:
        """The entries that the Trainer logs at the end of each `train()`."""
        return [entry for entry in self.past.log_history if "train_runtime" in entry]

    def _name_of_group(self, planned: PlannedRates) -> str:
        """Return the names of the logged groups that have had these rates; else the peak tells the group."""
        names = [
            line.name.removeprefix(_OUR_GROUPS)
            for line in self._logged_groups()
            if line.name.startswith(_OUR_GROUPS)
            and all(math.isclose(rate, planned.rate(int(step)), rel_tol=1e-3) for step, rate in _some(line.points))
        ]
        return ", ".join(names) or f"group with peak {planned.rate(planned.warmup_steps):.3g}"

    def _logged_groups(self) -> Iterator[RateLine]:
        kinds = dict.fromkeys(map(tuple, self.past.log_history))
        for key in dict.fromkeys(key for kind in kinds for key in kind if key.startswith(_GROUP_RATES)):
            points = [(step - 1, rate) for step, rate in self.logged(key)]
            if points:
                yield RateLine(key, tuple(points), False)


def _some(points: Sequence[Point]) -> Sequence[Point]:
    """Return about twenty of the points, because a long run has many."""
    return points[:: max(1, len(points) // 20)]


def _sound_records(callbacks: object) -> dict[str, Any]:
    """Return the records without those that have the name of one of ours but are not as we write them."""
    if not isinstance(callbacks, Mapping):
        return {}
    kept = dict(callbacks)
    for name, needed in _NEEDED.items():
        for key, record in records_of(name, kept).items():
            if not all(isinstance(record.get(each), kind) for each, kind in needed.items()):
                del kept[key]
    return kept


def _own_monitor(past: PastRun, report: RecordedRun) -> str | None:
    """Return the metric to look at in a run of which no metric was asked for."""
    if report.record and all(name in past.metrics for name in Metric.read(report.monitor).names):
        return report.monitor
    names = [name for name in past.metrics if name not in past.odd_values and not name.endswith("_stderr")]
    return "eval_loss" if "eval_loss" in names else next(iter(names), None)


def _direction(monitor: str, mode: str | None) -> Direction:
    try:
        return direction(monitor, mode)
    except StrategyError as mistake:
        raise StrategyError(f"{mistake} (--mode min, or --mode max)") from None


def _known(metric: str | None, mode: str | None = None) -> Direction | None:
    try:
        return None if metric is None else direction(metric, mode)
    except StrategyError:
        return None


def _recorded_mode(report: RecordedRun) -> Direction | None:
    mode = (report.record or {}).get("mode")
    return mode if mode in ("min", "max") else None
