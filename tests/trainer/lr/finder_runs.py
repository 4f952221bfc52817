"""Trainings around a range test: models, settings, and all that a run has shown, for comparison."""

import random
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import Trainer, TrainingArguments, set_seed

from tests.tiny import flat, tiny_examples

SETTINGS = {
    "per_device_train_batch_size": 4,
    "learning_rate": 0.02,
    "lr_scheduler_type": "cosine",
    "warmup_steps": 2,
    "max_steps": 10,
    "logging_steps": 1,
    "use_cpu": True,
    "report_to": "none",
    "disable_tqdm": True,
    "save_strategy": "no",
}
SHORT = {"start_lr": 1e-4, "end_lr": 1.0, "steps": 30}


class Restless(nn.Module):
    """A small model in which a step changes all that it can: weights, buffers, attributes, random numbers."""

    def __init__(self, breaks_at: int | None = None) -> None:
        super().__init__()
        self.first = nn.Linear(2, 8)
        self.norm = nn.BatchNorm1d(8)
        self.frozen = nn.Linear(8, 8).requires_grad_(False)
        self.drop = nn.Dropout(0.3)
        self.last = nn.Linear(8, 1)
        self.register_buffer("average", torch.zeros(1), persistent=False)
        self.calls = 0
        self.breaks_at = breaks_at

    def forward(self, x: Tensor, labels: Tensor) -> dict[str, Tensor]:
        self.calls += 1
        if self.calls == self.breaks_at:
            raise RuntimeError("broken batch")
        with torch.no_grad():
            self.frozen.weight.mul_(0.999)  # as nn.Embedding(max_norm=...) does to a frozen weight
        hidden = self.frozen(self.norm(self.first(x)).relu())
        predicted = self.last(self.drop(hidden)).squeeze(-1)
        self.average = 0.9 * self.average + predicted.detach().mean()
        # Python's and numpy's random numbers take part, so that the losses show whether these were put back.
        noise = random.random() + float(np.random.rand())
        return {"loss": (predicted - labels).square().mean() * (1.0 + 0.01 * noise), "logits": predicted}


class Quadratic(nn.Module):
    """Half of the curvature times w squared: gradient descent diverges above 2 / curvature."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))

    def forward(self, x: Tensor, labels: Tensor) -> dict[str, Tensor]:
        return {"loss": 0.5 * 50.0 * self.weight.square().sum() + 0.0 * x.sum(), "logits": x}


def make(folder: Path, *, trainer_class: type[Trainer] = Trainer, parts: Any = None, **options: Any) -> Trainer:
    """A Trainer over `Restless` on 22 examples: 6 batches an epoch, the last one smaller."""
    set_seed(7)
    parts = {"model": Restless()} | (parts or {})
    arguments = TrainingArguments(output_dir=str(folder), **(SETTINGS | options))
    return trainer_class(args=arguments, train_dataset=tiny_examples(22), **parts)


def trained(trainer: Trainer) -> tuple[Any, ...]:
    """Train, and return all that the run has shown, for comparison."""
    trainer.train()
    logged = [
        {key: value for key, value in entry.items() if key in ("loss", "grad_norm", "learning_rate", "step")}
        for entry in trainer.state.log_history
    ]
    buffers = [buffer.tolist() for buffer in trainer.model.buffers()]
    return logged, flat(trainer.model).tolist(), buffers, _collected(trainer), random_state()


def _collected(trainer: Trainer) -> Any:
    return getattr(trainer, "collected", None), trainer.state.num_input_tokens_seen


def random_state() -> tuple[Any, ...]:
    python, numpy = random.getstate(), np.random.get_state(legacy=False)
    return python, str(numpy), torch.get_rng_state().tolist()
