"""Which weights a training has ended with, from states written by hand."""

from typing import Any

import pytest

from hf_strategies.report.run.final_weights import final_weights
from tests.report.run.states import RECORD, state

AVERAGE = {"average": "ema(over=100)", "start": 5, "updates": 25, "is_final": True}
WORDS = "the average ema(over=100) of the weights of steps 6 to"
COOLED = {"monitor": "eval_accuracy", "best_step": 30, "best_value": 0.725, "restored_best_weights": False}


def with_records(**records: Any) -> dict[str, Any]:
    names = {"stopping": "early_stopping", "cooldown": "plateau_cooldown", "average": "weight_averaging"}
    return state() | {"stateful_callbacks": {names[name]: record for name, record in records.items()}}


@pytest.mark.parametrize(
    ("records", "text"),
    [
        ({}, "the last ones, of step 30"),
        ({"stopping": RECORD}, "the best ones, of step 10 (eval_accuracy 0.75)"),
        ({"stopping": RECORD | {"restored_best_weights": False}}, "the last ones, of step 30"),
        ({"cooldown": COOLED | {"kept": "end"}}, "those of the end of the cooldown, of step 30"),
        (
            {"cooldown": COOLED | {"kept": "end", "restored_best_weights": True}},
            "those of the end of the cooldown, of step 30",
        ),
        (
            {"cooldown": COOLED | {"kept": "best", "best_step": 20, "restored_best_weights": True}},
            "the best ones, of step 20 (eval_accuracy 0.725)",
        ),
        (
            {"average": AVERAGE},
            f"{WORDS} 30",
        ),
        (
            {"average": AVERAGE, "stopping": RECORD | {"measured_on": "the average"}},
            f"the best ones, of step 10 (eval_accuracy 0.75): {WORDS} 10",
        ),
        (
            {
                "average": AVERAGE | {"is_final": False},
                "cooldown": COOLED | {"kept": "average", "best_step": 20, "restored_best_weights": True},
            },
            f"the best ones, of step 20 (eval_accuracy 0.725): {WORDS} 20",
        ),
        (
            {"average": AVERAGE | {"is_final": False}, "cooldown": COOLED | {"kept": "end"}},
            "those of the end of the cooldown, of step 30",
        ),
    ],
)
def test_the_text_names_the_weights_and_where_they_come_from(records: dict[str, Any], text: str) -> None:
    assert final_weights(with_records(**records)) == text


def test_the_best_checkpoint_of_the_trainer_is_named_where_it_is_loaded() -> None:
    best = state() | {"best_global_step": 20}
    assert final_weights(best, loads_best=True) == "those of the best checkpoint, of step 20"
    assert final_weights(best, loads_best=False) == "the last ones, of step 30"


def test_a_run_without_a_step_has_none() -> None:
    assert final_weights({"log_history": [{"eval_loss": 0.5, "step": 0}]}) is None
