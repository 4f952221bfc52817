"""A BERT of three layers of eight units in the stock Trainer, on 16 examples."""

from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers import (
    BertConfig,
    BertForMaskedLM,
    BertForSequenceClassification,
    Trainer,
    TrainerCallback,
    TrainingArguments,
    set_seed,
)

from hf_strategies.trainer.lr.layer_depth import parameter_depths

SIZES: dict[str, Any] = {
    "vocab_size": 40,
    "hidden_size": 8,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "intermediate_size": 16,
    "max_position_embeddings": 32,
}


def skip_without_compilation() -> None:
    """torch 2.6 ends in a NameError where it compiles what transformers puts around the layers of BERT."""
    if torch.__version__.startswith("2.6."):
        pytest.skip("torch 2.6 cannot compile transformers' BERT")


def bert() -> BertForSequenceClassification:
    """Three layers: depth 0 embeddings, 1 to 3 layers, 4 head."""
    set_seed(7)
    return BertForSequenceClassification(
        BertConfig(**SIZES, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    )


def tied() -> BertForMaskedLM:
    """A language model whose head shares its weights with the embeddings."""
    torch.manual_seed(0)
    return BertForMaskedLM(BertConfig(**SIZES))


# peft asks transformers by a name that is going out of use.
with_peft = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")


def lora() -> Any:
    """Adapters on the queries, and a classifier of its own."""
    peft = pytest.importorskip("peft")
    return peft.get_peft_model(bert(), peft.LoraConfig(r=2, target_modules=["query"], modules_to_save=["classifier"]))


def examples(count: int = 16) -> list[dict[str, Tensor]]:
    """Random tokens, always the same, with alternating labels."""
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randint(1, 40, (count, 6), generator=generator)
    return [{"input_ids": row, "labels": torch.tensor(index % 2)} for index, row in enumerate(tokens)]


def weights(model: nn.Module) -> dict[int, Tensor]:
    """All weights of each depth in one vector."""
    depths = parameter_depths(model).by_name
    parts: dict[int, list[Tensor]] = {}
    for name, parameter in model.named_parameters():
        parts.setdefault(depths[name], []).append(parameter.detach().clone().flatten())
    return {depth: torch.cat(parts[depth]) for depth in sorted(parts)}


class Watch(TrainerCallback):
    """Write down, by step (from 1), the rate of each depth and the weights after it."""

    def __init__(self) -> None:
        self.rates: dict[int, dict[int, float]] = {}
        self.weights: dict[int, dict[int, Tensor]] = {}
        self.with_gradient: dict[int, set[int]] = {}

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.weights[state.global_step] = weights(kwargs["model"])

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        groups = kwargs["optimizer"].param_groups
        self.rates[state.global_step + 1] = {group.get("depth", -1): group["lr"] for group in groups}
        depths = parameter_depths(kwargs["model"]).by_name
        self.with_gradient[state.global_step + 1] = {
            depths[name] for name, parameter in kwargs["model"].named_parameters() if parameter.grad is not None
        }

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.weights[state.global_step] = weights(kwargs["model"])

    def moved(self, step: int) -> list[int]:
        """The depths of which any weight changed at a step."""
        before, after = self.weights[step - 1], self.weights[step]
        return [depth for depth in after if not torch.equal(before[depth], after[depth])]


def arguments(folder: Path, **options: Any) -> TrainingArguments:
    """Four steps an epoch at a constant rate of 0.01, unless told otherwise."""
    settings: dict[str, Any] = {
        "per_device_train_batch_size": 4,
        "learning_rate": 0.01,
        "lr_scheduler_type": "constant",
        "weight_decay": 0.1,
        "max_steps": 12,
        "logging_steps": 1,
        "use_cpu": True,
        "report_to": "none",
        "disable_tqdm": True,
        "save_strategy": "no",
    }
    if lacking := options.keys() - {each.name for each in fields(TrainingArguments)}:
        pytest.skip(f"this transformers has no {', '.join(sorted(lacking))}")
    return TrainingArguments(output_dir=str(folder), **(settings | options))


def bert_trainer(
    args: TrainingArguments, *, callbacks: Sequence[TrainerCallback] = (), scores: Sequence[float] = (), **given: Any
) -> tuple[Trainer, Watch]:
    """A Trainer and what watches it; ``scores`` are the values of ``eval_score``, one per evaluation."""
    watch, left = Watch(), list(scores)
    if left:
        given["compute_metrics"] = lambda _: {"score": left.pop(0)}
    if "model_init" not in given:
        given = {"model": bert()} | given
    trainer = Trainer(
        args=args,
        train_dataset=examples(),
        eval_dataset=examples(4),
        callbacks=[*callbacks, watch],
        **given,
    )
    return trainer, watch
