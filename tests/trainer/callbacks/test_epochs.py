"""Lengths in epochs of data that have no length: the Trainer takes the whole training for one epoch."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from torch.utils.data import IterableDataset
from transformers import TrainerCallback

from hf_strategies import EarlyStopping, GradualUnfreezing, PlateauCooldown, StrategyError
from tests.tiny import tiny_examples


class Stream(IterableDataset[Any]):
    """The examples over and over again."""

    def __iter__(self) -> Iterator[Any]:
        while True:
            yield from tiny_examples()


OPTIONS = {"eval_strategy": "steps", "eval_steps": 1, "max_steps": 4, "lr_scheduler_type": "constant"}


def train(make_trainer: Callable[..., Any], callback: TrainerCallback) -> int:
    trainer = make_trainer([0.5] * 4, callbacks=[callback], **OPTIONS)
    trainer.train_dataset = Stream()
    trainer.train()
    return int(trainer.state.global_step)


@pytest.mark.parametrize(
    ("callback", "words"),
    [
        (lambda: EarlyStopping("score", "1ep", mode="max"), "patience='1ep'"),
        (lambda: EarlyStopping("score", mode="max", start_from="0.5ep"), "start_from='0.5ep'"),
        (
            lambda: EarlyStopping("score", mode="max", stop_when="target(1) and patience('2ep')"),
            "patience='2ep'",
        ),
        (lambda: PlateauCooldown("score", "1ep", mode="max"), "patience='1ep'"),
        (lambda: PlateauCooldown("score", 2, "1ep", mode="max"), "cooldown='1ep'"),
        (lambda: GradualUnfreezing("1ep"), "every='1ep'"),
    ],
)
def test_are_refused_when_training_begins(
    callback: Callable[[], Any], words: str, make_trainer: Callable[..., Any]
) -> None:
    with pytest.raises(StrategyError, match=f"^{words} counts epochs, and the training data have no length"):
        train(make_trainer, callback())


@pytest.mark.parametrize("patience", [2, "2 steps", 0.5])
def test_other_lengths_are_counted(patience: Any, make_trainer: Callable[..., Any]) -> None:
    # equal scores: two evaluations, steps or half of four steps after the first
    assert train(make_trainer, EarlyStopping("score", patience, mode="max")) == 3
