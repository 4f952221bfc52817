"""Patience over score lists with the stop and the best worked out by hand, and the direction of metrics."""

import math
from typing import Any

import pytest

from hf_strategies import StrategyError, verdict
from hf_strategies.stopping import Verdict, direction, evaluations

NAN, INF = math.nan, math.inf

# scores, criterion, settings, index of the stop (None: goes on), index of the best
TABLE: list[tuple[list[float], str, dict[str, Any], int | None, int | None]] = [
    ([], "patience(1)", {}, None, None),
    ([1.0], "patience(1)", {}, None, 0),
    ([1.0, 0.9, 0.8], "patience(1)", {}, None, 2),
    ([1.0, 1.0], "patience(1)", {}, 1, 0),  # an equal value is no improvement
    ([1.0, 1.1], "patience(1)", {}, 1, 0),
    ([1.0, 1.1, 0.9, 1.0, 1.0], "patience(2)", {}, 4, 2),  # an improvement resets the count
    ([1.0, 1.1, 1.2, 0.1], "patience(2)", {}, 2, 0),  # what comes after the stop does not count
    ([0.5, 0.6, 0.7, 0.6, 0.65], "patience(2)", {"mode": "max"}, 4, 2),
    ([0.5, 0.6, 0.7], "patience(1)", {"mode": "max"}, None, 2),
    # min_delta: must be beaten, not just reached
    ([1.0, 0.75, 0.5], "patience(1)", {"min_delta": 0.25}, 1, 0),
    ([1.0, 0.74, 0.48], "patience(1)", {"min_delta": 0.25}, None, 2),
    # steady small gains add up against the best that stands still: +0.004 at threshold 0.005
    ([0.500, 0.504, 0.508, 0.512, 0.516], "patience(3)", {"min_delta": 0.005, "mode": "max"}, None, 4),
    ([0.500, 0.504, 0.508, 0.512], "patience(3)", {"min_delta": 0.02, "mode": "max"}, 3, 0),
    # NaN and infinities never improve, not even the good infinity
    ([1.0, NAN, 0.9], "patience(2)", {}, None, 2),
    ([1.0, NAN, NAN], "patience(2)", {}, 2, 0),
    ([NAN, NAN, NAN], "patience(3)", {}, 2, None),
    ([NAN, 1.0, 0.9], "patience(2)", {}, None, 2),
    ([1.0, -INF, 0.9, 0.95, 0.95], "patience(2)", {}, 4, 2),
    ([0.1, INF, 0.2], "patience(2)", {"mode": "max"}, None, 2),
]


@pytest.mark.parametrize(("scores", "stop_when", "settings", "stop", "best"), TABLE)
def test_stops_and_is_best_where_worked_out_by_hand(
    scores: list[float], stop_when: str, settings: dict[str, Any], stop: int | None, best: int | None
) -> None:
    found = verdict(scores, stop_when, **settings)
    assert (found.stop_index, found.best_index) == (stop, best)
    if stop is not None:
        assert found == Verdict(stop, best, stop + 1 if best is None else stop - best)
    assert found.should_stop == (stop is not None)


def test_the_count_starts_again_at_each_improvement() -> None:
    scores = [3.0, 4.0, 2.0, 2.5, 2.4, 1.0, 1.5]
    waited = [verdict(scores[: index + 1], "patience(9)").waited for index in range(len(scores))]
    assert waited == [0, 1, 0, 1, 2, 0, 1]


@pytest.mark.parametrize("name", ["loss", "eval_loss", "perplexity", "wer", "rmse", "nll", "mae"])
def test_metrics_that_fall_are_known_to_fall(name: str) -> None:
    assert direction(name) == "min"


@pytest.mark.parametrize("name", ["accuracy", "eval_f1", "macro_f1", "f1_micro", "bleu", "matthews_correlation"])
def test_metrics_that_rise_are_known_to_rise(name: str) -> None:
    assert direction(name) == "max"


@pytest.mark.parametrize("name", ["score", "neg_mean_scored_error", "eval_sst2_accuracy", "lossy", "my_loss"])
def test_an_unknown_metric_s_direction_is_asked_for_not_guessed(name: str) -> None:
    with pytest.raises(StrategyError, match=f"monitor='{name.removeprefix('eval_')}'.*give mode='min' or mode='max'"):
        direction(name)
    assert direction(name, "max") == "max"


def test_a_mistyped_metric_gets_its_near_match() -> None:
    with pytest.raises(StrategyError, match="did you mean 'accuracy'"):
        direction("acuracy")


def test_an_unknown_mode_is_refused() -> None:
    with pytest.raises(StrategyError, match="mode='auto' is no direction"):
        direction("loss", "auto")


def test_evaluations_are_read_once_per_step_and_of_the_monitored_metric_only() -> None:
    log = [
        {"loss": 2.0, "learning_rate": 0.1, "epoch": 0.5, "step": 5},
        {"eval_loss": 1.5, "eval_accuracy": 0.4, "epoch": 1.0, "step": 10},
        {"eval_other_loss": 9.0, "epoch": 1.0, "step": 10},
        {"eval_loss": 1.4, "epoch": 1.0, "step": 10},
        {"eval_loss": 1.2, "epoch": 2.0, "step": 20},
        {"train_runtime": 3.0, "step": 20},
    ]
    assert [(e.step, e.epoch, e.value) for e in evaluations(log, "loss")] == [(10, 1.0, 1.5), (20, 2.0, 1.2)]
    assert [e.value for e in evaluations(log, "eval_accuracy")] == [0.4]
    assert [e.value for e in evaluations(log, "other_loss")] == [9.0]
