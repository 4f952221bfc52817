"""Curves of many points with fewer of them, of which none of the extremes is lost."""

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise

__all__ = ["Point", "finite", "thinned"]

Point = tuple[float, float]


def finite(points: Sequence[Point]) -> list[Point]:
    """Return the points whose value is a finite number.

    >>> finite([(1, 0.5), (2, float("nan"))])
    [(1, 0.5)]
    """
    return [point for point in points if math.isfinite(point[1])]


def thinned(points: Sequence[Point], most: int) -> list[Point]:
    """Return at most about ``most`` of the points, in their order.

    The points are cut into buckets of equal number. Of each bucket the lowest and the highest finite point stay, and
    the first that is not finite, so that neither a spike nor a NaN is lost; the first and the last point stay too.

    >>> thinned([(step, float(step == 5)) for step in range(12)], 6)
    [(0, 0.0), (5, 1.0), (6, 0.0), (11, 0.0)]
    """
    if len(points) <= most:
        return list(points)
    buckets = max(1, most // 3)
    bounds = [len(points) * index // buckets for index in range(buckets + 1)]
    kept = {0, len(points) - 1}
    for low, high in pairwise(bounds):
        kept.update(_extremes(points, low, high))
    return [points[index] for index in sorted(kept)]


def _extremes(points: Sequence[Point], low: int, high: int) -> Iterator[int]:
    """Yield the indices of the lowest, the highest and the first non-finite point between two indices."""
    values = [points[index][1] for index in range(low, high)]
    good = [value for value in values if math.isfinite(value)]
    if good:
        yield low + values.index(min(good))
        yield low + values.index(max(good))
    if len(good) < len(values):
        yield next(low + index for index, value in enumerate(values) if not math.isfinite(value))
