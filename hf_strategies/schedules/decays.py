"""Decays: the ratio of the peak after ``step`` of the ``steps`` that follow the warmup; floor is ``min_lr_ratio``."""

import math
from bisect import bisect_right
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from hf_strategies.errors import StrategyError
from hf_strategies.schedules.parameters import Choice, Length, Milestones, Real
from hf_strategies.schedules.plans import Curve, lift

__all__ = [
    "COOLDOWNS",
    "DECAYS",
    "DECAY_ROWS",
    "check_cooldown",
    "constant",
    "cosine",
    "cosine_restarts",
    "exponential",
    "inverse_sqrt",
    "linear",
    "multi_step",
    "polynomial",
    "sqrt",
    "stable",
    "step_down",
    "triangular",
]


def constant(step: float, steps: int) -> float:
    """Stay at the peak: return 1 at every step."""
    return 1.0


def linear(step: float, steps: int, *, min_lr_ratio: float) -> float:
    """Fall on a straight line from 1 to the floor: ``floor + (1 - floor) * (1 - step / steps)``.

    >>> linear(50, 100, min_lr_ratio=0.1)
    0.55
    """
    return lift(1.0 - step / steps, min_lr_ratio)


def polynomial(step: float, steps: int, *, power: float = 2.0, min_lr_ratio: float) -> float:
    """Fall as a power to the floor: ``floor + (1 - floor) * (1 - step / steps) ** power``.

    >>> polynomial(50, 100, power=2.0, min_lr_ratio=0.0)
    0.25
    """
    return lift(math.pow(1.0 - step / steps, power), min_lr_ratio)


def cosine(step: float, steps: int, *, min_lr_ratio: float) -> float:
    """Fall on half a cosine wave: ``floor + (1 - floor) * (1 + cos(pi * step / steps)) / 2``.

    >>> cosine(100, 100, min_lr_ratio=0.1)
    0.1
    """
    return lift(0.5 * (1.0 + math.cos(math.pi * step / steps)), min_lr_ratio)


def sqrt(step: float, steps: int, *, min_lr_ratio: float) -> float:
    """Fall steeply, then slowly: ``floor + (1 - floor) * (1 - sqrt(step / steps))``.

    >>> sqrt(25, 100, min_lr_ratio=0.0)
    0.5
    """
    return lift(1.0 - math.sqrt(step / steps), min_lr_ratio)


def step_down(step: float, steps: int, *, gamma: float, step_size: int, min_lr_ratio: float) -> float:
    """Fall by the factor ``gamma`` every ``step_size`` steps: ``max(floor, gamma ** (step // step_size))``.

    >>> step_down(59, 90, gamma=0.5, step_size=30, min_lr_ratio=0.0)
    0.5
    """
    return max(min_lr_ratio, math.pow(gamma, step // step_size))


def multi_step(step: float, steps: int, *, gamma: float, milestones: tuple[int, ...], min_lr_ratio: float) -> float:
    """Fall by the factor ``gamma`` at each milestone: ``max(floor, gamma ** (milestones reached))``.

    >>> multi_step(60, 100, gamma=0.5, milestones=(50, 75), min_lr_ratio=0.0)
    0.5
    """
    return max(min_lr_ratio, math.pow(gamma, bisect_right(milestones, step)))


def exponential(step: float, steps: int, *, gamma: float | None = None, min_lr_ratio: float) -> float:
    """Fall by the same factor at every step: ``max(floor, gamma ** step)``.

    With ``gamma`` None, the factor is chosen so that the curve ends at the floor, or at 0.01 if the floor is 0.

    >>> exponential(2, 100, gamma=0.5, min_lr_ratio=0.0)
    0.25
    """
    if gamma is None:
        return math.pow(min_lr_ratio or 0.01, step / steps)
    return max(min_lr_ratio, math.pow(gamma, step))


def inverse_sqrt(step: float, steps: int, *, timescale: int, min_lr_ratio: float) -> float:
    """Fall as one over a square root: ``max(floor, sqrt(timescale / (timescale + step)))``.

    >>> inverse_sqrt(300, 1000, timescale=100, min_lr_ratio=0.0)
    0.5
    """
    return max(min_lr_ratio, math.sqrt(timescale / (timescale + step)))


def cosine_restarts(
    step: float, steps: int, *, cycle_length: int, cycle_mult: float, peak_decay: float, min_lr_ratio: float
) -> float:
    """Fall on half a cosine wave, again and again: ``floor + (1 - floor) * d ** n * (1 + cos(pi * p)) / 2``.

    n is the number of the cycle, from 0, and p the fraction of this cycle that is done; d is ``peak_decay``. Cycle n
    is ``cycle_length * cycle_mult ** n`` steps long. The last cycle is cut off at the end of training. If a cycle
    ends exactly there, the last value is the floor and not the next peak, so that the rate stays low after the end.

    >>> [cosine_restarts(s, 99, cycle_length=10, cycle_mult=2, peak_decay=0.5, min_lr_ratio=0) for s in (5, 10, 20)]
    [0.5, 0.5, 0.25]
    """
    cycle, done = _cycle(step, cycle_length, cycle_mult)
    if done == 0.0 and step == steps:
        return min_lr_ratio
    height = math.pow(peak_decay, cycle)
    return lift(height * 0.5 * (1.0 + math.cos(math.pi * done)), min_lr_ratio)


def triangular(step: float, steps: int, *, cycle_length: int, peak_decay: float, min_lr_ratio: float) -> float:
    """Fall to the floor and rise again on straight lines: ``floor + (1 - floor) * d ** n * abs(1 - 2 p)``.

    A cycle of ``cycle_length`` steps begins at a peak; p is the fraction of it that is done. n is the number of the
    nearest peak, from 0; it changes at the floor, in the middle of a cycle. d is ``peak_decay``. A training that ends
    with a whole cycle ends at a peak, because the curve rises to it without a jump.

    >>> [triangular(s, 99, cycle_length=10, peak_decay=0.5, min_lr_ratio=0) for s in (0, 5, 10, 15, 20)]
    [1.0, 0.0, 0.5, 0.0, 0.25]
    """
    cycle, done = _cycle(step, cycle_length, 1.0)
    height = math.pow(peak_decay, cycle if done < 0.5 else cycle + 1)
    return lift(height * abs(1.0 - 2.0 * done), min_lr_ratio)


def stable(step: float, steps: int, *, cooldown: int, cooldown_shape: str, min_lr_ratio: float) -> float:
    """Hold the peak, then fall to the floor over the last ``cooldown`` steps, on the curve ``cooldown_shape``.

    >>> [stable(s, 100, cooldown=20, cooldown_shape="linear", min_lr_ratio=0.0) for s in (0, 80, 90, 100)]
    [1.0, 1.0, 0.5, 0.0]
    """
    hold_steps = steps - cooldown
    if step <= hold_steps:
        return 1.0
    return COOLDOWNS[cooldown_shape](step - hold_steps, cooldown, min_lr_ratio=min_lr_ratio)


def check_cooldown(values: Mapping[str, Any]) -> None:
    """Raise `StrategyError` for an exponential cooldown to a floor of 0, because the curve never reaches 0."""
    if values["cooldown_shape"] == "exponential" and not values["min_lr_ratio"]:
        raise StrategyError(
            "cooldown_shape='exponential' with min_lr_ratio=0, which it never reaches: give min_lr_ratio above 0,"
            " such as 0.01, or another cooldown_shape"
        )


COOLDOWNS = {
    "linear": linear,
    "polynomial": polynomial,
    "cosine": cosine,
    "sqrt": sqrt,
    "exponential": exponential,
}
"""The decays that end at the floor with their other parameters at the default; exponential needs a floor above 0."""


def _cycle(step: float, length: int, mult: float) -> tuple[int, float]:
    """Return the number of the cycle at ``step``, from 0, and the fraction of this cycle that is done, in [0, 1)."""
    if mult == 1.0:
        cycle = int(step // length)
        return cycle, (step - cycle * length) / length
    cycle = int(math.log(1.0 + step * (mult - 1.0) / length, mult))
    # At the border of two cycles, the rounding of the logarithm may select the wrong cycle.
    if step >= _cycle_start(cycle + 1, length, mult):
        cycle += 1
    elif step < _cycle_start(cycle, length, mult):
        cycle -= 1
    return cycle, (step - _cycle_start(cycle, length, mult)) / (length * mult**cycle)


def _cycle_start(cycle: int, length: int, mult: float) -> float:
    """Return the step at which a cycle begins: the sum of the lengths of the cycles before it."""
    return float(length * (mult**cycle - 1.0) / (mult - 1.0))


_FLOOR = Real(0.0, 0.0, 1.0, "floor, as a ratio of the peak")
_GAMMA = Real(0.1, 0.0, 1.0, "factor of each fall, in (0, 1]", above_low=True)
_PEAK_DECAY = Real(1.0, 0.0, 1.0, "factor from each peak to the next, in (0, 1]", above_low=True)

_BUILT_IN: tuple[Curve, ...] = (
    Curve("constant", constant, {}, "stays at the peak", "1", "", ((7, 10), {}, 1.0)),
    Curve(
        "linear",
        linear,
        {"min_lr_ratio": _FLOOR},
        "falls on a straight line from the peak to the floor",
        "floor + (1 - floor) (1 - s/S)",
        "Devlin et al. 2019, arXiv:1810.04805",
        ((75, 100), {"min_lr_ratio": 0.2}, 0.4),
    ),
    Curve(
        "polynomial",
        polynomial,
        {"power": Real(2.0, 0.0, math.inf, "exponent, above 0", above_low=True), "min_lr_ratio": _FLOOR},
        "falls as a power from the peak to the floor",
        "floor + (1 - floor) (1 - s/S) ^ power",
        "optax.polynomial_schedule; transformers' polynomial has power 1 by default",
        ((50, 100), {"power": 2.0, "min_lr_ratio": 0.2}, 0.4),
    ),
    Curve(
        "cosine",
        cosine,
        {"min_lr_ratio": _FLOOR},
        "falls on half a cosine wave from the peak to the floor",
        "floor + (1 - floor) (1 + cos(pi s/S)) / 2",
        "Loshchilov & Hutter 2017, arXiv:1608.03983, without restarts",
        ((50, 100), {"min_lr_ratio": 0.2}, 0.6),
    ),
    Curve(
        "cosine_restarts",
        cosine_restarts,
        {
            "cycle_length": Length(1 / 4, "length of the first cycle", "1/4 of the training"),
            "cycle_mult": Real(1.0, 1.0, 1000.0, "factor from the length of each cycle to the next, in [1, 1000]"),
            "peak_decay": _PEAK_DECAY,
            "min_lr_ratio": _FLOOR,
        },
        "falls on half a cosine wave, again and again from a peak",
        "floor + (1 - floor) peak_decay ^ n (1 + cos(pi p)) / 2, p of cycle n done",
        "Loshchilov & Hutter 2017, arXiv:1608.03983 (SGDR)",
        ((20, 99), {"cycle_length": 10, "cycle_mult": 2.0, "peak_decay": 0.5, "min_lr_ratio": 0.2}, 0.4),
    ),
    Curve(
        "step",
        step_down,
        {
            "gamma": _GAMMA,
            "step_size": Length(1 / 3, "length between two falls", "1/3 of the training"),
            "min_lr_ratio": _FLOOR,
        },
        "falls by the factor gamma after every step_size steps",
        "max(floor, gamma ^ floor(s / step_size))",
        "torch.optim.lr_scheduler.StepLR; He et al. 2016, arXiv:1512.03385",
        ((60, 90), {"gamma": 0.5, "step_size": 30, "min_lr_ratio": 0.0}, 0.25),
    ),
    Curve(
        "multi_step",
        multi_step,
        {
            "gamma": _GAMMA,
            "milestones": Milestones(
                (0.5, 0.75),
                "positions of the falls in the training, rising",
                "1/2 and 3/4 of what follows the warmup",
            ),
            "min_lr_ratio": _FLOOR,
        },
        "falls by the factor gamma at each milestone",
        "max(floor, gamma ^ (milestones reached))",
        "torch.optim.lr_scheduler.MultiStepLR",
        ((75, 100), {"gamma": 0.5, "milestones": (50, 75), "min_lr_ratio": 0.0}, 0.25),
    ),
    Curve(
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
        "falls by the same factor gamma at every step",
        "max(floor, gamma ^ s)",
        "torch.optim.lr_scheduler.ExponentialLR",
        ((50, 100), {"gamma": None, "min_lr_ratio": 0.04}, 0.2),
    ),
    Curve(
        "inverse_sqrt",
        inverse_sqrt,
        {
            "timescale": Length(
                None, "steps after which it has fallen to 0.71", "the warmup, or 10,000 steps", without_warmup=10_000
            ),
            "min_lr_ratio": _FLOOR,
        },
        "falls as one over the square root of the steps, knowing no end",
        "max(floor, sqrt(timescale / (timescale + s)))",
        "Vaswani et al. 2017, arXiv:1706.03762; Zhai et al. 2022, arXiv:2106.04560",
        ((300, 999), {"timescale": 100, "min_lr_ratio": 0.0}, 0.5),
    ),
    Curve(
        "sqrt",
        sqrt,
        {"min_lr_ratio": _FLOOR},
        "falls steeply, then slowly, from the peak to the floor (1-sqrt)",
        "floor + (1 - floor) (1 - sqrt(s/S))",
        "Hagele et al. 2024, arXiv:2405.18392",
        ((25, 100), {"min_lr_ratio": 0.2}, 0.6),
    ),
    Curve(
        "triangular",
        triangular,
        {
            "cycle_length": Length(1 / 4, "length from one peak to the next", "1/4 of the training"),
            "peak_decay": _PEAK_DECAY,
            "min_lr_ratio": _FLOOR,
        },
        "falls to the floor and rises to the peak on straight lines, again and again",
        "floor + (1 - floor) peak_decay ^ n |1 - 2p|, p of a cycle done",
        "Smith 2017, arXiv:1506.01186; torch.optim.lr_scheduler.CyclicLR from its peak on",
        ((13, 99), {"cycle_length": 10, "peak_decay": 0.5, "min_lr_ratio": 0.0}, 0.2),
    ),
    Curve(
        "stable",
        stable,
        {
            "cooldown": Length(0.2, "length of the cooldown at the end", "0.2 of the training", in_decay=True),
            "cooldown_shape": Choice("sqrt", tuple(COOLDOWNS), "curve of the cooldown"),
            "min_lr_ratio": _FLOOR,
        },
        "holds the peak, then cools down to the floor: warmup-stable-decay",
        "1, then cooldown_shape over the last cooldown steps",
        "Hu et al. 2024, arXiv:2404.06395; Hagele et al. 2024, arXiv:2405.18392",
        ((90, 100), {"cooldown": 20, "cooldown_shape": "linear", "min_lr_ratio": 0.2}, 0.6),
        check_cooldown,
    ),
)

# Writable, for the registry alone; other modules read DECAYS.
DECAY_ROWS: dict[str, Curve] = {row.name: row for row in _BUILT_IN}

DECAYS: Mapping[str, Curve] = MappingProxyType(DECAY_ROWS)
"""The decays by name: the built-in decays and those that users register."""
