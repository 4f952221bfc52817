"""The interval of a paired difference: by hand, by scipy, and by simulation of strategies that are equal or not."""

import numpy as np
import pytest
from scipy import stats

from hf_strategies.comparison.paired import Difference, more_seeds, paired_difference, power
from hf_strategies.errors import StrategyError


def test_over_seeds_it_is_students_interval_of_a_paired_test() -> None:
    first, other = [0.5, 0.52, 0.49, 0.55], [0.53, 0.56, 0.5, 0.58]
    found = paired_difference([b - a for a, b in zip(first, other, strict=True)])
    interval = stats.ttest_rel(other, first).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))


def test_the_variance_of_crossed_seeds_and_examples_is_as_by_hand() -> None:
    # Means of the seeds 1 and 3, of the examples 1, 2 and 3; what is left is 0, -1, 1 and 0, 1, -1.
    rows = [[0.0, 0.0, 3.0], [2.0, 4.0, 3.0]]
    found = paired_difference([1.0, 3.0], rows)
    # 2/2 + 1/3 - (4 / (1 * 2)) / 6 = 1, with (4/3)^2 / (1^2 / 1 + (1/3)^2 / 2) degrees of freedom.
    half = stats.t.ppf(0.975, (16 / 9) / (1 + 1 / 18))
    assert (found.low, found.high) == pytest.approx((2 - half, 2 + half))
    assert found.over_examples


def test_one_seed_has_no_interval() -> None:
    assert paired_difference([0.5]) == Difference(0.5, None, None, 1, 0.0)
    with pytest.raises(StrategyError, match="no seed that both strategies have"):
        paired_difference([])


@pytest.mark.parametrize("seeds", [3, 5, 10])
@pytest.mark.parametrize("kind", ["normal", "skewed", "heavy"])
def test_equal_strategies_differ_in_three_to_seven_of_a_hundred_comparisons(seeds: int, kind: str) -> None:
    chance = np.random.default_rng(seeds)
    draw = {
        "normal": lambda size: chance.normal(size=size),
        "skewed": lambda size: chance.exponential(size=size),  # the difference of two of them is symmetric
        "heavy": lambda size: chance.standard_t(4, size=size),
    }[kind]
    rounds = 4000
    differences = draw((rounds, seeds)) - draw((rounds, seeds))
    found = [paired_difference(list(row)) for row in differences]
    share = np.mean([each.low > 0 or each.high < 0 for each in found])  # type: ignore[operator]
    assert 0.03 <= share <= 0.07


@pytest.mark.parametrize(("of_seeds", "of_examples"), [(0.02, 0.02), (0.05, 0.0), (0.0, 0.1)])
def test_over_seeds_and_examples_equal_strategies_differ_in_at_most_seven_of_a_hundred(
    of_seeds: float, of_examples: float
) -> None:
    chance = np.random.default_rng(1)
    seeds, examples, rounds, outside = 5, 200, 600, 0
    for _ in range(rounds):
        # The chance that a strategy is right differs by example and by seed; the strategies have the same law.
        right = [
            np.clip(
                0.7 + chance.normal(0, of_seeds, (seeds, 1)) + chance.normal(0, of_examples, (1, examples)),
                0,
                1,
            )
            for _ in range(2)
        ]
        scores = [(chance.random((seeds, examples)) < each).astype(float) for each in right]
        rows = scores[1] - scores[0]
        found = paired_difference(list(rows.mean(axis=1)), rows.tolist())
        outside += found.low > 0 or found.high < 0  # type: ignore[operator]
    assert outside / rounds <= 0.07


def test_two_hundred_comparisons_of_equal_strategies() -> None:
    chance = np.random.default_rng(0)
    found = [paired_difference(list(chance.normal(0, 0.01, 5))) for _ in range(200)]
    outside = sum(each.low > 0 or each.high < 0 for each in found)  # type: ignore[operator]
    assert 6 <= outside <= 14  # 3 to 7 %


def test_the_power_is_that_of_simulated_comparisons() -> None:
    chance = np.random.default_rng(0)
    for difference, seeds in ((0.5, 10), (1.0, 5), (2.0, 3)):
        rows = chance.normal(difference, 1.0, (4000, seeds))
        found = np.mean([paired_difference(list(row)).low > 0 for row in rows])  # type: ignore[operator]
        assert power(difference, 1.0, seeds) == pytest.approx(found, abs=0.025)


@pytest.mark.parametrize("pilot", [5, 10])
def test_so_many_more_seeds_find_a_difference_with_the_power_that_is_claimed(pilot: int) -> None:
    chance = np.random.default_rng(pilot)
    found = []
    for _ in range(300):
        first = paired_difference(list(chance.normal(0.0, 1.0, pilot)))
        seeds = more_seeds(first, 1.0)
        assert seeds is not None
        row = chance.normal(1.0, 1.0, pilot + seeds)  # other seeds than those that told the deviation
        found.append(paired_difference(list(row)).low > 0)  # type: ignore[operator]
    assert 0.74 <= np.mean(found) <= 0.9


def test_more_seeds_do_not_help_against_too_few_examples() -> None:
    assert more_seeds(Difference(0.0, -1, 1, 5, deviation=0.1, fixed=1.0), 0.5) is None
    assert more_seeds(Difference(0.0, -1, 1, 5, deviation=0.1), 1e-6) is None
    assert more_seeds(Difference(0.0, -1, 1, 5, deviation=0.0), 0.5) == 0
