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
    """Exponential moving average: s_0 = v_0, s_t = ``weight`` * v_t + (1 - ``weight``) * s_{t-1}.

    A value that is not finite stays itself and is left out of the average.

    >>> ema([1.0, 0.0, 0.0], 0.5)
    [1.0, 0.5, 0.25]
    """
    found: list[float] = []
    average: float | None = None
    for value in values:
        if math.isfinite(value):
            average = value if average is None else weight * value + (1.0 - weight) * average
        found.append(average if average is not None and math.isfinite(value) else value)
    return found


def windowed(values: Sequence[float], window: int, summary: Callable[[Sequence[float]], float]) -> list[float]:
    """Summary of the last ``window`` finite values, fewer at the beginning; what is not finite stays itself."""
    found: list[float] = []
    recent: list[float] = []
    for value in values:
        if math.isfinite(value):
            recent = [*recent, value][-window:]
        found.append(float(summary(recent)) if math.isfinite(value) else value)
    return found


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


@dataclass(frozen=True)
class Smoothing:
    """One way of smoothing: ``"ema(0.3)"`` (weight of the newest value), ``"median(3)"``, ``"mean(3)"`` (window).

    >>> Smoothing.read("median(3)").of(Series.of_values([1.0, 9.0, 2.0])).values
    (1.0, 5.0, 2.0)
    """

    name: str
    size: float

    @classmethod
    def read(cls, text: object) -> "Smoothing":
        """Read it as a user writes it; raises `StrategyError` for what is none."""
        if isinstance(text, Smoothing):
            return text
        name, size = _call(text)
        if name not in SMOOTHINGS:
            raise StrategyError(f"smoothing={text!r} is unknown: {did_you_mean(name, SMOOTHINGS)}")
        return cls(name, SMOOTHINGS[name][0].read(f"smoothing: {name}", size))

    def of(self, series: Series) -> Series:
        """Return the series with smoothed values."""
        smoothed = SMOOTHINGS[self.name][1](series.values, self.size)
        rows = tuple(replace(row, value=value) for row, value in zip(series.evaluations, smoothed, strict=True))
        return replace(series, evaluations=rows, name=f"{self}[{series.name}]")

    def __str__(self) -> str:
        return f"{self.name}({self.size!r})"


def _call(text: object) -> tuple[str, object]:
    match syntax_tree(text) if isinstance(text, str) else None:
        case ast.Call(func=ast.Name(id=name), args=[ast.Constant(value=size)], keywords=[]):
            return name, size
    raise StrategyError(f"smoothing={text!r} is no smoothing: write 'ema(0.3)', 'median(3)' or 'mean(3)'")
