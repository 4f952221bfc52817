"""The evaluations in the log of a Trainer, which may grow, and the series of their metrics, which grow with it."""

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Generic, TypeVar, overload
from weakref import WeakValueDictionary

from hf_strategies.stopping.history import Evaluation, LogReader, LogRow, Stream, Usage, evaluation, with_value
from hf_strategies.stopping.improvement import Improvement, find_best
from hf_strategies.stopping.metric import Direction, Metric
from hf_strategies.stopping.smoothing import Smoothing

__all__ = ["EvaluationLog", "GrowingSeries", "History", "Prefix", "Results"]

T = TypeVar("T")

_BEGINNING = LogRow(0, 0.0, {}, None)


class EvaluationLog:
    """The evaluations of a training that have all of ``names``, and what is known about the training.

    ``usage`` is what training had used up at each of them, ``total_steps`` the planned optimizer steps. `read` takes
    in a log, or the new entries of one that has grown. All series of one metric are shared.
    """

    def __init__(self, names: Iterable[str], usage: Usage | None = None, total_steps: int | None = None) -> None:
        self.rows: list[LogRow] = []
        self.usage, self.total_steps = usage, total_steps
        self._reader = LogReader(names)
        # Weak references, because a series is of no further use once the start of the counting has moved beyond it.
        self._series: WeakValueDictionary[tuple[Any, ...], GrowingSeries] = WeakValueDictionary()

    def follows(self, log_history: Sequence[Mapping[str, Any]]) -> bool:
        """Whether ``log_history`` is the log that was read before, or that with further entries."""
        return self._reader.follows(log_history)

    def read(self, log_history: Sequence[Mapping[str, Any]]) -> None:
        """Take in the entries that were not read before."""
        self.rows += self._reader.read(log_history)

    def series(
        self, metric: Metric, mode: Direction, smoothing: Smoothing | None = None, first: int = 0
    ) -> "GrowingSeries":
        """Return the series of one metric, smoothed, from the evaluation with the index ``first`` on."""
        key = (metric, mode, smoothing, first)
        series = self._series.get(key) or GrowingSeries(self, metric, mode, smoothing, first)
        self._series[key] = series
        series.grow()
        return series


class History:
    """The evaluations of a metric in their order; more can be added. ``not_finite`` has those without a value."""

    def __init__(self) -> None:
        self.evaluations: list[Evaluation] = []
        self.values: list[float] = []
        self.not_finite: list[Evaluation] = []

    def add(self, new: Evaluation) -> None:
        """Add the next evaluation."""
        self.evaluations.append(new)
        self.values.append(new.value)
        if not math.isfinite(new.value):
            self.not_finite.append(new)


class Results(Generic[T]):
    """The results of an iterator over evaluations; each is computed when it is first read, and kept."""

    def __init__(self, coming: Iterator[T]) -> None:
        self._coming = coming
        self._known: list[T] = []

    def after(self, count: int) -> T | None:
        """Return the result of the last of the first ``count`` evaluations; None if ``count`` is not above 0."""
        self._known += islice(self._coming, max(0, count - len(self._known)))
        return self._known[count - 1] if count > 0 else None

    def each(self) -> Iterator[T]:
        """Yield all results; each is computed when it is first read."""
        known = self._known
        for index in itertools.count():
            if index == len(known):
                known += islice(self._coming, 1)
            if index == len(known):
                return
            yield known[index]


class GrowingSeries(History):
    """A metric's evaluations from an index on, smoothed; `grow` adds the new evaluations of the log.

    ``stream`` has them with what a criterion needs to judge them.
    """

    def __init__(
        self, log: EvaluationLog, metric: Metric, mode: Direction, smoothing: Smoothing | None, first: int
    ) -> None:
        super().__init__()
        self._log, self._metric, self._next = log, metric, first
        self._best: dict[Improvement, Results[int | None]] = {}
        self._raw: list[float] = []
        self._smoothed = smoothing.apply(self._raw) if smoothing else None
        before = log.rows[first - 1] if 0 < first <= len(log.rows) else _BEGINNING
        name = f"{smoothing}[{metric.text}]" if smoothing else metric.text
        self.stream = Stream(
            self.evaluations, mode, name, log.total_steps, before.step, before.epoch, self._each_best
        )

    def grow(self) -> None:
        """Add the evaluations that have come since."""
        for row in self._log.rows[self._next :]:
            new = evaluation(row, self._metric, self._log.usage)
            if self._smoothed:
                self._raw.append(new.value)
                new = with_value(new, next(self._smoothed))
            self.add(new)
        self._next = max(self._next, len(self._log.rows))

    def best(self, improvement: Improvement) -> Results[int | None]:
        """Return the index of the best evaluation up to each; the results are shared by all callers."""
        if improvement not in self._best:
            self._best[improvement] = Results(find_best(self.stream, improvement))
        return self._best[improvement]

    def _each_best(self, improvement: Improvement) -> Iterator[int | None]:
        return self.best(improvement).each()


class Prefix(Sequence[Evaluation]):
    """The first ``length`` evaluations of a history that grows; they are not copied."""

    def __init__(self, history: History, length: int) -> None:
        self.growing, self._length = history, length

    @property
    def values(self) -> list[float]:
        """The values: the list of the history itself, which is not copied either, as long as none was added."""
        values = self.growing.values
        return values if len(values) == self._length else values[: self._length]

    def __len__(self) -> int:
        return self._length

    @overload
    def __getitem__(self, index: int) -> Evaluation: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Evaluation, ...]: ...
    def __getitem__(self, index: int | slice) -> Evaluation | tuple[Evaluation, ...]:
        if isinstance(index, slice):
            return tuple(self.growing.evaluations[place] for place in range(self._length)[index])
        return self.growing.evaluations[range(self._length)[index]]

    def __iter__(self) -> Iterator[Evaluation]:
        return islice(self.growing.evaluations, self._length)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and tuple(self) == tuple(other)

    def __hash__(self) -> int:
        return hash(tuple(self))

    def __repr__(self) -> str:
        return repr(tuple(self))

    def __reduce__(self) -> tuple[Any, ...]:
        return tuple, (list(self),)
