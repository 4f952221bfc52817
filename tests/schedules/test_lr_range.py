"""The range test on curves made by hand, whose steepest point is known."""

import math
import random
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest

from hf_strategies import StrategyError
from hf_strategies.schedules.lr_range import Ramp, read_range_test, smooth, stop_reason

RAMP = Ramp(1e-6, 1.0, 61)  # ten steps to the decade
RATES = [RAMP.rate(step) for step in range(61)]


def logistic(rate: float, middle: float = 1e-3) -> float:
    """Falls from 1 to 0; against log(rate) it is symmetric about ``middle``, and steepest there."""
    return 1.0 / (1.0 + rate / middle)


# --- the ramp -------------------------------------------------------------------------------------------------


def test_the_ramp_begins_and_ends_exactly_where_it_was_told() -> None:
    assert (RATES[0], RATES[-1]) == (1e-6, 1.0)


def test_the_ramp_grows_by_one_factor_per_step() -> None:
    factors = [later / earlier for earlier, later in pairwise(RATES)]
    assert factors == pytest.approx([10**0.1] * 60, rel=1e-12)


def test_numbers_may_be_text_as_flags_and_yaml_leave_them() -> None:
    assert Ramp("1e-6", "1", "61") == RAMP  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"start_lr": 0}, "start_lr=0 is not above 0"),
        ({"start_lr": "small"}, "start_lr='small' is not a number"),
        ({"end_lr": 1e-7}, "end_lr=1e-07 is not above start_lr=1e-07"),
        ({"end_lr": math.inf}, "end_lr=inf is not finite"),
        ({"steps": 9}, "steps=9 is no whole number from 10 on"),
        ({"steps": 10.5}, "steps=10.5 is no whole number"),
    ],
)
def test_a_bad_ramp_is_refused_with_argument_value_and_remedy(options: dict[str, Any], words: str) -> None:
    with pytest.raises(StrategyError, match=words) as told:
        Ramp(**({"start_lr": 1e-7, "end_lr": 1.0, "steps": 100} | options))
    assert ": give " in str(told.value)


# --- smoothing ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("beta", [0.0, 0.5, 0.9, 0.98])
def test_smoothing_leaves_a_constant_as_it_is(beta: float) -> None:
    assert smooth([2.5] * 30, beta) == pytest.approx([2.5] * 30, rel=1e-12)


def test_without_smoothing_the_losses_stay() -> None:
    assert smooth([3.0, 1.0, 2.0, 5.0], 0.0) == (3.0, 1.0, 2.0, 5.0)


def test_a_falling_line_does_not_lag_away_from_the_edges() -> None:
    line = [100.0 - step for step in range(101)]
    assert smooth(line, 0.8)[40:60] == pytest.approx(line[40:60], abs=1e-2)


def test_what_diverges_later_does_not_weigh_on_the_fall() -> None:
    fall = [logistic(rate) for rate in RATES]
    assert smooth([*fall, 1e9], 0.9)[:61] == smooth(fall, 0.9)


def test_smoothing_nothing_gives_nothing() -> None:
    assert smooth([], 0.9) == ()


# --- when to stop ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("losses", "stops"),
    [
        ([], False),
        ([1.0], False),
        ([1.0, 4.0], False),
        ([1.0, 4.01], True),
        ([1.0, 0.5, 1.9], False),
        ([1.0, 0.5, 2.1], True),
        ([1.0, math.nan], True),
        ([math.inf], True),
        ([-1.0, -2.0, -1.0], False),
        ([-1.0, -2.0, 4.1], True),
    ],
)
def test_it_stops_above_four_times_the_best_and_at_what_is_not_finite(losses: list[float], stops: bool) -> None:
    assert (stop_reason(losses, beta=0.0) is not None) is stops


def test_one_bad_batch_does_not_stop_a_smoothed_test() -> None:
    losses = [1.0] * 20 + [6.0]
    assert stop_reason(losses, beta=0.0) is not None
    assert stop_reason(losses, beta=0.9) is None


# --- the suggestion -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("beta", [0.0, 0.5, 0.9])
def test_the_suggestion_is_the_steepest_point_of_the_curve(beta: float) -> None:
    result = read_range_test(RATES, [logistic(rate) for rate in RATES], beta=beta)
    assert result.suggestion == pytest.approx(1e-3, rel=1e-9)


@pytest.mark.parametrize("middle", [1e-5, 1e-4, 1e-2])
def test_the_suggestion_moves_with_the_curve(middle: float) -> None:
    result = read_range_test(RATES, [logistic(rate, middle) for rate in RATES], beta=0.5)
    assert result.suggestion == pytest.approx(middle, rel=0.3)


def test_a_steeper_fall_after_the_minimum_does_not_count() -> None:
    losses = [1.0, 0.9, 0.5, 0.1, 0.0, 5.0, 9.0, 4.0, 3.0]
    assert read_range_test(RATES[:9], losses, beta=0.0).suggestion == RATES[2]


def test_the_minimum_over_ten_is_a_tenth_of_the_rate_at_the_minimum() -> None:
    losses = [math.log10(rate / 1e-2) ** 2 for rate in RATES]  # a parabola about 1e-2
    assert read_range_test(RATES, losses, beta=0.0).minimum_over_ten == pytest.approx(1e-3)


def test_a_noisy_fall_is_found_within_a_factor_of_five() -> None:
    chance = random.Random(0)
    for _ in range(50):
        losses = [logistic(rate) + chance.gauss(0.0, 0.1) for rate in RATES]
        suggestion = read_range_test(RATES, losses).suggestion
        assert suggestion is not None
        assert 2e-4 < suggestion < 5e-3


@pytest.mark.parametrize(
    "curve",
    [lambda rate: 2.0, lambda rate: 1.0 + rate, lambda rate: 10.0 + math.log(rate)],
    ids=["flat", "rising", "rising evenly"],
)
def test_a_curve_that_never_falls_gives_no_suggestion_and_says_so(curve: Callable[[float], float]) -> None:
    result = read_range_test(RATES, [curve(rate) for rate in RATES])
    assert (result.suggestion, result.minimum_over_ten) == (None, None)
    assert str(result).startswith("No learning rate to suggest: the loss never fell by more than its own noise.")


def test_pure_noise_gives_a_suggestion_in_less_than_one_case_of_ten() -> None:
    chance = random.Random(0)
    curves = [[1.0 + chance.gauss(0.0, 0.1) for _ in RATES] for _ in range(200)]
    assert sum(read_range_test(RATES, losses).suggestion is not None for losses in curves) < 20


@pytest.mark.parametrize("count", [0, 1, 2])
def test_too_few_losses_give_no_suggestion(count: int) -> None:
    assert read_range_test(RATES[:count], [3.0, 1.0][:count]).suggestion is None


def test_a_last_loss_that_is_not_finite_is_left_out() -> None:
    losses = [*map(logistic, RATES[:-1]), math.nan]
    result = read_range_test(RATES, losses, stopped_because=stop_reason(losses))
    assert result.losses == tuple(losses[:-1])
    assert len(result.rates) == len(result.smoothed) == 60
    assert "stopped because the loss is nan" in str(result)


def test_a_loss_that_falls_to_the_end_of_the_ramp_is_said_to() -> None:
    result = read_range_test(RATES, [-math.log(rate) for rate in RATES])
    assert str(result).endswith("run to the end of the ramp. The loss was still falling: give a larger end_lr.")


def test_both_suggestions_are_in_one_line() -> None:
    losses = [logistic(rate) + (10 * rate) ** 2 for rate in RATES]
    line = str(read_range_test(RATES, losses, beta=0.5))
    assert line.startswith("Suggested learning rate 0.001 (steepest descent), or 0.0")
    assert "(minimum / 10). Range test of 61 steps, run to the end of the ramp." in line
    assert "\n" not in line


@pytest.mark.parametrize("beta", [1.0, -0.1, "much"])
def test_a_bad_beta_is_refused(beta: Any) -> None:
    with pytest.raises(StrategyError, match="beta="):
        read_range_test(RATES, RATES, beta=beta)


def test_rates_and_losses_of_different_lengths_are_refused() -> None:
    with pytest.raises(StrategyError, match="61 rates do not fit 1 losses: give one loss for each rate"):
        read_range_test(RATES, [1.0])
