"""The history of a metric: its evaluations, read from the log of a Trainer."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from hf_strategies.stopping.metric import Direction, Metric
from hf_strategies.stopping.results import EARLY_STOPPING, PLATEAU_COOLDOWN, records_of
from hf_strategies.values import is_number

__all__ = [
    "IGNORED",
    "RESOURCES",
    "Evaluation",
    "LogReader",
    "LogRow",
    "Series",
    "Stream",
    "Usage",
    "evaluation",
    "evaluations",
    "last_step",
    "read_log",
    "training_log",
    "used_at",
    "with_value",
]

IGNORED = "hf_strategies_ignored"
"""The key of an entry in the log whose evaluation counts for nothing."""

RESOURCES = ("seconds", "flos", "tokens")
"""What training uses up: wall time, floating-point operations, input tokens."""

Usage = Mapping[str, Mapping[str, float]]
"""What training had used up of each resource at a step: ``{"seconds": {"100": 12.5}, "flos": {...}, ...}``."""

# The callbacks that can end training.
_ENDING = (EARLY_STOPPING, PLATEAU_COOLDOWN)


@dataclass(frozen=True)
class Evaluation:
    """One evaluation of one metric; None stands for what is not known.

    ``step`` and ``epoch`` are the position in training, ``value`` is the metric's value. ``train_loss`` is the mean
    training loss since the evaluation before. ``stderr`` is the standard error of the metric, known if
    ``compute_metrics`` returns it as ``<metric>_stderr``. ``seconds``, ``flos`` and ``tokens`` are what training has
    used up.
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
class Stream:
    """The evaluations of one metric in their order, with all that a criterion needs to judge them one by one.

    While training goes on, ``evaluations`` is a list that grows: whoever iterates over it takes the next evaluation
    only after the one before has been judged. ``mode`` is the metric's direction and ``name`` its name for messages.
    ``total_steps`` is the planned number of optimizer steps, for lengths that are a fraction of training (None: not
    known). ``from_step`` and ``from_epoch`` are the position where waiting begins: the evaluation before the first of
    these, or the beginning of training.
    ``best`` is for `best_indices`: it returns these for an `Improvement` where several criteria share them.
    """

    evaluations: Sequence[Evaluation]
    mode: Direction
    name: str = "the metric"
    total_steps: int | None = None
    from_step: int = 0
    from_epoch: float = 0.0
    best: Callable[[Any], Iterator[int | None]] | None = field(default=None, compare=False, repr=False)

    @cached_property
    def sign(self) -> float:
        """1.0 where lower is better, -1.0 where higher is better."""
        return 1.0 if self.mode == "min" else -1.0

    def __iter__(self) -> Iterator[Evaluation]:
        return iter(self.evaluations)


@dataclass(frozen=True)
class Series(Stream):
    """All evaluations of one metric so far, with their values at hand."""

    evaluations: tuple[Evaluation, ...]

    @classmethod
    def of(cls, stream: Stream) -> "Series":
        """Return the evaluations that a stream has by now.

        >>> Series.of(Stream([Evaluation(5, 1.0, 0.5)], "min")).values
        (0.5,)
        """
        places = (stream.mode, stream.name, stream.total_steps, stream.from_step, stream.from_epoch)
        return cls(tuple(stream.evaluations), *places)

    @classmethod
    def of_values(cls, values: Sequence[float], mode: Direction = "min", **columns: Sequence[float]) -> "Series":
        """Return a series of bare values, for tests and trials; evaluation k, counted from 1, is at step and epoch k.

        ``columns`` are further attributes of `Evaluation`, with one entry for each value.

        >>> Series.of_values([0.5, 0.4]).costs
        (0.5, 0.4)
        """
        rows = [Evaluation(index + 1, float(index + 1), float(value)) for index, value in enumerate(values)]
        for name, column in columns.items():
            entries: list[dict[str, Any]] = [{name: value} for value in column]
            rows = [replace(row, **entry) for row, entry in zip(rows, entries, strict=True)]
        return cls(tuple(rows), mode, total_steps=len(rows))

    @cached_property
    def values(self) -> tuple[float, ...]:
        """The metric's values."""
        return tuple(evaluation.value for evaluation in self.evaluations)

    @cached_property
    def costs(self) -> tuple[float, ...]:
        """The values times `sign`, so that less is always better."""
        return tuple(self.sign * value for value in self.values)

    def __len__(self) -> int:
        return len(self.evaluations)


@dataclass(frozen=True)
class LogRow:
    """One evaluation with all metrics that were logged at its step."""

    step: int
    epoch: float
    metrics: Mapping[str, float]
    train_loss: float | None


class LogReader:
    """Reads the evaluations that have all of ``names`` out of the log of a Trainer, each entry of a growing log once.

    With several evaluation sets the Trainer logs one entry for each of them. The entries of one step are one
    evaluation, which is complete when all names are there. Later entries of the same step are ignored: the Trainer
    evaluates twice when the end of an epoch falls on an evaluation step. An `evaluate()` on another set, whose entry
    lacks a name, is no evaluation.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._needed = set(names)
        self._incomplete: dict[int, dict[str, float]] = {}
        self._complete: set[int] = set()  # steps
        self._losses: list[tuple[int, float]] = []  # those since the last evaluation, each with its number of steps
        self._last_loss_step = 0
        self._count = 0
        self._last: tuple[Mapping[str, Any], dict[str, Any]] | None = None  # the last entry read, and a copy of it

    def follows(self, log: Sequence[Mapping[str, Any]]) -> bool:
        """Whether ``log`` begins with the entries that were read before, by their number and the last of them."""
        if self._last is None:
            return True
        entry, copy = self._last
        return len(log) >= self._count and log[self._count - 1] is entry and entry == copy

    def read(self, log: Sequence[Mapping[str, Any]]) -> list[LogRow]:
        """Return the evaluations that are complete with the entries of ``log`` that were not read before."""
        new = log[self._count :]
        rows = [row for entry in new if (row := self._read(entry))]
        if new:
            self._count, self._last = len(log), (new[-1], dict(new[-1]))
        return rows

    def _read(self, entry: Mapping[str, Any]) -> LogRow | None:
        """Take in one entry; return the evaluation that it completes, if any."""
        step = int(entry.get("step") or 0)
        if isinstance(entry.get("loss"), int | float):
            self._losses.append((step - self._last_loss_step, float(entry["loss"])))
            self._last_loss_step = step
        new = {key: float(value) for key, value in entry.items() if key.startswith("eval_") and is_number(value)}
        if not new or step in self._complete or entry.get(IGNORED):
            return None
        metrics = self._incomplete[step] = new | self._incomplete.get(step, {})
        if not self._needed <= metrics.keys():
            return None
        del self._incomplete[step]
        self._complete.add(step)
        losses, self._losses = self._losses, []
        return LogRow(step, float(entry.get("epoch") or 0.0), metrics, _mean_loss(losses))


def evaluations(log_history: Iterable[Mapping[str, Any]], monitor: str) -> list[Evaluation]:
    """Return the evaluations of a metric, or of an expression of metrics, in a log; see `LogReader`.

    >>> evaluations([{"eval_loss": 1.5, "epoch": 1.0, "step": 10}], "loss")[0].value
    1.5
    """
    metric = Metric.read(monitor)
    return [evaluation(row, metric) for row in read_log(log_history, metric.names)]


def evaluation(row: LogRow, metric: Metric, usage: Usage | None = None) -> Evaluation:
    """Return the evaluation of one metric in a row, which has to have all names that the metric needs."""
    value, stderr = metric.value(row.metrics), row.metrics.get(f"{metric.text}_stderr")
    if not usage:
        return Evaluation(row.step, row.epoch, value, row.train_loss, stderr)
    return Evaluation(row.step, row.epoch, value, row.train_loss, stderr, *used_at(usage, row.step))


def with_value(old: Evaluation, value: float) -> Evaluation:
    """Return an evaluation with another value; this takes less time than `dataclasses.replace`."""
    places = (old.train_loss, old.stderr, old.seconds, old.flos, old.tokens)
    return Evaluation(old.step, old.epoch, value, *places)


def used_at(usage: Usage | None, step: int) -> list[float | None]:
    """Return what training had used up of each of `RESOURCES` at a step; None for what was not recorded."""
    return [(usage or {}).get(resource, {}).get(str(step)) for resource in RESOURCES]


def read_log(log_history: Iterable[Mapping[str, Any]], names: Iterable[str]) -> list[LogRow]:
    """Return the evaluations in ``log_history``, the log in `trainer_state.json`, that have all of ``names``.

    >>> log = [{"loss": 2.0, "step": 5}, {"eval_loss": 1.5, "epoch": 1.0, "step": 10}]
    >>> read_log(log, ["eval_loss"])
    [LogRow(step=10, epoch=1.0, metrics={'eval_loss': 1.5}, train_loss=2.0)]
    """
    return LogReader(names).read(list(log_history))


def training_log(state: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return those entries of the log in a Trainer's state that were logged in training.

    Left out are the entries of an evaluation after training, such as that of the final model with its best weights
    restored. They follow an entry with "train_runtime", which ends training, and have no later step than that entry;
    entries of a later step come from a training that was resumed. Left out, too, are entries after `last_step`.

    >>> log = [{"eval_loss": 0.5, "step": 4}, {"train_runtime": 1.0, "step": 6}, {"eval_loss": 0.5, "step": 6}]
    >>> training_log({"log_history": log}) == log[:2]
    True
    """
    entries, ended_at, last = [], -1, last_step(state)
    for entry in state["log_history"]:
        step = int(entry.get("step") or 0)
        if ended_at < step <= last:
            entries.append(entry)
        if "train_runtime" in entry:
            ended_at = step
    return entries


def last_step(state: Mapping[str, Any]) -> int:
    """Return the step at which training ended.

    When a run that a callback had ended is resumed, the Trainer makes one more step before it checks whether to
    stop. That step does not count: the callback has recorded where training ended.

    >>> last_step({"log_history": [], "global_step": 6})
    6
    """
    made = max([state.get("global_step") or 0, *(entry.get("step") or 0 for entry in state["log_history"])])
    callbacks = state.get("stateful_callbacks")
    records = [record for name in _ENDING for record in records_of(name, callbacks).values()]
    ends = [_recorded_end(record) for record in records]
    return int(made) - (made - 1 in ends)


def _mean_loss(losses: Sequence[tuple[int, float]]) -> float | None:
    """Return the mean of training losses, each weighted by its number of steps; None where none was logged.

    Each logged loss is a mean over the steps since the one before. At a step that is logged twice the second loss
    has no steps, and so no weight.
    """
    total = sum(max(steps, 0) for steps, _ in losses)
    if not losses or total == 0:
        return losses[-1][1] if losses else None
    return sum(max(steps, 0) * loss for steps, loss in losses) / total


def _recorded_end(record: Mapping[str, Any]) -> Any:
    """Return the step at which a callback ended training, from its record; None if it did not end training."""
    if record.get("stopped"):
        return record.get("stop_step")
    return record.get("cooldown_end") if record.get("phase") == "over" else None
