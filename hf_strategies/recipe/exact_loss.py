"""The loss in evaluation as the mean over all examples, however they are batched."""

from typing import Any

from torch.utils.data import DataLoader
from transformers.trainer_utils import EvalLoopOutput

from hf_strategies.recipe.recipe_trainer import RecipeTrainer

__all__ = ["ExactLossTrainer"]


class ExactLossTrainer(RecipeTrainer):
    """Takes the metric ``nll``, where there is one, for the loss in evaluation.

    The stock Trainer takes a mean of the losses of batches. On several processes the last batches hold rows a second
    time, to be as long as the others; and in masked language modelling a token weighs more in a batch with few.
    """

    def evaluation_loop(
        self,
        dataloader: DataLoader[Any],
        description: str,
        prediction_loss_only: bool | None = None,
        ignore_keys: list[str] | None = None,
        metric_key_prefix: str = "eval",
    ) -> EvalLoopOutput:
        """Evaluate as the stock Trainer does."""
        output = super().evaluation_loop(
            dataloader, description, prediction_loss_only, ignore_keys, metric_key_prefix
        )
        metrics = output.metrics or {}
        if (exact := metrics.pop(f"{metric_key_prefix}_nll", None)) is not None:
            metrics[f"{metric_key_prefix}_loss"] = exact
        return output
