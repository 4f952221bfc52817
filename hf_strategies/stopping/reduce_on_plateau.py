"""The evaluations at which a learning rate is reduced because the metric has reached a plateau."""

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
    """Return the indices of the evaluations at which the metric has stalled.

    The metric has stalled after ``patience`` evaluations in a row without an improvement on the best so far, as in
    the criterion `patience`. The count starts again after each stall, and leaves out the ``cooldown`` evaluations
    that follow the stall. NaN and infinities never improve.

    torch's ReduceLROnPlateau reduces at the first evaluation beyond its patience: with ``patience - 1`` and
    ``threshold_mode="abs"`` it reduces at these evaluations. Raises `StrategyError` for a bad argument.

    >>> plateaus([1.0, 0.9, 0.9, 0.9, 0.9, 0.9], patience=2)
    (3, 5)
    >>> plateaus([1.0, 0.9, 0.9, 0.9, 0.9, 0.9], patience=2, cooldown=1)
    (3,)
    """
    patience, delta = PATIENCE.read("patience", patience), MIN_DELTA.read("min_delta", min_delta) or 0.0
    sign = 1.0 if read_mode(mode) == "min" else -1.0
    best, waited, resting = math.inf, 0, 0  # resting: how many evaluations of the cooldown are left
    stalls = []
    for index, value in enumerate(values):
        better = math.isfinite(value) and (best == math.inf or sign * value < best - delta)
        if better:
            best = sign * value
        waited = 0 if better or resting else waited + 1
        resting = max(0, resting - 1)
        if waited >= patience:
            stalls.append(index)
            waited, resting = 0, cooldown
    return tuple(stalls)
