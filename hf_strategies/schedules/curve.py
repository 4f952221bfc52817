"""What a curve is: a function with its parameters and its description, one row of a table."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from hf_strategies.schedules.parameters import Parameter

__all__ = ["Curve", "lift"]


@dataclass(frozen=True)
class Curve:
    """One row: a named curve, its parameters, what it does, where it comes from, a value worked out by hand.

    A warmup's ``function`` takes ``t``, the fraction of the warmup that is done (0 at the first update, 1 at its
    end); a decay's takes ``step``, the optimizer steps since the warmup ended, and ``steps``, the length of the
    decay (0 <= step <= steps). Both take the parameters by name and give the ratio of the peak learning rate.
    ``golden`` holds arguments, parameters and the value that they must give. ``check`` raises `StrategyError` for
    parameters that are good one by one and do not go together.
    """

    name: str
    function: Callable[..., float]
    parameters: Mapping[str, Parameter]
    summary: str
    formula: str
    source: str
    golden: tuple[tuple[float, ...], Mapping[str, Any], float] | None = None
    check: Callable[[Mapping[str, Any]], None] | None = None


def lift(shape: float, floor: float) -> float:
    """Squeeze a curve from [0, 1] into [floor, 1]: ``shape + floor * (1 - shape)``, exact at both ends.

    >>> lift(0.5, 0.2)
    0.6
    """
    return shape + floor * (1.0 - shape)
