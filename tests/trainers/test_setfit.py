"""SetFit."""

import random
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from transformers.trainer_utils import SchedulerType

import hf_strategies.auto  # noqa: F401
from hf_strategies import EarlyStopping, PlateauCooldown, WeightAveraging, schedule
from tests.trainers.small_models import Seen, rates_of, sentence_model, weights_of

setfit = pytest.importorskip("setfit")
# Warnings of these packages are not ours.
pytestmark = [pytest.mark.trainers, pytest.mark.filterwarnings("default")]

STEP = "exponential_warmup_step_decay"


def setfit_run(folder: Path, callback: Any, name: str = STEP) -> tuple[Any, Seen]:
    """Train the body of a SetFit model; its Trainer passes callbacks a `SetFitModel`, which is no module."""
    random.seed(0)
    sentence_model(folder / "bert").save(str(folder / "body"))
    pairs = [(time, how) for time in ("day", "sun", "night") for how in ("good", "bad")]
    rows = [{"text": f"the {time} is {how}", "label": int(how == "good")} for time, how in pairs]
    data, seen = Dataset.from_list(rows * 4), Seen()
    args = setfit.TrainingArguments(
        output_dir=str(folder / "out"),
        batch_size=8,
        max_steps=12,
        eval_strategy="steps",
        eval_steps=2,
        logging_steps=1,
        save_strategy="no",
        report_to="none",
        body_learning_rate=1e-2,
        warmup_proportion=0.2,
    )
    model = setfit.SetFitModel.from_pretrained(str(folder / "body"))
    trainer = setfit.Trainer(
        model=model, args=args, train_dataset=data, eval_dataset=data, callbacks=[callback, seen]
    )
    inner = seen.trainer = trainer.st_trainer
    inner.args.lr_scheduler_type = SchedulerType(name)  # SetFit has no argument for it
    trainer.train()
    return inner, seen


def test_it_has_the_rates_and_keeps_the_best_weights(tmp_path: Path) -> None:
    stopping = EarlyStopping("embedding_loss", mode="min", patience=2, min_delta=10.0)
    trainer, seen = setfit_run(tmp_path, stopping)
    assert rates_of(trainer) == schedule(STEP, total_steps=12, warmup_steps=0.2).learning_rates(1e-2)[:6]
    assert (stopping.result.stop_step, stopping.result.kept_step) == (6, 2)
    assert torch.equal(weights_of(trainer.model), seen.at[2])


def test_it_cools_down_at_a_plateau(tmp_path: Path) -> None:
    cooldown = PlateauCooldown(
        "embedding_loss", mode="min", patience=1, min_delta=10.0, cooldown=4, restore_best_weights="end"
    )
    trainer, seen = setfit_run(tmp_path, cooldown, "linear_warmup_plateau_cooldown")
    assert (trainer.state.global_step, cooldown.result.kept) == (cooldown.result.stop_step, "end")
    assert rates_of(trainer)[-1] < 1e-2
    assert torch.equal(weights_of(trainer.model), seen.at[trainer.state.global_step])


def test_it_is_left_with_the_average(tmp_path: Path) -> None:
    averaging = WeightAveraging("ema(over=0.5)")
    trainer, seen = setfit_run(tmp_path, averaging)
    assert averaging.result.kept == "average"
    assert torch.equal(weights_of(trainer.model), seen.at[12])  # evaluations are of the average
