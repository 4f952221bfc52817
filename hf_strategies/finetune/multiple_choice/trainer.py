"""The Trainer of multiple choice: endings that only fill up a row are never chosen, and have no part in the loss."""

from collections.abc import Callable
from typing import Any, cast

import torch
from torch import nn
from torch.nn.functional import pad

from hf_strategies.finetune.multiple_choice.data import IS_ENDING
from hf_strategies.finetune.trainer import ExactLossTrainer

__all__ = ["ChoiceTrainer", "choice_loss"]


class ChoiceTrainer(ExactLossTrainer):
    """Gives the endings that fill up a row (`IS_ENDING` is false) the logit ``-inf``.

    ``endings`` is the largest number of endings in all data: the predictions of each batch have as many columns, so
    that those of all batches and processes fit together. The loss has to be a ``compute_loss_func``, because a
    model computes its own loss before its logits are masked.
    """

    def __init__(self, *args: Any, endings: int, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._endings = endings

    def compute_loss(self, model: nn.Module, inputs: dict[str, Any], *args: Any, **options: Any) -> Any:
        """Compute the loss as the stock Trainer does."""
        own = dict(inputs)
        is_ending = own.pop(IS_ENDING)
        return super().compute_loss(_masked(model, is_ending), own, *args, **options)  # type: ignore[arg-type]

    def prediction_step(
        self,
        model: nn.Module,
        inputs: dict[str, torch.Tensor | Any],
        prediction_loss_only: bool,
        ignore_keys: list[str] | None = None,
    ) -> tuple[Any, Any, Any]:
        """Predict as the stock Trainer does."""
        own = dict(self._prepare_inputs(inputs))
        if "labels" not in own:  # then the stock Trainer calls the model itself
            model = _masked(model, own.pop(IS_ENDING))  # type: ignore[assignment]
        loss, logits, labels = super().prediction_step(model, own, prediction_loss_only, ignore_keys)
        if prediction_loss_only:
            return loss, None, None
        scores: torch.Tensor = cast(Any, logits)[0] if isinstance(logits, tuple) else cast(Any, logits)
        return loss, pad(scores, (0, self._endings - scores.shape[-1]), value=-torch.inf), labels


def choice_loss(smoothing: float = 0.0) -> Callable[..., torch.Tensor]:
    """Return a ``compute_loss_func``: the cross-entropy over the endings of each row, with label smoothing over them.

    It is the sum over the rows, divided by their number in all batches of an optimizer step.
    """

    def loss(outputs: Any, labels: torch.Tensor, num_items_in_batch: Any = None) -> torch.Tensor:
        logs = outputs["logits"].float().log_softmax(dim=-1)
        right = logs.gather(1, labels[:, None])[:, 0]
        is_ending = logs > -torch.inf
        mean = torch.where(is_ending, logs, 0.0).sum(dim=-1) / is_ending.sum(dim=-1)
        total = -((1 - smoothing) * right + smoothing * mean).sum()
        mean_loss: torch.Tensor = total / (len(labels) if num_items_in_batch is None else num_items_in_batch)
        return mean_loss

    return loss


def _masked(model: nn.Module, is_ending: torch.Tensor) -> Callable[..., Any]:
    """Return a function that calls ``model`` and masks the logits of what is no ending of a row."""

    def call(**inputs: Any) -> Any:
        outputs = model(**inputs)
        outputs["logits"] = outputs["logits"].masked_fill(~is_ending, -torch.inf)
        return outputs

    return call
