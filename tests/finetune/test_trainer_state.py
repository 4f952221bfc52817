"""States of a Trainer that training cannot go on from are named, and those that it writes are none of them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hf_strategies.finetune.trainer_state import fault_of_state

STATE = {"global_step": 4, "log_history": [{"loss": 1.0, "step": 4}]}
CONTROL = {"TrainerControl": {"args": {"should_save": True}, "attributes": {}}}


def test_what_a_trainer_writes_has_no_fault(make_trainer: Callable[..., Any], tmp_path: Path) -> None:
    make_trainer(max_steps=1, save_strategy="steps", save_steps=1).train()
    state = json.loads((tmp_path / "out" / "checkpoint-1" / "trainer_state.json").read_text(encoding="utf-8"))
    assert fault_of_state(state) is None


@pytest.mark.parametrize(
    ("entries", "fault"),
    [
        ({"epoch": "x"}, "has no epoch that can be used"),
        ({"max_steps": None}, "has no max_steps that can be used"),
        ({"train_batch_size": None}, "has no train_batch_size that can be used"),
        ({"stateful_callbacks": {}}, "has no stateful_callbacks that can be used"),
        ({"stateful_callbacks": [1]}, "has no stateful_callbacks that can be used"),
        ({"stateful_callbacks": {**CONTROL, "EarlyStopping": 5}}, "has no stateful_callbacks that can be used"),
        (
            {"stateful_callbacks": {**CONTROL, "EarlyStopping": [{"args": 5}]}},
            "has no stateful_callbacks that can be used",
        ),
        ({"log_history": ["a"]}, "is no state of a Trainer"),
        ({"log_history": [{"step": "4"}]}, "is no state of a Trainer"),
        ({"global_step": True}, "is no state of a Trainer"),
        ({"shade": 1}, "has 'shade', which this version of transformers does not know"),
        ({"best_metric": None, "stateful_callbacks": CONTROL, "is_world_process_zero": False}, None),
    ],
)
def test_an_odd_entry_is_named(entries: dict[str, Any], fault: str | None) -> None:
    assert fault_of_state(STATE | entries) == fault


@pytest.mark.parametrize("content", [None, [], 4])
def test_another_kind_of_content_is_none(content: Any) -> None:
    assert fault_of_state(content) == "is no JSON"
