"""The smallest real training: a linear model, 16 examples, the stock Trainer."""

import gc
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import Trainer, TrainerCallback, TrainingArguments, set_seed

# The Trainer collects garbage at every train(): 0.2 s over all that torch and transformers hold, and the tests
# train hundreds of times. What is loaded by now is not looked at again.
gc.freeze()


class TinyModel(nn.Module):
    """y = w x + b with a squared loss."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(2, 1)

    def forward(self, x: Tensor, labels: Tensor) -> dict[str, Tensor]:
        predicted = self.linear(x).squeeze(-1)
        return {"loss": (predicted - labels).square().mean(), "logits": predicted}


def tiny_examples(count: int = 16) -> list[dict[str, Tensor]]:
    """Noisy values of a plane, always the same."""
    generator = torch.Generator().manual_seed(0)
    xs = torch.randn(count, 2, generator=generator)
    ys = xs @ torch.tensor([1.0, -2.0]) + 0.3 * torch.randn(count, generator=generator)
    return [{"x": x, "labels": y} for x, y in zip(xs, ys, strict=True)]


class Weights(TrainerCallback):
    """Remember the weights at every evaluation, by step."""

    def __init__(self) -> None:
        self.at: dict[int, Tensor] = {}

    def on_evaluate(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.at[state.global_step] = flat(kwargs["model"])


def flat(model: nn.Module) -> Tensor:
    """All weights of a model in one vector."""
    return torch.cat([parameter.detach().clone().flatten() for parameter in model.parameters()])


def tiny_trainer(
    folder: Path, scores: Sequence[float] = (), *, callbacks: Sequence[Any] = (), **options: Any
) -> Trainer:
    """A Trainer over `TinyModel`; ``options`` are TrainingArguments. See the fixture `make_trainer`."""
    set_seed(7)
    given = list(scores)
    settings: dict[str, Any] = {
        "per_device_train_batch_size": 4,
        "learning_rate": 0.05,
        "logging_steps": 1,
        "use_cpu": True,
        "report_to": "none",
        "disable_tqdm": True,
        "save_strategy": "no",
    }
    trainer_class = options.pop("trainer_class", Trainer)
    arguments_class = options.pop("arguments_class", TrainingArguments)
    metrics = {"compute_metrics": lambda _: {"score": given.pop(0)}} if given else {}
    weights = Weights()
    trainer: Trainer = trainer_class(
        model=TinyModel(),
        args=arguments_class(output_dir=str(folder), **(settings | options)),
        train_dataset=tiny_examples(),
        eval_dataset=tiny_examples(8),
        callbacks=[*callbacks, weights],
        **metrics,
    )
    trainer.weights_at = weights.at  # type: ignore[attr-defined]
    return trainer


def learning_rates(trainer: Trainer) -> list[float]:
    """The logged learning rates."""
    return [entry["learning_rate"] for entry in trainer.state.log_history if "learning_rate" in entry]
