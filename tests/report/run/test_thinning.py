"""Curves with fewer points keep their extremes and what is not finite."""

import math

from hypothesis import given
from hypothesis import strategies as st

from hf_strategies.report.run.thinning import finite, thinned

POINTS = st.lists(st.floats(), max_size=400).map(lambda values: list(enumerate(values)))


@given(POINTS, st.integers(3, 60))
def test_extremes_ends_and_order_stay_and_the_number_is_bounded(points: list[tuple[int, float]], most: int) -> None:
    kept = thinned(points, most)
    good = [value for _, value in finite(points)]
    assert kept == sorted(kept, key=lambda point: point[0])
    assert all(any(point is other for other in points) for point in kept)
    assert len(kept) <= most + 2
    assert [step for step, _ in kept[:1] + kept[-1:]] == [step for step, _ in points[:1] + points[-1:]]
    if good:
        values = [value for _, value in finite(kept)]
        assert (min(values), max(values)) == (min(good), max(good))
    assert len(good) == len(points) or any(not math.isfinite(value) for _, value in kept)


def test_one_spike_and_one_nan_among_200_000_points_stay() -> None:
    points = [(float(step), 1.0) for step in range(200_000)]
    points[123_456], points[150_001] = (123_456.0, 99.0), (150_001.0, math.nan)
    kept = thinned(points, 3000)
    assert points[123_456] in kept
    assert any(step == 150_001 for step, _ in kept)
    assert len(kept) <= 3002


def test_a_short_curve_stays_as_it_is() -> None:
    assert thinned([(1, 0.5), (2, math.inf)], 2) == [(1, 0.5), (2, math.inf)]
