"""The curves: how the learning rate rises (warmups) and how it falls (decays), and the tables of both.

A newcomer is one function and one row. A warmup is a function of ``t``, the fraction of the warmup that is
done (0 at the first update, 1 at its end); a decay of ``step``, the optimizer steps since the warmup ended,
and ``steps``, the length of the decay (0 <= step <= steps). Both give the ratio of the peak learning rate.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from hf_strategies.schedules.parameters import Length, Parameter, Real

__all__ = ["DECAYS", "WARMUPS", "Shape"]


@dataclass(frozen=True)
class Shape:
    """One row: a named curve, its parameters, what it does, where it comes from, a value worked out by hand.

    ``golden`` holds the arguments of ``function`` and the value that they must give.
    """

    name: str
    function: Callable[..., float]
    parameters: Mapping[str, Parameter]
    summary: str
    formula: str
    source: str
    golden: tuple[tuple[float, ...], Mapping[str, Any], float]


def _lift(shape: float, floor: float) -> float:
    """Squeeze a curve from [0, 1] into [floor, 1]; unlike ``floor + (1 - floor) * shape`` exact at both ends."""
    return shape + floor * (1.0 - shape)


# --- warmups: t in [0, 1] -> ratio of the peak --------------------------------------------------------------


def _no_rise(t: float) -> float:
    """Start at the peak: 1 whatever ``t``."""
    return 1.0


def linear_rise(t: float, *, start: float) -> float:
    """Rise on a straight line: ``start + (1 - start) * t``.

    >>> linear_rise(0.5, start=0.0)
    0.5
    """
    return _lift(t, start)


def exponential_rise(t: float, *, start: float) -> float:
    """Rise by the same factor at every step: ``start ** (1 - t)``, exactly 1 at ``t = 1``.

    >>> exponential_rise(0.5, start=0.01)
    0.1
    """
    return math.pow(start, 1.0 - t)


# --- decays: step in [0, steps] -> ratio of the peak --------------------------------------------------------


def constant(step: float, steps: int) -> float:
    """Stay at the peak: 1 whatever ``step``."""
    return 1.0


def linear(step: float, steps: int, *, min_lr_ratio: float) -> float:
    """Fall on a straight line from 1 to the floor: ``floor + (1 - floor) * (1 - step / steps)``.

    >>> linear(50, 100, min_lr_ratio=0.1)
    0.55
    """
    return _lift(1.0 - step / steps, min_lr_ratio)


def cosine(step: float, steps: int, *, min_lr_ratio: float) -> float:
    """Fall on half a cosine wave: ``floor + (1 - floor) * (1 + cos(pi * step / steps)) / 2``.

    >>> cosine(100, 100, min_lr_ratio=0.1)
    0.1
    """
    return _lift(0.5 * (1.0 + math.cos(math.pi * step / steps)), min_lr_ratio)


def step_down(step: float, steps: int, *, gamma: float, step_size: int, min_lr_ratio: float) -> float:
    """Fall by a factor at every ``step_size`` steps: ``max(floor, gamma ** (step // step_size))``.

    >>> step_down(59, 90, gamma=0.5, step_size=30, min_lr_ratio=0.0)
    0.5
    """
    return max(min_lr_ratio, math.pow(gamma, step // step_size))


def exponential(step: float, steps: int, *, gamma: float | None, min_lr_ratio: float) -> float:
    """Fall by the same factor at every step: ``max(floor, gamma ** step)``.

    Without ``gamma`` it is the factor that reaches the floor (0.01 when the floor is 0) at the end.

    >>> exponential(2, 100, gamma=0.5, min_lr_ratio=0.0)
    0.25
    """
    if gamma is None:
        return math.pow(min_lr_ratio or 0.01, step / steps)
    return max(min_lr_ratio, math.pow(gamma, step))


_FLOOR = Real(0.0, 0.0, 1.0, "floor, as a ratio of the peak")
_STEP_SIZE = Length(1 / 3, "steps between two falls; a fraction is of the whole training", text="1/3 of the training")

WARMUPS: tuple[Shape, ...] = (
    Shape("none", _no_rise, {}, "no warmup: the first update has the peak rate", "1", "", ((0.5,), {}, 1.0)),
    Shape(
        "linear",
        linear_rise,
        {"start": Real(0.0, 0.0, 1.0, "ratio of the peak at the first update")},
        "on a straight line from start to the peak",
        "start + (1 - start) t",
        "Goyal et al. 2017, arXiv:1706.02677",
        ((0.25,), {"start": 0.2}, 0.4),
    ),
    Shape(
        "exponential",
        exponential_rise,
        {"start": Real(0.01, 0.0, 1.0, "ratio of the peak at the first update, above 0", above_low=True)},
        "by the same factor at every step from start to exactly the peak",
        "start ^ (1 - t)",
        "log-linear annealing, as fastai's SchedExp",
        ((0.5,), {"start": 0.01}, 0.1),
    ),
)

DECAYS: tuple[Shape, ...] = (
    Shape("constant", constant, {}, "stays at the peak", "1", "", ((7, 10), {}, 1.0)),
    Shape(
        "linear",
        linear,
        {"min_lr_ratio": _FLOOR},
        "on a straight line from the peak to the floor",
        "floor + (1 - floor) (1 - s/S)",
        "Devlin et al. 2019, arXiv:1810.04805",
        ((75, 100), {"min_lr_ratio": 0.2}, 0.4),
    ),
    Shape(
        "step",
        step_down,
        {
            "gamma": Real(0.1, 0.0, 1.0, "factor of each fall, in (0, 1]", above_low=True),
            "step_size": _STEP_SIZE,
            "min_lr_ratio": _FLOOR,
        },
        "by the factor gamma after every step_size steps",
        "max(floor, gamma ^ floor(s / step_size))",
        "torch.optim.lr_scheduler.StepLR; He et al. 2016, arXiv:1512.03385",
        ((60, 90), {"gamma": 0.5, "step_size": 30, "min_lr_ratio": 0.0}, 0.25),
    ),
    Shape(
        "exponential",
        exponential,
        {
            "gamma": Real(
                None,
                0.0,
                1.0,
                "factor per step, in (0, 1]; unset: ends at the floor, or at 0.01 when that is 0",
                above_low=True,
            ),
            "min_lr_ratio": _FLOOR,
        },
        "by the same factor gamma at every step",
        "max(floor, gamma ^ s)",
        "torch.optim.lr_scheduler.ExponentialLR",
        ((50, 100), {"gamma": None, "min_lr_ratio": 0.04}, 0.2),
    ),
    Shape(
        "cosine",
        cosine,
        {"min_lr_ratio": _FLOOR},
        "on half a cosine wave from the peak to the floor",
        "floor + (1 - floor) (1 + cos(pi s/S)) / 2",
        "Loshchilov & Hutter 2017, arXiv:1608.03983, without restarts",
        ((50, 100), {"min_lr_ratio": 0.2}, 0.6),
    ),
)
