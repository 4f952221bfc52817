"""Trainers that a program makes by itself get what the flags ask for, and conflicts are told."""

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import Trainer, TrainingArguments

from hf_strategies import EarlyStopping, StrategyArguments, StrategyError
from hf_strategies.trainer.every_trainer import apply_to_every_trainer
from tests.tiny import TinyModel
from tests.trainer.bert_runs import arguments, bert


@pytest.fixture
def _restored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Trainer, "__init__", Trainer.__init__)


pytestmark = pytest.mark.usefixtures("_restored")


def kinds(trainer: Trainer) -> list[str]:
    return [type(each).__name__ for each in trainer.callback_handler.callbacks]


def settings(folder: Path, **options: Any) -> TrainingArguments:
    given = {"use_cpu": True, "report_to": "none"} | options
    return TrainingArguments(str(folder), **given)


class Marked(EarlyStopping):
    """A callback of the program's own."""


def test_each_gets_callbacks_of_its_own_before_those_of_the_program(tmp_path: Path) -> None:
    made: list[int] = []
    apply_to_every_trainer(StrategyArguments(early_stopping_patience=3), lambda: made.append(1))
    mine = Marked(patience=2)
    first, second = (Trainer(TinyModel(), settings(tmp_path), callbacks=[mine]) for _ in range(2))
    assert made == [1, 1]
    for trainer in (first, second):
        names = kinds(trainer)
        assert names.index("EarlyStopping") < names.index("Marked")
    ours = [next(e for e in t.callback_handler.callbacks if type(e) is EarlyStopping) for t in (first, second)]
    assert ours[0] is not ours[1]


def test_arguments_may_be_given_by_place_and_by_subclasses(tmp_path: Path) -> None:
    class Own(Trainer):
        def __init__(self, model: Any, args: Any) -> None:
            super().__init__(model, args)

    apply_to_every_trainer(StrategyArguments(early_stopping_patience=3))
    assert "EarlyStopping" in kinds(Own(TinyModel(), settings(tmp_path)))


def test_rates_by_depth_reach_the_optimizer(tmp_path: Path) -> None:
    apply_to_every_trainer(StrategyArguments(layer_decay=0.5))
    trainer = Trainer(bert(), arguments(tmp_path))
    rates = sorted({group["lr"] for group in trainer.create_optimizer().param_groups})
    assert len(rates) > 2
    assert rates[-2] == pytest.approx(rates[-1] / 2)


@pytest.mark.parametrize("option", ["optimizers", "optimizer_cls_and_kwargs"])
def test_an_optimizer_of_the_program_does_not_drop_them_in_silence(option: str, tmp_path: Path) -> None:
    apply_to_every_trainer(StrategyArguments(layer_decay=0.5))
    model = TinyModel()
    values: dict[str, Any] = {
        "optimizers": (torch.optim.SGD(model.parameters(), lr=0.1), None),
        "optimizer_cls_and_kwargs": (torch.optim.SGD, {"lr": 0.1}),
    }
    with pytest.raises(
        StrategyError,
        match="head_learning_rate and parameter_groups are not applied, because this program",
    ):
        Trainer(model, settings(tmp_path), **{option: values[option]})


def test_a_scheduler_of_the_program_does_not_replace_a_named_schedule_in_silence(tmp_path: Path) -> None:
    apply_to_every_trainer(StrategyArguments())
    model = TinyModel()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    both = (optimizer, torch.optim.lr_scheduler.ConstantLR(optimizer))
    named = settings(tmp_path, lr_scheduler_type="exponential_warmup_step_decay")
    with pytest.raises(
        StrategyError, match=r"lr_scheduler_type='exponential_warmup_step_decay' is not used.*ConstantLR"
    ):
        Trainer(model, named, optimizers=both)
    assert "PrinterCallback" in kinds(Trainer(model, settings(tmp_path, disable_tqdm=True), optimizers=both))


@pytest.mark.parametrize("other", [EarlyStopping(patience=2), EarlyStopping])
def test_a_callback_that_the_program_has_is_not_added_twice(other: Any, tmp_path: Path) -> None:
    apply_to_every_trainer(StrategyArguments(early_stopping_patience=3))
    with pytest.raises(StrategyError, match="gives its Trainer EarlyStopping already: leave the flags"):
        Trainer(TinyModel(), settings(tmp_path), callbacks=[other])


def test_wrong_arguments_raise_the_error_of_python(tmp_path: Path) -> None:
    apply_to_every_trainer(StrategyArguments())
    with pytest.raises(TypeError, match="no_such"):
        Trainer(TinyModel(), settings(tmp_path), no_such=1)
