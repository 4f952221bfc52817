"""Smoothing of a noisy metric before it is judged."""

import ast
import math
import statistics
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from hf_strategies.errors import StrategyError, did_you_mean
from hf_strategies.stopping.parameters import Count, Number, Parameter
from hf_strategies.syntax import syntax_tree

__all__ = ["SMOOTHINGS", "Smoothing"]


def ema(values: Iterable[float], weight: float) -> Iterator[float]:
    """Yield the exponential moving average: s_0 = v_0, s_t = w * v_t + (1 - w) * s_{t-1}.

    w is ``weight``. A value that is not finite is returned as it is, and left out of the average.

    >>> list(ema([1.0, 0.0, 0.0], 0.5))
    [1.0, 0.5, 0.25]
    """
    average: float | None = None
    for value in values:
        if math.isfinite(value):
            average = value if average is None else weight * value + (1.0 - weight) * average
        yield average if average is not None and math.isfinite(value) else value


def windowed(values: Iterable[float], window: int, summary: Callable[[Sequence[float]], float]) -> Iterator[float]:
    """Yield at each value the ``summary`` of the last ``window`` finite values, of fewer at the beginning.

    A value that is not finite is returned as it is.
    """
    recent: deque[float] = deque(maxlen=window)
    for value in values:
        if math.isfinite(value):
            recent.append(value)
        yield float(summary(recent)) if math.isfinite(value) else value


SMOOTHINGS: dict[str, tuple[Parameter, Callable[[Iterable[float], float], Iterator[float]]]] = {
    "ema": (Number(..., "weight of the newest value", low=0, high=1, above_low=True), ema),
    "median": (
        Count(..., "evaluations in the window"),
        lambda values, size: windowed(values, int(size), statistics.median),
    ),
    "mean": (
        Count(..., "evaluations in the window"),
        lambda values, size: windowed(values, int(size), statistics.fmean),
    ),
}
"""The parameter and the function of each smoothing, by its name."""


@dataclass(frozen=True)
class Smoothing:
    """A smoothing: ``"ema(0.3)"``, or ``"median(3)"`` and ``"mean(3)"`` over a window of evaluations.

    ``size`` is the weight of the newest value for ``ema``, and the length of the window for the others.

    >>> list(Smoothing.read("median(3)").apply([1.0, 9.0, 2.0]))
    [1.0, 5.0, 2.0]
    """

    name: str
    size: float

    @classmethod
    def read(cls, text: object) -> "Smoothing":
        """Read a smoothing as a user writes it; raise `StrategyError` for anything else."""
        if isinstance(text, Smoothing):
            return text
        name, size = _name_and_size(text)
        if name not in SMOOTHINGS:
            raise StrategyError(f"smoothing={text!r} is unknown: {did_you_mean(name, SMOOTHINGS)}")
        return cls(name, SMOOTHINGS[name][0].read(f"smoothing: {name}", size))

    def apply(self, values: Iterable[float]) -> Iterator[float]:
        """Yield a smoothed value for each of ``values``, before the next of them is read."""
        return SMOOTHINGS[self.name][1](values, self.size)

    def __str__(self) -> str:
        return f"{self.name}({self.size!r})"


def _name_and_size(text: object) -> tuple[str, object]:
    match syntax_tree(text) if isinstance(text, str) else None:
        case ast.Call(func=ast.Name(id=name), args=[ast.Constant(value=size)], keywords=[]):
            return name, size
    raise StrategyError(f"smoothing={text!r} is no smoothing: write 'ema(0.3)', 'median(3)' or 'mean(3)'")
