"""transformers' own Trainers with what people combine them with: LoRA, generation, other optimizers."""

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import (
    DataCollatorForSeq2Seq,
    Seq2SeqTrainer,
    Seq2SeqTrainingArguments,
    T5Config,
    T5ForConditionalGeneration,
    Trainer,
    TrainingArguments,
    set_seed,
)

import hf_strategies.auto  # noqa: F401
from hf_strategies import EarlyStopping, schedule
from tests.tiny import TinyModel, tiny_examples
from tests.trainers.small_models import Seen, rates_of, tokenizer, weights_of

# Warnings of these packages are not ours.
pytestmark = [pytest.mark.trainers, pytest.mark.filterwarnings("default")]

STEP = "exponential_warmup_step_decay"
SETTINGS: dict[str, Any] = {"eval_strategy": "steps", "eval_steps": 2, "logging_steps": 1, "save_strategy": "no"}
SETTINGS |= {"use_cpu": True, "report_to": "none", "disable_tqdm": True, "max_steps": 12, "learning_rate": 1e-2}
SETTINGS |= {"per_device_train_batch_size": 4, "lr_scheduler_type": STEP, "warmup_steps": 2}


def check(trainer: Any, stopping: EarlyStopping, seen: Seen) -> None:
    """The rates are those of the schedule, the third evaluation ended the run, and the first weights are back."""
    assert rates_of(trainer) == schedule(STEP, total_steps=12, warmup_steps=2).learning_rates(1e-2)[:6]
    assert (stopping.result.stop_step, stopping.result.kept_step) == (6, 2)
    assert torch.equal(weights_of(trainer.model), seen.at[2])


@pytest.mark.parametrize("optim", ["adafactor", "schedule_free_adamw", "sgd", "adamw_torch_fused"])
def test_other_optimizers(optim: str, tmp_path: Path) -> None:
    if optim.startswith("schedule_free"):
        pytest.importorskip("schedulefree")
    set_seed(0)
    stopping, seen = EarlyStopping("loss", patience=2, min_delta=100.0), Seen()
    trainer = Trainer(
        TinyModel(),
        TrainingArguments(str(tmp_path), optim=optim, **SETTINGS),
        train_dataset=tiny_examples(),
        eval_dataset=tiny_examples(8),
        callbacks=[stopping, seen],
    )
    seen.trainer = trainer
    trainer.train()
    check(trainer, stopping, seen)


def test_generation_in_seq2seq_trainer_is_watched(tmp_path: Path) -> None:
    set_seed(0)
    sizes = {"d_model": 16, "d_kv": 8, "d_ff": 32, "num_layers": 1, "num_heads": 2}
    model = T5ForConditionalGeneration(T5Config(vocab_size=22, decoder_start_token_id=0, pad_token_id=0, **sizes))
    words = tokenizer()
    rows = [{**words("the day is good"), "labels": words("yes")["input_ids"]} for _ in range(16)]
    scores = [0.5, 0.4, 0.3]
    stopping, seen = EarlyStopping("rouge_l", mode="max", patience=2), Seen()
    trainer = Seq2SeqTrainer(
        model,
        Seq2SeqTrainingArguments(str(tmp_path), predict_with_generate=True, generation_max_length=4, **SETTINGS),
        data_collator=DataCollatorForSeq2Seq(words, model),
        train_dataset=rows,
        eval_dataset=rows[:8],
        processing_class=words,
        compute_metrics=lambda found: {"rouge_l": scores.pop(0) if found.predictions.ndim == 2 else 9.0},
        callbacks=[stopping, seen],
    )
    seen.trainer = trainer
    trainer.train()
    check(trainer, stopping, seen)


def test_lora_restores_the_adapters(tmp_path: Path) -> None:
    peft = pytest.importorskip("peft")
    set_seed(0)
    model: Any = peft.get_peft_model(TinyModel(), peft.LoraConfig(r=2, target_modules=["linear"]))
    stopping, seen = EarlyStopping("loss", patience=2, min_delta=100.0), Seen()
    trainer = Trainer(
        model,
        TrainingArguments(str(tmp_path), label_names=["labels"], **SETTINGS),
        train_dataset=tiny_examples(),
        eval_dataset=tiny_examples(8),
        callbacks=[stopping, seen],
    )
    seen.trainer = trainer
    trainer.train()
    check(trainer, stopping, seen)
