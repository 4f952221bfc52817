"""The warmups: curves on which the learning rate rises to its peak.

Each function returns the ratio of the peak learning rate when the fraction ``t`` of the warmup is done.
"""

import math
from collections.abc import Mapping
from types import MappingProxyType

from hf_strategies.schedules.parameters import Real
from hf_strategies.schedules.plans import Curve, lift

__all__ = ["WARMUPS", "WARMUP_ROWS"]


def none(t: float) -> float:
    """Start at the peak: return 1 for every ``t``."""
    return 1.0


def linear(t: float, *, start: float) -> float:
    """Rise on a straight line: ``start + (1 - start) * t``.

    >>> linear(0.5, start=0.0)
    0.5
    """
    return lift(t, start)


def exponential(t: float, *, start: float) -> float:
    """Rise by the same factor at every step: ``start ** (1 - t)``, exactly 1 at ``t = 1``.

    >>> exponential(0.5, start=0.01)
    0.1
    """
    return math.pow(start, 1.0 - t)


def cosine(t: float, *, start: float) -> float:
    """Rise on half a cosine wave: ``start + (1 - start) * (1 - cos(pi * t)) / 2``.

    >>> cosine(1.0, start=0.2)
    1.0
    """
    return lift(0.5 * (1.0 - math.cos(math.pi * t)), start)


def sqrt(t: float, *, start: float) -> float:
    """Rise slowly, then steeply: ``start + (1 - start) * (1 - sqrt(1 - t))``, the 1-sqrt decay in reverse.

    >>> sqrt(0.75, start=0.0)
    0.5
    """
    return lift(1.0 - math.sqrt(1.0 - t), start)


def polynomial(t: float, *, power: float, start: float) -> float:
    """Rise as a power: ``start + (1 - start) * t ** power``.

    >>> polynomial(0.5, power=2.0, start=0.0)
    0.25
    """
    return lift(math.pow(t, power), start)


_START = Real(0.0, 0.0, 1.0, "ratio of the peak at the first update")

_BUILT_IN: tuple[Curve, ...] = (
    Curve("none", none, {}, "no warmup: the first update has the peak rate", "1", "", ((0.5,), {}, 1.0)),
    Curve(
        "linear",
        linear,
        {"start": _START},
        "rises on a straight line from start to the peak",
        "start + (1 - start) t",
        "Goyal et al. 2017, arXiv:1706.02677",
        ((0.25,), {"start": 0.2}, 0.4),
    ),
    Curve(
        "exponential",
        exponential,
        {"start": Real(0.01, 0.0, 1.0, "ratio of the peak at the first update, above 0", above_low=True)},
        "rises by the same factor at every step from start to exactly the peak",
        "start ^ (1 - t)",
        "log-linear annealing, as fastai's SchedExp",
        ((0.5,), {"start": 0.01}, 0.1),
    ),
    Curve(
        "cosine",
        cosine,
        {"start": _START},
        "rises on half a cosine wave from start to the peak",
        "start + (1 - start) (1 - cos(pi t)) / 2",
        "fastai's one-cycle; transformers' warmup_type='cosine'",
        ((0.5,), {"start": 0.2}, 0.6),
    ),
    Curve(
        "sqrt",
        sqrt,
        {"start": _START},
        "rises slowly, then steeply: the 1-sqrt decay in reverse",
        "start + (1 - start) (1 - sqrt(1 - t))",
        "transformers' warmup_type='1-sqrt'; Hagele et al. 2024, arXiv:2405.18392",
        ((0.75,), {"start": 0.2}, 0.6),
    ),
    Curve(
        "polynomial",
        polynomial,
        {"power": Real(2.0, 0.0, math.inf, "exponent, above 0", above_low=True), "start": _START},
        "rises as a power of the fraction of the warmup that is done",
        "start + (1 - start) t ^ power",
        "optax.polynomial_schedule",
        ((0.5,), {"power": 2.0, "start": 0.2}, 0.4),
    ),
)

# Writable, for the registry alone; other modules read WARMUPS.
WARMUP_ROWS: dict[str, Curve] = {row.name: row for row in _BUILT_IN}

WARMUPS: Mapping[str, Curve] = MappingProxyType(WARMUP_ROWS)
"""The warmups by name: the built-in warmups and those that users register."""
