"""Smoothing of a noisy metric before it is judged."""

import ast
import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from hf_strategies.errors import StrategyError, did_you_mean
from hf_strategies.stopping.history import Series
from hf_strategies.stopping.parameters import Count, Number, Parameter
from hf_strategies.stopping.syntax import syntax_tree

__all__ = ["SMOOTHINGS", "Smoothing"]


def ema(values: Sequence[float], weight: float) -> list[float]:
    """Return the exponential moving average: s_0 = v_0, s_t = w * v_t + (1 - w) * s_{t-1}.

    w is ``weight``. A value that is not finite is returned as it is, and left out of the
    average.

    >>> ema([1.0, 0.0, 0.0], 0.5)
    [1.0, 0.5, 0.25]
    """
    averaged: list[float] = []
    average: float | None = None
    for value in values:
        if math.isfinite(value):
            average = value if average is None else weight * value + (1.0 - weight) * average
        averaged.append(average if average is not None and math.isfinite(value) else value)
    return averaged


def windowed(values: Sequence[float], window: int, summary: Callable[[Sequence[float]], float]) -> list[float]:
    """Return at each value the ``summary`` of the last ``window`` finite values, of fewer at the beginning.

    A value that is not finite is returned as it is.
    """
    summaries: list[float] = []
    recent: list[float] = []
    for value in values:
        if math.isfinite(value):
            recent = [*recent, value][-window:]
        summaries.append(float(summary(recent)) if math.isfinite(value) else value)
    return summaries


SMOOTHINGS: dict[str, tuple[Parameter, Callable[[Sequence[float], float], list[float]]]] = {
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

    >>> Smoothing.read("median(3)").apply(Series.of_values([1.0, 9.0, 2.0])).values
    (1.0, 5.0, 2.0)
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

    def apply(self, series: Series) -> Series:
        """Return the series with smoothed values and a name that shows the smoothing."""
        smoothed = SMOOTHINGS[self.name][1](series.values, self.size)
        rows = tuple(replace(row, value=value) for row, value in zip(series.evaluations, smoothed, strict=True))
        return replace(series, evaluations=rows, name=f"{self}[{series.name}]")

    def __str__(self) -> str:
        return f"{self.name}({self.size!r})"


def _name_and_size(text: object) -> tuple[str, object]:
    match syntax_tree(text) if isinstance(text, str) else None:
        case ast.Call(func=ast.Name(id=name), args=[ast.Constant(value=size)], keywords=[]):
            return name, size
    raise StrategyError(f"smoothing={text!r} is no smoothing: write 'ema(0.3)', 'median(3)' or 'mean(3)'")
