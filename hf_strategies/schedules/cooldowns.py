"""Decays with an end of their own: a hold and a cooldown, or a fall and a constant rest.

``step`` of ``steps`` are done; the value is the ratio of the peak, and the floor ``min_lr_ratio``.
"""

import math
from collections.abc import Mapping
from typing import Any

from hf_strategies.errors import StrategyError
from hf_strategies.schedules.falls import cosine, exponential, linear, polynomial, sqrt

__all__ = ["COOLDOWNS", "check_cooldown", "cosine_constant", "power_cooldown", "stable"]

COOLDOWNS = {
    "linear": linear,
    "polynomial": polynomial,
    "cosine": cosine,
    "sqrt": sqrt,
    "exponential": exponential,
}
"""The decays that end at the floor with their other parameters at the default; exponential needs a floor above 0."""


def stable(step: float, steps: int, *, cooldown: int, cooldown_shape: str, min_lr_ratio: float) -> float:
    """Hold the peak, then fall to the floor over the last ``cooldown`` steps, on the curve ``cooldown_shape``.

    >>> [stable(s, 100, cooldown=20, cooldown_shape="linear", min_lr_ratio=0.0) for s in (0, 80, 90, 100)]
    [1.0, 1.0, 0.5, 0.0]
    """
    hold_steps = steps - cooldown
    if step <= hold_steps:
        return 1.0
    return COOLDOWNS[cooldown_shape](step - hold_steps, cooldown, min_lr_ratio=min_lr_ratio)


def power_cooldown(
    step: float,
    steps: int,
    *,
    power: float,
    timescale: int,
    cooldown: int,
    cooldown_shape: str,
    min_lr_ratio: float,
) -> float:
    """Fall as a power of the steps, ``h(step) = max(floor, (T / (T + step)) ** power)``, then cool down to the floor.

    T is ``timescale``. Over the last ``cooldown`` steps, which begin at step B, the value is ``floor + (h(B) - floor)
    * c``, where c is the curve ``cooldown_shape``; the exponential one falls by the same factor at each step.

    >>> shape = {"power": 0.5, "timescale": 20, "cooldown": 40, "cooldown_shape": "linear", "min_lr_ratio": 0.0}
    >>> [power_cooldown(s, 100, **shape) for s in (0, 60, 80, 100)]
    [1.0, 0.5, 0.25, 0.0]
    """
    begin = steps - cooldown
    height = max(min_lr_ratio, math.pow(timescale / (timescale + min(step, begin)), power))
    if step <= begin:
        return height
    if step >= steps:
        return min_lr_ratio
    return height * COOLDOWNS[cooldown_shape](step - begin, cooldown, min_lr_ratio=min_lr_ratio / height)


def cosine_constant(step: float, steps: int, *, decay_length: int, min_lr_ratio: float) -> float:
    """Fall on half a cosine wave over ``decay_length`` steps, then stay at the floor.

    >>> [cosine_constant(s, 100, decay_length=80, min_lr_ratio=0.1) for s in (0, 40, 80, 100)]
    [1.0, 0.55, 0.1, 0.1]
    """
    return cosine(min(step, decay_length), decay_length, min_lr_ratio=min_lr_ratio)


def check_cooldown(values: Mapping[str, Any]) -> None:
    """Raise `StrategyError` for an exponential cooldown to a floor of 0, because the curve never reaches 0."""
    if values["cooldown_shape"] == "exponential" and not values["min_lr_ratio"]:
        raise StrategyError(
            "cooldown_shape='exponential' with min_lr_ratio=0, which it never reaches: give min_lr_ratio above 0,"
            " such as 0.01, or another cooldown_shape"
        )
