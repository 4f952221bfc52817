"""Runs whose checkpoints are averaged: one of the stock Trainer, and small ones written by hand."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import Tensor

STOCK = """
import sys
import torch
from transformers import BertConfig, BertForSequenceClassification, Trainer, TrainingArguments, set_seed

folder, kind = sys.argv[1:]
set_seed(3)
sizes = {"hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16}
model = BertForSequenceClassification(BertConfig(vocab_size=40, max_position_embeddings=32, **sizes))
if kind == "adapter":
    from peft import LoraConfig, get_peft_model
    model = get_peft_model(model, LoraConfig(task_type="SEQ_CLS", r=2, target_modules=["query", "value"]))
if kind == "bf16":
    model = model.to(torch.bfloat16)
generator = torch.Generator().manual_seed(0)
tokens = torch.randint(1, 40, (16, 6), generator=generator)
rows = [{"input_ids": row, "labels": torch.tensor(index % 2)} for index, row in enumerate(tokens)]
args = TrainingArguments(
    folder, max_steps=10, per_device_train_batch_size=4, learning_rate=0.01, use_cpu=True, report_to="none",
    disable_tqdm=True, eval_strategy="steps", eval_steps=2, save_strategy="steps", save_steps=2,
    metric_for_best_model="score",
)
scores = iter([0.5, 0.75, 0.75, 0.25, 0.625])
score = lambda _: {"score": next(scores)}
trainer = Trainer(model, args, train_dataset=rows, eval_dataset=rows, compute_metrics=score)
trainer.train()
trainer.save_model()
assert "hf_strategies" not in sys.modules
"""
"""A training by nothing but transformers: checkpoints 2, 4, ..., 10 with the scores above, and the final model."""

STEPS = (2, 4, 6, 8, 10)


def write_checkpoint(
    folder: Path,
    tensors: Mapping[str, Tensor],
    *,
    log: Sequence[Mapping[str, Any]] = (),
    config: Mapping[str, Any] | None = None,
    name: str = "model.safetensors",
    **state: Any,
) -> Path:
    """Write a checkpoint with these weights and what the Trainer puts beside them; return its folder."""
    folder.mkdir(parents=True, exist_ok=True)
    save_file(dict(tensors), folder / name, metadata={"format": "pt"})
    (folder / "config.json").write_text(json.dumps(config or {"model_type": "bert"}), encoding="utf-8")
    step = int(folder.name.rpartition("-")[2]) if folder.name.startswith("checkpoint-") else 0
    content = {"global_step": step, "max_steps": 100, "log_history": list(log), **state}
    (folder / "trainer_state.json").write_text(json.dumps(content), encoding="utf-8")
    return folder
