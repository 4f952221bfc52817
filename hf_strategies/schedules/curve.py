"""A curve: a function with its parameters and its description, one row of the table of warmups or of decays."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from hf_strategies.schedules.parameters import Parameter

__all__ = ["Curve", "lift"]


@dataclass(frozen=True)
class Curve:
    """A named curve, one row of the table of warmups or of decays.

    The ``function`` of a warmup takes ``t``, the fraction of the warmup that is done: 0 at the first update, 1 at
    the end of the warmup. The ``function`` of a decay takes ``step``, the optimizer steps since the end of the
    warmup, and ``steps``, the length of the decay (0 <= step <= steps). Both take the parameters as keyword
    arguments and return the ratio of the peak learning rate.

    ``golden`` is a test case worked out by hand: positional arguments, parameters, and the value to return.
    ``check`` raises `StrategyError` for parameters that are valid one by one but contradict each other.
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
    """Map ``shape`` from [0, 1] to [``floor``, 1]: ``shape + floor * (1 - shape)``, exact at both ends.

    >>> lift(0.5, 0.2)
    0.6
    """
    return shape + floor * (1.0 - shape)
