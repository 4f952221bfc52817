"""A loss in which rare labels weigh as much as frequent ones."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from sklearn.utils.class_weight import compute_class_weight
from torch.nn import functional
from transformers import TrainingArguments

from hf_strategies.errors import StrategyError
from hf_strategies.finetune.encoding import IGNORED_LABEL

__all__ = ["ClassWeightArguments", "balanced_loss", "balanced_weights", "refuse_cross_entropy_flags", "weighted_loss"]


@dataclass
class ClassWeightArguments:
    """Whether rare labels weigh more in the loss."""

    class_weights: str = field(
        default="none",
        metadata={
            "help": "'balanced': the loss of a label is weighted by 1 / its frequency; for imbalanced data.",
            "choices": ["none", "balanced"],
        },
    )


def balanced_weights(labels: Sequence[int] | np.ndarray, count: int) -> list[float]:
    """Return the weight n / (k n_c) of each of ``count`` labels: n labels in all, k that occur, n_c of this one.

    Their mean over ``labels`` is 1; a label that does not occur has weight 1. Negative labels are ignored.

    >>> balanced_weights([0, 0, 0, 1, -100], 3)
    [0.6666666666666666, 2.0, 1.0]
    """
    ids = np.asarray(labels)
    ids = ids[ids >= 0]
    occurring = np.unique(ids)
    weights = np.ones(count)
    weights[occurring] = compute_class_weight("balanced", classes=occurring, y=ids)
    return [float(weight) for weight in weights]


def weighted_loss(weights: Sequence[float], smoothing: float = 0.0) -> Callable[..., torch.Tensor]:
    """Return a ``compute_loss_func``: cross-entropy in which label c weighs ``weights[c]``, with label smoothing.

    The loss is the sum over the labels that count, divided by their number (not by the sum of their weights, as
    torch's mean is), over all batches of an optimizer step.
    """

    def loss(outputs: Any, labels: torch.Tensor, num_items_in_batch: Any = None) -> torch.Tensor:
        logits = outputs["logits"].float()
        total = functional.cross_entropy(
            logits.view(-1, logits.shape[-1]),
            labels.view(-1),
            weight=torch.tensor(weights, device=logits.device),
            ignore_index=IGNORED_LABEL,
            label_smoothing=smoothing,
            reduction="sum",
        )
        counted = (labels != IGNORED_LABEL).sum() if num_items_in_batch is None else num_items_in_batch
        return total / counted

    return loss


def balanced_loss(
    args: ClassWeightArguments, run: TrainingArguments, labels: Sequence[int] | np.ndarray, count: int
) -> Callable[..., torch.Tensor] | None:
    """Return the `weighted_loss` that the flags ask for, for these training labels; None for the model's own."""
    if args.class_weights == "none":
        return None
    return weighted_loss(balanced_weights(labels, count), run.label_smoothing_factor)


def refuse_cross_entropy_flags(args: ClassWeightArguments, run: TrainingArguments, problem_type: str) -> None:
    """Raise `StrategyError` for flags that have an effect only on the cross-entropy of one label of several."""
    if args.class_weights != "none":
        raise StrategyError(
            f"class_weights={args.class_weights!r} with problem_type={problem_type!r}: only"
            " single_label_classification has them, so leave it out"
        )
    if run.label_smoothing_factor:
        raise StrategyError(
            f"label_smoothing_factor={run.label_smoothing_factor} with problem_type={problem_type!r}: only"
            " single_label_classification has it, so leave it out"
        )
