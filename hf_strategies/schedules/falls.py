"""Decays that fall from the peak to the floor along one curve, which cooldowns have too.

``step`` of ``steps`` are done; the value is the ratio of the peak, and the floor ``min_lr_ratio``.
"""

import math

from hf_strategies.schedules.plans import lift

__all__ = ["cosine", "exponential", "linear", "polynomial", "rex", "sqrt", "tanh"]


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


def exponential(step: float, steps: int, *, gamma: float | None = None, min_lr_ratio: float) -> float:
    """Fall by the same factor at every step: ``max(floor, gamma ** step)``.

    With ``gamma`` None, the factor is chosen so that the curve ends at the floor, or at 0.01 if the floor is 0.

    >>> exponential(2, 100, gamma=0.5, min_lr_ratio=0.0)
    0.25
    """
    if gamma is None:
        return math.pow(min_lr_ratio or 0.01, step / steps)
    return max(min_lr_ratio, math.pow(gamma, step))


def rex(step: float, steps: int, *, min_lr_ratio: float) -> float:
    """Fall slowly, then steeply: ``floor + (1 - floor) * (1 - t) / (1/2 + (1 - t) / 2)``, with ``t = step / steps``.

    >>> round(rex(2, 3, min_lr_ratio=0.0), 12)
    0.5
    """
    left = 1.0 - step / steps
    return lift(left / (0.5 + 0.5 * left), min_lr_ratio)


def tanh(step: float, steps: int, *, lower: float, upper: float, min_lr_ratio: float) -> float:
    """Fall along a hyperbolic tangent: ``floor + (1 - floor) * (tanh U - tanh(L + (U - L) t)) / (tanh U - tanh L)``.

    L is ``lower``, U is ``upper`` and ``t = step / steps``. The source does not divide by the height of its curve,
    which begins and ends next to the peak and the floor; here it is at both exactly.

    >>> tanh(50, 100, lower=-3.0, upper=3.0, min_lr_ratio=0.0)
    0.5
    """
    done = math.tanh(lower + (upper - lower) * (step / steps))
    return lift((math.tanh(upper) - done) / (math.tanh(upper) - math.tanh(lower)), min_lr_ratio)
