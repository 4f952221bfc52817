"""Trainings whose weights are averaged, an independent recorder of them, and the reference in float64."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import Tensor, nn
from transformers import Trainer, TrainerCallback

from hf_strategies import WeightAveraging
from tests.trainer.best_weights.keeper_runs import trainer_of
from tests.trainer.placements import digest, whole_masters, whole_weights

Reference = dict[str, Tensor]


class Recorder(TrainerCallback):
    """Write down the whole weights after each step, before any evaluation, and those that each evaluation sees."""

    def __init__(self) -> None:
        self.after: dict[int, Reference] = {}  # the master weights, where there are any
        self.evaluated: dict[int, Reference] = {}

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.after[state.global_step] = whole_masters(kwargs["model"])

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.after[state.global_step] = whole_masters(kwargs["model"])

    def on_evaluate(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.evaluated[state.global_step] = trained(whole_weights(kwargs["model"]), kwargs["model"])


def trained(tensors: Reference, model: nn.Module) -> Reference:
    """The trainable ones."""
    trainable = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    return {name: tensor for name, tensor in tensors.items() if name in trainable}


def mean(recorded: Sequence[Reference], weights: Sequence[float]) -> Reference:
    """The weighted mean in float64; the weights need not sum to 1."""
    total = sum(weights)
    return {
        name: sum((w / total) * each[name].double() for w, each in zip(weights, recorded, strict=True))
        for name in recorded[0]
    }


def ema_3(recorded: Sequence[Reference]) -> Reference:
    """``ema(over=3)``, as a weighted sum: c_1 = 1, c_2 = 2/3, and 1/2 from the third on."""
    weights = [1.0]
    for n in range(2, len(recorded) + 1):
        c = 2 / (min(3, n) + 1)
        weights = [w * (1 - c) for w in weights] + [c]
    return mean(recorded, weights)


def largest_difference(found: Reference, reference: Reference) -> float:
    """The largest difference of any weight, in units of the largest weight of its tensor."""
    return max(
        ((found[name].double() - value).abs().max() / value.abs().max().clamp(min=1e-30)).item()
        for name, value in reference.items()
        if value.numel()
    )


def share_rounded_alike(found: Reference, reference: Reference) -> float:
    """The share of the weights that are the reference, rounded to their type."""
    same = sum((found[name] == value.to(found[name].dtype)).sum().item() for name, value in reference.items())
    return same / sum(value.numel() for value in reference.values())


def averaged_trainer(
    folder: Path, callbacks: Sequence[TrainerCallback] = (), scores: Sequence[float] = (), **options: Any
) -> tuple[Trainer, Recorder]:
    """A Trainer of six steps that averages by ``ema(over=3)``, unless told otherwise, with its recorder.

    ``average`` is the callback, or None for none.
    """
    average = options.pop("average", WeightAveraging("ema(over=3)"))
    recorder = Recorder()
    every = [*callbacks, *([average] if average else []), recorder]
    settings: dict[str, Any] = {"max_steps": 6, "eval_strategy": "no"}
    scores = scores or [0.1 * step for step in range(1, 20)]
    return trainer_of(folder, every, scores, **(settings | options)), recorder


def digests(recorded: dict[int, Reference]) -> dict[int, str]:
    return {step: digest(each) for step, each in recorded.items()}


def in_model(trainer: Trainer) -> Reference:
    """The trainable weights in the model now."""
    model: Any = trainer.model
    return trained(whole_weights(model), model)
