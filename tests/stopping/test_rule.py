"""The words and the record of a stop."""

import json
import math
from typing import Any

import pytest

from hf_strategies.stopping import StoppingRule, reason, record


def log_of(*values: float) -> list[dict[str, float]]:
    return [
        {"eval_accuracy": value, "epoch": index + 1.0, "step": 10 * (index + 1)} for index, value in enumerate(values)
    ]


RULE = StoppingRule.read("accuracy", "patience(2)", min_delta=0.01)


def test_the_reason_tells_criterion_metric_step_and_best() -> None:
    assert reason(RULE, RULE.judge(log_of(0.5, 0.7, 0.705, 0.6))) == (
        "Stopped early at step 40 (epoch 4.00): eval_accuracy has not improved by more than 0.01 for 2 evaluations;"
        " best 0.7 at step 20 (epoch 2.00)."
    )


def test_the_reason_of_a_metric_that_never_was_finite_says_so() -> None:
    words = reason(RULE, RULE.judge(log_of(math.nan, math.nan)))
    assert words.endswith("for 2 evaluations; eval_accuracy never was finite.")


def test_without_a_stop_the_reason_counts_the_evaluations_without_improvement() -> None:
    assert reason(RULE, RULE.judge(log_of(0.5, 0.4))) == "Not stopped early: no improvement 1/2."


@pytest.mark.parametrize(
    ("stop_when", "settings", "values", "words"),
    [
        ("patience(3)", {}, (0.5, 0.4, 0.3), "no improvement 2/3"),
        ("target(0.9) or patience(3)", {}, (0.5, 0.4), "no improvement 1/3"),
        ("target(0.9)", {}, (0.5, 0.4), "no improvement for 1"),
        ("patience('500 steps')", {}, (0.5, 0.4), "no improvement for 1"),
        # as the criterion counts: 0.55 and 0.58 are no improvements to it, 0.6 does not beat the baseline
        ("patience(3, min_delta=0.1)", {}, (0.5, 0.55, 0.58), "no improvement 2/3"),
        ("patience(9, baseline=0.9)", {}, (0.5, 0.55, 0.6), "no improvement 3/9"),
        ("patience(3, smoothing='mean(2)')", {}, (0.5, 0.7, 0.4), "no improvement 1/3"),  # 0.5, 0.6, 0.55
        ("patience(3)", {"start_from": 1}, (0.9, 0.5, 0.4), "no improvement 1/3"),
        ("patience(2)", {}, (0.5, 0.4, 0.3, 0.2, 0.1), "no improvement 2/2"),  # not beyond the stop
        ("patience(2)", {}, (), "no improvement 0/2"),
        ("patience(2, monitor=loss)", {}, (), "no improvement for 0"),
    ],
)
def test_the_progress_is_what_the_patience_has_counted(
    stop_when: str, settings: dict[str, Any], values: tuple[float, ...], words: str
) -> None:
    rule = StoppingRule.read("accuracy", stop_when, **settings)
    assert rule.progress(rule.judge(log_of(*values))) == words


def test_the_progress_of_a_run_that_trains_on_is_counted_from_there() -> None:
    judgement = RULE.judge(log_of(0.9, 0.8, 0.7, 0.6, 0.5), after_step=30)
    assert RULE.progress(judgement) == "no improvement 1/2"


def test_the_record_is_plain_json_and_complete() -> None:
    found = record(RULE, RULE.judge(log_of(0.5, 0.7, 0.705, 0.6)))
    assert json.loads(json.dumps(found)) == found
    assert "step 40" in found.pop("reason")
    assert found == {
        "monitor": "eval_accuracy",
        "mode": "max",
        "criterion": "patience(2)",
        "settings": "eval_accuracy, patience(2), min_delta=0.01",
        "stopped": True,
        "stop_step": 40,
        "stop_epoch": 4.0,
        "stop_value": 0.6,
        "best_step": 20,
        "best_epoch": 2.0,
        "best_value": 0.7,
        "values": [0.5, 0.7, 0.705, 0.6],
        "evaluations": 4,
        "evaluations_since_best": 2,
    }


def test_the_record_of_an_empty_history_has_no_best_and_no_stop() -> None:
    found = record(RULE, RULE.judge([]))
    assert not found["stopped"]
    assert (found["best_step"], found["best_value"], found["stop_step"], found["values"]) == (None, None, None, [])


def test_the_settings_name_all_that_was_given() -> None:
    rule = StoppingRule.read("accuracy", "target(0.95)", smoothing="ema(0.3)", start_from="2ep", z=1.5, samples=99)
    assert str(rule) == "ema(0.3)[eval_accuracy], target(0.95), z=1.5, samples=99, start_from='2ep'"


def test_every_budget_of_a_rule_is_known() -> None:
    rule = StoppingRule.read("loss", "time_budget('1h') or time_budget('30min') or token_budget(5)")
    assert rule.budgets == [("seconds", 3600.0), ("seconds", 1800.0), ("tokens", 5.0)]
