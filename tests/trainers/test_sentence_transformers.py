"""sentence-transformers."""

from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset

import hf_strategies.auto  # noqa: F401
from hf_strategies import EarlyStopping, RunReport, schedule
from tests.trainers.small_models import Seen, rates_of, reported, sentence_model, weights_of

sentence_transformers = pytest.importorskip("sentence_transformers")
losses = pytest.importorskip("sentence_transformers.losses")
# Warnings of these packages are not ours.
pytestmark = [pytest.mark.trainers, pytest.mark.filterwarnings("default")]

STEP = "exponential_warmup_step_decay"


def trained(tmp_path: Path, *callbacks: Any) -> Any:
    """Train twelve steps, with an evaluation after each two."""
    model = sentence_model(tmp_path / "bert")
    rows = Dataset.from_list(
        [{"anchor": f"the {a} is", "positive": f"{a} yes"} for a in ("day", "sun", "rain", "night")] * 8
    )
    args = sentence_transformers.SentenceTransformerTrainingArguments(
        str(tmp_path / "out"),
        lr_scheduler_type=STEP,
        warmup_steps=2,
        learning_rate=1e-2,
        max_steps=12,
        per_device_train_batch_size=4,
        eval_strategy="steps",
        eval_steps=2,
        logging_steps=1,
        save_strategy="no",
        use_cpu=True,
        report_to="none",
        disable_tqdm=True,
    )
    trainer = sentence_transformers.SentenceTransformerTrainer(
        model,
        args,
        train_dataset=rows,
        eval_dataset=rows.select(range(8)),
        loss=losses.MultipleNegativesRankingLoss(model),
        callbacks=list(callbacks),
    )
    for callback in callbacks:
        callback.trainer = trainer
    trainer.train()
    return trainer


def test_it_has_the_rates_and_keeps_the_best_weights(tmp_path: Path) -> None:
    # No evaluation is better than the first by so much: training stops after the third.
    stopping, seen = EarlyStopping("loss", patience=2, min_delta=10.0), Seen()
    trainer = trained(tmp_path, stopping, seen)
    assert rates_of(trainer) == schedule(STEP, total_steps=12, warmup_steps=2).learning_rates(1e-2)[:6]
    assert (stopping.result.stop_step, stopping.result.kept_step) == (6, 2)
    assert torch.equal(weights_of(trainer.model), seen.at[2])


def test_its_run_gets_a_report_and_a_page(tmp_path: Path) -> None:
    trainer = trained(tmp_path, RunReport())
    report, page = reported(trainer)
    assert report["metrics"]["eval_loss"]["evaluations"] == 6
    assert (report["end"]["kind"], report["planned_steps"]) == ("all steps", 12)
    assert "12 steps" in page or ">12<" in page
