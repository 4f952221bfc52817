"""Reductions of the learning rate on plateaus, as a pure function of the metric history."""

import math
from collections.abc import Sequence

from hf_strategies.stopping.metric import Direction, read_mode
from hf_strategies.stopping.parameters import Count, Number

__all__ = ["MIN_DELTA", "PATIENCE", "plateaus"]

PATIENCE = Count(2, "evaluations without improvement that make a stall")
MIN_DELTA = Number(0.0, "smallest change that is an improvement, in the metric's unit", low=0)


def plateaus(
    values: Sequence[float],
    *,
    patience: int,
    min_delta: float = 0.0,
    mode: Direction = "min",
    cooldown: int = 0,
) -> tuple[int, ...]:
    """Return the indices of the evaluations at which the metric is found to have stalled, each time anew.

    A stall is ``patience`` evaluations in a row without an improvement on the best so far, as in
    `stopping.patience`; the count starts again after each stall, and the ``cooldown`` evaluations that follow one
    are not counted. NaN and infinities never improve.

    Equal to torch's ReduceLROnPlateau with ``patience - 1`` and ``threshold_mode="abs"``, which reduces at the
    first evaluation beyond its patience. Raises `StrategyError` for a bad ``patience`` or ``min_delta``.

    >>> plateaus([1.0, 0.9, 0.9, 0.9, 0.9, 0.9], patience=2)
    (3, 5)
    >>> plateaus([1.0, 0.9, 0.9, 0.9, 0.9, 0.9], patience=2, cooldown=1)
    (3,)
    """
    allowed, delta = PATIENCE.read("patience", patience), MIN_DELTA.read("min_delta", min_delta) or 0.0
    sign = 1.0 if read_mode(mode) == "min" else -1.0
    best, waited, resting = math.inf, 0, 0
    found = []
    for index, value in enumerate(values):
        better = math.isfinite(value) and (best == math.inf or sign * value < best - delta)
        if better:
            best = sign * value
        waited = 0 if better or resting else waited + 1
        resting = max(0, resting - 1)
        if waited >= allowed:
            found.append(index)
            waited, resting = 0, cooldown
    return tuple(found)
