"""Decays that rise again: restarts and triangles.

``step`` of ``steps`` are done; the value is the ratio of the peak, and the floor ``min_lr_ratio``.
"""

import math

from hf_strategies.schedules.plans import lift

__all__ = ["cosine_restarts", "triangular"]


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
