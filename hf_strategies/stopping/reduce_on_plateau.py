"""The evaluations at which a learning rate is reduced because the metric has reached a plateau."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from hf_strategies.stopping.evaluation_log import EvaluationLog
from hf_strategies.stopping.metric import Direction, Metric, read_mode
from hf_strategies.stopping.parameters import Count, Number

__all__ = ["MIN_DELTA", "PATIENCE", "Stalls", "plateaus", "stalls"]

PATIENCE = Count(2, "evaluations without improvement that make a stall")
MIN_DELTA = Number(0.0, "smallest change that is an improvement, in the metric's unit", low=0)


def plateaus(
    values: Sequence[float],
    *,
    patience: int,
    min_delta: float = 0.0,
    mode: Direction = "min",
    cooldown: int = 0,
) -> tuple[int, ...]:
    """Return the indices of the evaluations at which the metric has stalled.

    The metric has stalled after ``patience`` evaluations in a row without an improvement on the best so far, as in
    the criterion `patience`. The count starts again after each stall, and leaves out the ``cooldown`` evaluations
    that follow the stall. NaN and infinities never improve.

    torch's ReduceLROnPlateau reduces at the first evaluation beyond its patience: with ``patience - 1`` and
    ``threshold_mode="abs"`` it reduces at these evaluations. Raises `StrategyError` for a bad argument.

    >>> plateaus([1.0, 0.9, 0.9, 0.9, 0.9, 0.9], patience=2)
    (3, 5)
    >>> plateaus([1.0, 0.9, 0.9, 0.9, 0.9, 0.9], patience=2, cooldown=1)
    (3,)
    """
    found = stalls(values, patience=patience, min_delta=min_delta, mode=mode, cooldown=cooldown)
    return tuple(index for index, stalled in enumerate(found) if stalled)


def stalls(
    values: Iterable[float], *, patience: int, min_delta: float, mode: Direction, cooldown: int
) -> Iterator[bool]:
    """Return an iterator over the values: whether the metric has stalled at each, before the next is read."""
    delta = MIN_DELTA.read("min_delta", min_delta) or 0.0
    sign = 1.0 if read_mode(mode) == "min" else -1.0
    return _stalls(values, PATIENCE.read("patience", patience), delta, sign, cooldown)


def _stalls(values: Iterable[float], patience: int, delta: float, sign: float, cooldown: int) -> Iterator[bool]:
    best, waited, resting = math.inf, 0, 0  # resting: how many evaluations of the cooldown are left
    for value in values:
        better = math.isfinite(value) and (best == math.inf or sign * value < best - delta)
        if better:
            best = sign * value
        waited = 0 if better or resting else waited + 1
        resting = max(0, resting - 1)
        stalled = waited >= patience
        if stalled:
            waited, resting = 0, cooldown
        yield stalled


class Stalls:
    """Finds the stalls in the log of a training, again and again while it grows; see `plateaus` for the settings.

    They are a function of the log alone: those of the call before and those among the new entries. A log that is not
    the one of the call before, with further entries, is read from the beginning.
    """

    _read: int  # the number of evaluations that were read

    def __init__(self, metric: Metric, *, patience: int, min_delta: float, mode: Direction, cooldown: int) -> None:
        self._metric, self._mode = metric, mode
        self._settings = {"patience": patience, "min_delta": min_delta, "mode": mode, "cooldown": cooldown}
        self._begin(0)

    def after(self, log_history: Sequence[Mapping[str, Any]], after_step: int) -> tuple[int, ...]:
        """Return the steps of the stalls; evaluations up to ``after_step`` do not count.

        >>> settings = {"patience": 2, "min_delta": 0.0, "mode": "min", "cooldown": 0}
        >>> log = [{"eval_loss": value, "step": step} for step, value in enumerate((1.0, 0.9, 0.9, 0.9), start=1)]
        >>> Stalls(Metric.read("loss"), **settings).after(log, 0)
        (4,)
        """
        if after_step != self._after_step or not self._log.follows(log_history):
            self._begin(after_step)
        self._log.read(log_history)
        self._series.grow()
        new = [row for row in self._series.evaluations[self._read :] if row.step > after_step]
        self._read = len(self._series.evaluations)
        self._values += (row.value for row in new)
        found = zip(new, islice(self._stalls, len(new)), strict=True)
        self._steps += (row.step for row, stalled in found if stalled)
        return tuple(self._steps)

    def _begin(self, after_step: int) -> None:
        self._after_step = after_step
        self._log = EvaluationLog(self._metric.names)
        self._series = self._log.series(self._metric, self._mode)
        self._read = 0
        self._values: list[float] = []
        self._steps: list[int] = []
        self._stalls: Iterator[bool] = stalls(self._values, **self._settings)  # type: ignore[arg-type]
