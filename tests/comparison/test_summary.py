"""What a comparison says of results that are worked out by hand."""

import random

import pytest

from hf_strategies.comparison.record import RunRecord
from hf_strategies.comparison.summary import summarize
from hf_strategies.errors import StrategyError


def records(**values: tuple[float, ...]) -> list[RunRecord]:
    return [
        RunRecord(name, seed, value, 100 * (1 + place), 10.0, 1e9)
        for place, (name, row) in enumerate(values.items())
        for seed, value in enumerate(row)
    ]


def sentence(greater_is_better: bool = True, worth: float | None = None, **values: tuple[float, ...]) -> str:
    found = summarize(records(**values), metric="m", greater_is_better=greater_is_better, worth=worth)
    return found.challengers[0].sentence


def test_means_errors_costs_and_wins() -> None:
    found = summarize(records(a=(0.5, 0.6, 0.7), b=(0.5, 0.5, 0.8)), metric="accuracy")
    first, other = found.strategies
    assert (first.mean, first.error) == pytest.approx((0.6, 0.1 / 3**0.5))
    assert (first.steps, other.steps, other.seconds) == (100, 200, 10.0)
    # A tie, a loss, a win.
    assert found.challengers[0].wins == 0.5


def test_a_difference_is_told_with_its_range_and_direction() -> None:
    # Differences 0.03, 0.04, 0.03: 3.33 +- 4.303 * 0.577 / sqrt(3).
    values = {"a": (0.5, 0.52, 0.51), "b": (0.53, 0.56, 0.54)}
    assert sentence(**values) == "b is better than a by 1.9 to 4.8 points (95 % interval over 3 seeds)"
    assert sentence(False, **values) == "b is worse than a by 1.9 to 4.8 points (95 % interval over 3 seeds)"


def test_a_metric_that_is_no_ratio_is_told_in_its_unit() -> None:
    told = sentence(False, a=(2.0, 3.0, 2.5), b=(1.0, 2.1, 1.4))
    assert told == "b is better than a by 0.75 to 1.2 (95 % interval over 3 seeds)"


def test_where_nothing_is_found_it_says_what_is_not_excluded_and_what_would_tell() -> None:
    told = sentence(a=(0.5, 0.52, 0.51, 0.5, 0.53), b=(0.51, 0.51, 0.52, 0.5, 0.52))
    assert told.startswith("b and a may be equal: differences up to 1.2 points cannot be excluded")
    assert told.endswith("a difference of 1.0 points in 80 % of comparisons")
    assert " more seed" in told


def test_equal_results_say_that_these_seeds_would_tell() -> None:
    told = sentence(a=(0.5, 0.5, 0.5), b=(0.5, 0.5, 0.5))
    assert "may be equal: differences up to 0 points" in told
    assert told.endswith("these seeds would tell a difference of 1.0 points in 80 % of comparisons")


def test_one_seed_is_no_comparison_of_strategies() -> None:
    assert sentence(a=(0.5,), b=(0.9,)).startswith("one seed tells nothing")


def test_only_the_seeds_that_both_have_are_paired() -> None:
    runs = [each for each in records(a=(0.5, 0.6, 0.7), b=(0.6, 0.8, 0.9)) if (each.strategy, each.seed) != ("b", 1)]
    found = summarize(runs, metric="m").challengers[0]
    assert (found.difference.seeds, found.difference.mean) == (2, pytest.approx(0.15))


def test_the_order_of_the_records_of_a_strategy_changes_nothing() -> None:
    runs = records(a=(0.5, 0.6, 0.7), b=(0.6, 0.8, 0.9))
    first, rest = runs[0], runs[1:]
    random.Random(0).shuffle(rest)
    assert summarize([first, *rest], metric="m") == summarize(runs, metric="m")


def test_several_challengers_hold_together() -> None:
    found = summarize(records(a=(0.5, 0.6, 0.7), b=(0.6, 0.7, 0.85), c=(0.1, 0.2, 0.31)), metric="m")
    assert found.level == 0.975
    assert "all 2 together" in found.challengers[0].sentence


def test_examples_widen_the_interval_where_all_runs_have_them() -> None:
    scores = {"a": ((1.0, 0.0, 1.0, 0.0), (1.0, 0.0, 0.0, 1.0)), "b": ((1.0, 1.0, 1.0, 0.0), (1.0, 1.0, 0.0, 1.0))}
    runs = [
        RunRecord(name, seed, sum(row) / 4, 1, 1.0, 1.0, examples=row)
        for name, rows in scores.items()
        for seed, row in enumerate(rows)
    ]
    found = summarize(runs, metric="accuracy").challengers[0]
    assert found.difference.over_examples
    assert "2 seeds and test examples" in found.sentence


@pytest.mark.parametrize(
    ("runs", "message"),
    [
        (records(a=(0.5, 0.6)), "results of two strategies"),
        ([*records(a=(0.5,), b=(0.5,)), *records(a=(0.6,))], "two results of a, seed 0"),
        ([*records(a=(0.5,)), RunRecord("b", 7, 0.5, 1, 1.0, 1.0)], "no seed that both strategies have"),
    ],
)
def test_what_cannot_be_compared_is_named(runs: list[RunRecord], message: str) -> None:
    with pytest.raises(StrategyError, match=message):
        summarize(runs, metric="m")


def test_a_metric_that_is_not_finite_is_refused() -> None:
    with pytest.raises(StrategyError, match="the metric of a, seed 0, is nan"):
        records(a=(float("nan"),))
