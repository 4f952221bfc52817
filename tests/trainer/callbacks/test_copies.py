"""A copy or a pickle of a callback: the same settings, and nothing of a training."""

import copy
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import TrainerCallback

from hf_strategies import (
    EarlyStopping,
    GradualUnfreezing,
    LRFinder,
    PlateauCooldown,
    ReduceOnPlateau,
    StrategyError,
    WeightAveraging,
)
from tests.trainer.bert_runs import arguments, bert_trainer

EACH_STEP = {"eval_strategy": "steps", "eval_steps": 1, "max_steps": 4}
CALLBACKS: dict[str, Callable[[], TrainerCallback]] = {
    "EarlyStopping": lambda: EarlyStopping("score", patience=2, mode="max"),
    "PlateauCooldown": lambda: PlateauCooldown("score", patience=2, mode="max"),
    "ReduceOnPlateau": lambda: ReduceOnPlateau("score", patience=2, mode="max"),
    "GradualUnfreezing": lambda: GradualUnfreezing(1),
    "WeightAveraging": lambda: WeightAveraging("ema(over=3)"),
}


class Copy(TrainerCallback):
    """Copies another callback in the middle of a training, and ends the training with an error if asked to."""

    def __init__(self, callback: TrainerCallback, breaks_off: bool) -> None:
        self.callback, self.breaks_off = callback, breaks_off
        self.pickles: list[bytes] = []

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.pickles.append(pickle.dumps(copy.deepcopy(self.callback)))
        if self.breaks_off and state.global_step == 2:
            raise KeyboardInterrupt


def tensors_within(value: Any, seen: set[int] | None = None) -> list[torch.Tensor]:
    """Return the tensors that can be reached from an object by its attributes and items."""
    seen = set() if seen is None else seen
    if id(value) in seen or isinstance(value, str | int | float | type | None):
        return []
    seen.add(id(value))
    if isinstance(value, torch.Tensor):
        return [value]
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
    inner = list(items)
    inner += list(getattr(value, "__dict__", {}).values())
    return [tensor for each in inner for tensor in tensors_within(each, seen)]


@pytest.mark.parametrize("breaks_off", [False, True])
@pytest.mark.parametrize("name", CALLBACKS)
def test_a_callback_can_be_copied_in_and_after_a_training_and_holds_no_weights(
    name: str, breaks_off: bool, tmp_path: Path
) -> None:
    fresh, used = CALLBACKS[name](), CALLBACKS[name]()
    copies = Copy(used, breaks_off)
    trainer, _ = bert_trainer(arguments(tmp_path, **EACH_STEP), callbacks=[used, copies], scores=[0.1, 0.2, 0.3, 0.4])
    if breaks_off:
        with pytest.raises(KeyboardInterrupt):
            trainer.train()
    else:
        trainer.train()
        assert tensors_within(used) == []
    assert {*copies.pickles, pickle.dumps(copy.deepcopy(used))} == {pickle.dumps(copy.deepcopy(fresh))}


def test_a_copy_trains_as_the_callback_does(tmp_path: Path) -> None:
    scores = [0.5, 0.4, 0.3, 0.2]
    stopping = CALLBACKS["EarlyStopping"]()
    for callback in (stopping, pickle.loads(pickle.dumps(stopping))):
        trainer, _ = bert_trainer(arguments(tmp_path, **EACH_STEP), callbacks=[callback], scores=scores)
        trainer.train()
        assert trainer.state.global_step == 3


def test_a_copy_of_a_range_test_has_the_result_and_belongs_to_no_trainer(tmp_path: Path) -> None:
    trainer, _ = bert_trainer(arguments(tmp_path, max_steps=2))
    finder = LRFinder(trainer, steps=10)
    trainer.add_callback(finder)
    trainer.train()
    again = pickle.loads(pickle.dumps(copy.deepcopy(finder)))
    assert again.result == finder.result
    assert tensors_within(again) == []
    other, _ = bert_trainer(arguments(tmp_path, max_steps=2), callbacks=[again])
    with pytest.raises(StrategyError, match="a callback of another Trainer"):
        other.train()
