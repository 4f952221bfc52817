"""The keep rule against simulated evaluations whose truth is known, and against tabulated order statistics."""

import numpy as np
import pytest

from hf_strategies.stopping.history import Evaluation
from hf_strategies.stopping.keep_rule import Candidate, SelectionNoise, expected_maximum, keep, plateau_of
from hf_strategies.stopping.plateau_cooldown import best_of
from hf_strategies.stopping.rule import StoppingRule

LEVEL = 0.75
TRUE_DIFFERENCES = (0.04, 0.02, -0.02, -0.05)


def evaluations(values):
    return [Evaluation(step, float(step), float(value)) for step, value in enumerate(values, start=1)]


# Harter 1961, Biometrika 48, table 1.
@pytest.mark.parametrize(
    ("count", "tabulated"), [(2, 0.56419), (3, 0.84628), (4, 1.02938), (5, 1.16296), (10, 1.53875), (100, 2.50759)]
)
def test_the_expected_maximum_is_the_tabulated_one(count, tabulated):
    assert expected_maximum(count) == pytest.approx(tabulated, abs=6e-6)


@pytest.mark.parametrize("count", [2, 4, 7])
def test_the_excess_is_the_mean_excess_of_the_best_of_simulated_evaluations(count):
    random, sigma = np.random.default_rng(count), 0.03
    excesses = random.normal(0.0, sigma, (40_000, count)).max(axis=1)
    noise = SelectionNoise.of(evaluations(np.zeros(count)), sigma)
    assert noise.excess == pytest.approx(excesses.mean(), abs=4 * excesses.std() / 200)


def test_the_scatter_is_the_own_error_without_the_error_that_all_evaluations_share():
    random = np.random.default_rng(0)
    measured = LEVEL + random.normal(0.0, 0.05) + random.normal(0.0, 0.02, 20_000)
    assert SelectionNoise.of(evaluations(measured)).sigma == pytest.approx(0.02, rel=0.02)


def test_the_standard_error_of_shared_rows_is_an_upper_bound_of_the_excess():
    random, count, error = np.random.default_rng(1), 5, 0.04
    own = random.normal(0.0, error * (1 - 0.6) ** 0.5, (40_000, count))
    excess = own.max(axis=1).mean()  # the shared part moves the best and the end alike
    assert excess < SelectionNoise.of(evaluations(np.zeros(count)), error).excess < 2 * excess


def test_of_several_other_candidates_the_best_one_is_compared():
    best, end, average = (
        Candidate(kind, Evaluation(step, 1.0, value))
        for kind, step, value in (("best", 1, 0.74), ("end", 3, 0.5), ("average", 2, 0.73))
    )
    assert keep(best, [end, average], SelectionNoise(4, 0.04, True), -1.0).kept is average


def test_the_climb_before_a_plateau_is_not_counted():
    values = [0.1, 0.2, 0.4, 0.71, 0.75, 0.73, 0.70]
    assert [row.value for row in plateau_of(evaluations(values), 4, -1.0)] == [0.71, 0.75, 0.73, 0.70]


def regrets(rows, samples, true_difference, count=150, plateau=4, common=0.5):
    """Return the mean regret of the rule, of always the best and of always the end, in points."""
    random, error = np.random.default_rng([rows, plateau]), (LEVEL * (1 - LEVEL) / rows) ** 0.5
    rule = StoppingRule.read("accuracy", samples=samples)
    lost = np.zeros((count, 3))
    for run in range(count):
        shared = random.normal(0.0, error * common**0.5)
        values = LEVEL + shared + random.normal(0.0, error * (1 - common) ** 0.5, plateau + 1)
        values[-1] += true_difference
        log = [{"eval_accuracy": float(value), "step": step} for step, value in enumerate(values, start=1)]
        end = best_of(rule, log, plateau, end=plateau + 1).evaluation.step == plateau + 1
        takes_end = np.array([end, values[-1] >= values[:-1].max(), True])
        lost[run] = np.maximum(np.where(takes_end, -true_difference, true_difference), 0.0)
    return 100 * lost.mean(axis=0)


@pytest.mark.parametrize("knows_samples", [True, False])
@pytest.mark.parametrize("rows", [128, 500])
def test_over_better_and_worse_ends_the_rule_loses_less_than_always_the_best_and_always_the_end(rows, knows_samples):
    rule, best, end = np.mean([regrets(rows, rows if knows_samples else None, each) for each in TRUE_DIFFERENCES], 0)
    assert rule < best < end


@pytest.mark.parametrize("true_difference", TRUE_DIFFERENCES)
def test_with_enough_rows_the_truly_better_weights_are_kept(true_difference):
    assert regrets(20_000, 20_000, true_difference)[0] == 0.0
