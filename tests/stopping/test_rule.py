"""The words and the record of a stop."""

import json
import math

from hf_strategies.stopping import PatienceRule


def log_of(*values: float) -> list[dict[str, float]]:
    return [
        {"eval_accuracy": value, "epoch": index + 1.0, "step": 10 * (index + 1)} for index, value in enumerate(values)
    ]


RULE = PatienceRule.read("accuracy", 2, 0.01, None)


def test_the_reason_tells_criterion_metric_step_and_best() -> None:
    assert RULE.reason(RULE.judge(log_of(0.5, 0.7, 0.705, 0.6))) == (
        "Stopped early at step 40 (epoch 4.00): eval_accuracy has not improved by more than 0.01 for 2 evaluations;"
        " best 0.7 at step 20 (epoch 2.00)."
    )


def test_the_reason_of_a_metric_that_never_was_finite_says_so() -> None:
    assert RULE.reason(RULE.judge(log_of(math.nan, math.nan))).endswith("for 2 evaluations; it never was finite.")


def test_without_a_stop_the_reason_counts_the_evaluations_without_improvement() -> None:
    judgement = RULE.judge(log_of(0.5, 0.4))
    assert RULE.reason(judgement) == "Not stopped early: 1 of 2 evaluations without improvement."


def test_the_record_is_plain_json_and_complete() -> None:
    record = RULE.record(RULE.judge(log_of(0.5, 0.7, 0.705, 0.6)))
    assert json.loads(json.dumps(record)) == record
    reason = record.pop("reason")
    assert "step 40" in reason
    assert record == {
        "monitor": "eval_accuracy",
        "mode": "max",
        "patience": 2,
        "min_delta": 0.01,
        "stopped": True,
        "stop_step": 40,
        "stop_epoch": 4.0,
        "best_step": 20,
        "best_epoch": 2.0,
        "best_value": 0.7,
        "evaluations": 4,
        "evaluations_since_best": 2,
    }


def test_the_record_of_an_empty_history_has_no_best_and_no_stop() -> None:
    record = RULE.record(RULE.judge([]))
    assert (record["stopped"], record["best_step"], record["best_value"], record["evaluations"]) == (
        False,
        None,
        None,
        0,
    )
