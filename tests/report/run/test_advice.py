"""Advice on logs that were worked out by hand, and on those that support none."""

import math
from collections.abc import Sequence
from typing import Any

import pytest

from hf_strategies.report.run.advice import (
    advice,
    long_warmup,
    losses_not_finite,
    noisy_improvements,
    rate_at_the_end,
    wasted_steps,
)
from hf_strategies.report.run.logged_run import LoggedRun
from tests.report.run.runs import STOCK_STOP, cosine, logged, stock
from tests.report.run.states import RECORD

FALLING = [1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1]
# The best of ten evaluations is the third, and there is no dip before it.
OVERFITTED = [0.9, 0.7, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2]


def test_a_run_of_which_all_is_well_gets_no_advice() -> None:
    assert advice(logged(FALLING, cosine(100, 10))) == []


def test_a_run_that_is_not_over_gets_no_advice() -> None:
    """The state of a checkpoint: rate and validation may go on in any way."""
    state = stock(OVERFITTED, [1e-3] * 10, planned=1000)
    run = LoggedRun.of_state("a", state)
    assert not run.end.is_over
    assert advice(run) == []


@pytest.mark.parametrize(
    "state", [{"log_history": []}, stock([0.5]), stock([], [1e-3])], ids=["empty", "one", "rate"]
)
def test_a_log_with_next_to_nothing_gets_no_advice(state: dict[str, Any]) -> None:
    assert advice(LoggedRun.of_state("a", state)) == []


class TestWarmup:
    """The warmup as a share of the steps."""

    def test_a_logged_one_of_39_of_100_steps_is_told(self) -> None:
        """The rate is at its peak after 39 steps, and logged with step 40."""
        assert long_warmup(logged([], cosine(100, 39))) == "warmup took about 39 % of the run (to step 39 of 100)"

    def test_a_planned_one_is_known_exactly(self) -> None:
        record = {
            "plan": '{"name": "linear_warmup_cosine_decay", "total_steps": 100, "warmup_steps": 50, "parameters": {},'
            ' "horizon": 100, "stretches": []}',
            "peaks": [1e-3],
        }
        run = logged([], cosine(100, 50), callbacks={"hf_strategies_schedule": record})
        assert long_warmup(run) == "warmup took 50 % of the run (to step 50 of 100)"

    @pytest.mark.parametrize(
        "rates",
        [cosine(100, 10), [1e-3] * 10, FALLING, FALLING[::-1], [], [math.nan] * 10],
        ids=["short", "constant", "falling", "rising to the end", "none", "nan"],
    )
    def test_nothing_is_told_of_other_rates(self, rates: Sequence[float]) -> None:
        assert long_warmup(logged([], rates)) is None


class TestWastedSteps:
    """The patience that keeps the best evaluation and saves most."""

    def test_the_cheapest_patience_that_keeps_the_best_is_told(self) -> None:
        """Best at step 30 of 100; patience 1 stops at 40."""
        expected = "validation was best at 30 % of the steps; patience 1 would have saved 60 %"
        assert wasted_steps(logged(OVERFITTED)) == expected

    def test_a_dip_before_the_best_takes_more_patience(self) -> None:
        """Without the fourth evaluation patience 2 is needed; the best is at 50, and it stops at 70."""
        values = [0.9, 0.7, 0.8, 0.75, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0]
        assert wasted_steps(logged(values)) == (
            "validation was best at 50 % of the steps; patience 3 would have saved 20 %"
        )

    def test_a_metric_where_higher_is_better_is_read_so(self) -> None:
        run = logged([1 - value / 2 for value in OVERFITTED], metric="eval_accuracy")
        assert wasted_steps(run) == "validation was best at 30 % of the steps; patience 1 would have saved 60 %"

    def test_a_name_that_is_no_expression_is_read_too(self) -> None:
        state = stock(OVERFITTED, metric="eval_<b>loss</b> of $x$")
        run = LoggedRun.of_state("a", state, monitor="'<b>loss</b> of $x$'", mode="min")
        assert wasted_steps(run) == "validation was best at 30 % of the steps; patience 1 would have saved 60 %"

    @pytest.mark.parametrize(
        ("values", "options"),
        [
            (FALLING, {}),
            ([0.9, 0.5, 0.6, 0.7], {}),
            ([math.nan] * 10, {}),
            (OVERFITTED, {"metric": "eval_my_score"}),
            ([0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1, 0.2], {}),
            (OVERFITTED, {"callbacks": {"early_stopping": RECORD | {"monitor": "eval_loss"}}}),
        ],
        ids=["best at the end", "four evaluations", "nan", "unknown direction", "saves too little", "our own stop"],
    )
    def test_nothing_is_told_where_nothing_is_known_to_be_wasted(
        self, values: Sequence[float], options: dict[str, Any]
    ) -> None:
        assert wasted_steps(logged(values, **options)) is None


class TestLastRate:
    """The rate of the last step beside the peak."""

    def test_an_early_stop_of_a_falling_schedule_is_told_with_its_ratio(self) -> None:
        run = logged([], [1.0, 0.9, 0.8, 0.7, 0.6], planned=100, callbacks=STOCK_STOP)
        assert rate_at_the_end(run) == "the rate was still at 60 % of the peak when it stopped (step 50)"

    @pytest.mark.parametrize("rates", [cosine(100, 10), [], [1e-3], [0.0] * 5, [math.nan] * 5])
    def test_nothing_is_told_of_a_rate_that_landed_or_that_is_not_known(self, rates: Sequence[float]) -> None:
        assert rate_at_the_end(logged([], rates)) is None

    def test_nothing_is_told_if_no_rate_was_logged_near_the_end(self) -> None:
        assert rate_at_the_end(logged(FALLING, [1.0, 0.9, 0.8])) is None


class TestNoise:
    """Improvements beside the standard error of the metric."""

    # The gains are 0.1, 0.01, 0.005, 0.1 and 0.015; the evaluation of 0.8 is none.
    VALUES = (0.5, 0.6, 0.61, 0.615, 0.715, 0.7, 0.73)

    def run(self, error: float, **options: Any) -> LoggedRun:
        errors = [error] * len(self.VALUES)
        return logged(self.VALUES, metric="eval_accuracy", eval_accuracy_stderr=errors, **options)

    def test_improvements_within_a_standard_error_are_counted(self) -> None:
        expected = "validation noise (s.e. 0.02) exceeds min_delta: 3 of 5 improvements are within it"
        assert noisy_improvements(self.run(0.02)) == expected

    def test_the_min_delta_of_the_run_is_the_one_compared_with(self) -> None:
        """With min_delta 0.012 the improvements are 0.1 (to 0.6), 0.015 (to 0.615), 0.1 and 0.015."""
        settings = "eval_accuracy, patience(3), min_delta=0.012"
        record = RECORD | {"monitor": "eval_accuracy", "mode": "max", "settings": settings, "stopped": False}
        run = self.run(0.02, callbacks={"early_stopping": record})
        expected = "validation noise (s.e. 0.02) exceeds min_delta 0.012: 2 of 4 improvements are within it"
        assert noisy_improvements(run) == expected

    def test_nothing_is_told_of_a_small_error_or_an_unknown_one(self) -> None:
        assert noisy_improvements(self.run(0.001)) is None
        assert noisy_improvements(logged(self.VALUES, metric="eval_accuracy")) is None
        assert noisy_improvements(self.run(math.nan)) is None
        assert noisy_improvements(self.run(-1.0)) is None

    def test_nothing_is_told_of_a_rule_that_counts_in_standard_errors(self) -> None:
        settings = "eval_accuracy, patience(3), z=1"
        record = RECORD | {"monitor": "eval_accuracy", "mode": "max", "settings": settings, "stopped": False}
        assert noisy_improvements(self.run(0.02, callbacks={"early_stopping": record})) is None


def test_losses_that_are_not_finite_are_counted_with_the_first() -> None:
    state = stock([], [1e-3] * 4)
    for index in (1, 3):
        state["log_history"][index]["loss"] = (math.nan, math.inf)[index == 3]
    run = LoggedRun.of_state("a", state)
    assert losses_not_finite(run) == "2 of 4 logged training losses are not finite, the first at step 20"
    assert losses_not_finite(logged([], [1e-3] * 4)) is None
