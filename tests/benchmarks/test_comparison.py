"""The benchmark of intervals tells a method that keeps its promise from one that does not."""

from benchmarks.comparison import excluded


def test_students_interval_holds_and_the_percentile_bootstrap_is_too_narrow() -> None:
    assert 0.02 <= excluded("Student's t (ours)", "normal", 3, 400) <= 0.08
    assert excluded("percentile bootstrap", "normal", 3, 400) >= 0.15
