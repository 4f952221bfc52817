"""Metric histories: the evaluations of a training, out of the Trainer's log."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from hf_strategies.stopping.metric import Direction, Metric

__all__ = [
    "RESOURCES",
    "Evaluation",
    "LogRow",
    "Series",
    "Usage",
    "evaluations",
    "last_step",
    "read_log",
    "series_of",
    "training_log",
]


RESOURCES = ("seconds", "flos", "tokens")
"""What training uses up: wall time, floating-point operations, input tokens."""

Usage = Mapping[str, Mapping[str, float]]
"""What training had used up at a step: ``{"seconds": {"100": 12.5}, "flos": {...}, "tokens": {...}}``."""


@dataclass(frozen=True)
class Evaluation:
    """One evaluation of the monitored metric.

    ``step`` and ``epoch`` are of training, ``value`` is the metric's. ``train_loss`` is the mean training loss
    logged since the evaluation before, ``stderr`` the metric's standard error if ``compute_metrics`` gives it as
    ``<metric>_stderr``; ``seconds``, ``flos``, ``tokens`` is what training had used up. None: not known.
    """

    step: int
    epoch: float
    value: float
    train_loss: float | None = None
    stderr: float | None = None
    seconds: float | None = None
    flos: float | None = None
    tokens: float | None = None


@dataclass(frozen=True)
class Series:
    """The evaluations of one metric in their order, and what is needed to judge them.

    ``mode`` is the metric's direction, ``name`` what it is called; ``total_steps`` the planned optimizer steps,
    which lengths given as a fraction of training are measured against (None: not known). ``from_step`` and
    ``from_epoch`` are where it begins: at the last evaluation that is not looked at, or with training.
    """

    evaluations: tuple[Evaluation, ...]
    mode: Direction
    name: str = "the metric"
    total_steps: int | None = None
    from_step: int = 0
    from_epoch: float = 0.0

    @classmethod
    def of_values(cls, values: Sequence[float], mode: Direction = "min", **columns: Sequence[float]) -> "Series":
        """Make a series of bare values: evaluation k is at step and epoch k, counted from 1; for tests and trials.

        >>> Series.of_values([0.5, 0.4]).costs
        (0.5, 0.4)
        """
        rows = [Evaluation(index + 1, float(index + 1), float(value)) for index, value in enumerate(values)]
        for name, column in columns.items():
            given: list[dict[str, Any]] = [{name: value} for value in column]
            rows = [replace(row, **each) for row, each in zip(rows, given, strict=True)]
        return cls(tuple(rows), mode, total_steps=len(rows))

    @cached_property
    def sign(self) -> float:
        """1.0 where lower is better, -1.0 where higher is."""
        return 1.0 if self.mode == "min" else -1.0

    @cached_property
    def values(self) -> tuple[float, ...]:
        """The metric's values."""
        return tuple(each.value for each in self.evaluations)

    @cached_property
    def costs(self) -> tuple[float, ...]:
        """The values with their sign turned where higher is better: less is better."""
        return tuple(self.sign * value for value in self.values)

    def __len__(self) -> int:
        return len(self.evaluations)


@dataclass(frozen=True)
class LogRow:
    """One evaluation with all the metrics of its step."""

    step: int
    epoch: float
    metrics: Mapping[str, float]
    train_loss: float | None


def read_log(log_history: Iterable[Mapping[str, Any]], names: Iterable[str]) -> list[LogRow]:
    """Read the evaluations that have all of ``names`` out of ``log_history`` as `trainer_state.json` keeps it.

    With several evaluation sets the Trainer logs one entry for each: those of one step are one evaluation, which
    is complete when all the names have come. Several evaluations at one step count once (the Trainer makes two
    when the end of an epoch falls on an evaluation step): the first stands. An `evaluate()` on another set that
    lacks a name is no evaluation.

    >>> log = [{"loss": 2.0, "step": 5}, {"eval_loss": 1.5, "epoch": 1.0, "step": 10}]
    >>> read_log(log, ["eval_loss"])
    [LogRow(step=10, epoch=1.0, metrics={'eval_loss': 1.5}, train_loss=2.0)]
    """
    wanted = set(names)
    open_rows: dict[int, dict[str, float]] = {}
    rows: dict[int, LogRow] = {}
    losses: list[tuple[int, float]] = []  # logged since the last evaluation
    logged = 0
    for entry in log_history:
        step = int(entry.get("step") or 0)
        if isinstance(entry.get("loss"), int | float):
            losses.append((step - logged, float(entry["loss"])))
            logged = step
        found = {key: float(value) for key, value in entry.items() if _is_metric(key, value)}
        if not found or step in rows:
            continue
        metrics = open_rows.setdefault(step, {})
        metrics |= {key: value for key, value in found.items() if key not in metrics}
        if wanted <= metrics.keys():
            rows[step] = LogRow(step, float(entry.get("epoch") or 0.0), metrics, _mean(losses))
            losses = []
    return list(rows.values())


def series_of(
    rows: Sequence[LogRow],
    metric: Metric,
    mode: Direction,
    *,
    usage: Usage | None = None,
    total_steps: int | None = None,
    first: int = 0,
) -> Series:
    """Take one metric's series, from the evaluation ``first`` on, out of rows that have all its names."""
    used = usage or {}
    found = tuple(
        Evaluation(
            row.step,
            row.epoch,
            metric.value(row.metrics),
            row.train_loss,
            row.metrics.get(f"{metric.text}_stderr"),
            **{name: used.get(name, {}).get(str(row.step)) for name in RESOURCES},
        )
        for row in rows[first:]
    )
    before = rows[first - 1] if first else LogRow(0, 0.0, {}, None)
    return Series(found, mode, metric.text, total_steps, before.step, before.epoch)


def evaluations(log_history: Iterable[Mapping[str, Any]], monitor: str) -> list[Evaluation]:
    """Read the evaluations of a metric, or of an expression of metrics; see `read_log`.

    >>> evaluations([{"eval_loss": 1.5, "epoch": 1.0, "step": 10}], "loss")[0].value
    1.5
    """
    metric = Metric.read(monitor)
    return list(series_of(read_log(log_history, metric.names), metric, "min").evaluations)


def _is_metric(key: str, value: object) -> bool:
    return key.startswith("eval_") and isinstance(value, int | float) and not isinstance(value, bool)


def _mean(losses: Sequence[tuple[int, float]]) -> float | None:
    # Each logged loss is a mean over the steps since the one before; at a step logged twice it has no weight.
    weight = sum(max(steps, 0) for steps, _ in losses)
    if not losses or weight == 0:
        return losses[-1][1] if losses else None
    return sum(max(steps, 0) * loss for steps, loss in losses) / weight


_ENDING = ("EarlyStopping(", "PlateauCooldown(")  # how the records of callbacks begin that end training


def training_log(state: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the entries of the log in a Trainer's state that are of training.

    Not those of an evaluation after it: such as of the final model, whose best weights may be restored. They follow
    an entry that has "train_runtime" and are at no later step; what is at a later one is of training that was
    resumed. Nor those of a step after `last_step`.

    >>> log = [{"eval_loss": 0.5, "step": 4}, {"train_runtime": 1.0, "step": 6}, {"eval_loss": 0.5, "step": 6}]
    >>> training_log({"log_history": log}) == log[:2]
    True
    """
    found, ended, last = [], -1, last_step(state)
    for entry in state["log_history"]:
        step = int(entry.get("step") or 0)
        if ended < step <= last:
            found.append(entry)
        if "train_runtime" in entry:
            ended = step
    return found


def last_step(state: Mapping[str, Any]) -> int:
    """Return the step at which training ended.

    That is not the one step more that a run makes which had ended and is resumed: the Trainer's loop looks only
    after it whether to stop. A callback that ended training has recorded where.

    >>> last_step({"log_history": [], "global_step": 6})
    6
    """
    made = max([state.get("global_step") or 0, *(entry.get("step") or 0 for entry in state["log_history"])])
    records = (state.get("stateful_callbacks") or {}).items()
    ends = [_end(record) for key, record in records if key.startswith(_ENDING) and isinstance(record, Mapping)]
    return int(made) - (made - 1 in ends)


def _end(record: Mapping[str, Any]) -> Any:
    """Where the callback ended training; None if it did not."""
    if record.get("stopped"):
        return record.get("stop_step")
    return record.get("cooldown_end") if record.get("phase") == "over" else None
