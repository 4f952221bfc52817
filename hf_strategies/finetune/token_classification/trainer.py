"""The Trainer of token classification: it measures whole sentences, whose windows it puts together again."""

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
from datasets import Dataset
from transformers import EvalPrediction
from transformers.trainer_utils import PredictionOutput

from hf_strategies.finetune.metrics import ComputeMetrics, Decoded
from hf_strategies.finetune.token_classification.metrics import tag_metrics
from hf_strategies.finetune.token_classification.windows import tags_of_sentences
from hf_strategies.finetune.trainer import RecipeTrainer

__all__ = ["SentenceTrainer"]


class SentenceTrainer(RecipeTrainer):
    """Measures the predicted against the true ``tags`` of whole sentences; has its own ``compute_metrics``.

    The stock Trainer gives ``compute_metrics`` predictions and labels, but not the rows that they belong to, which
    hold the places of the words and the order of the windows.
    """

    def __init__(self, *args: Any, tags: Sequence[str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._tags = tags
        self._rows: Dataset | None = None  # those that are being evaluated
        self.compute_metrics = ComputeMetrics(tag_metrics(tags), self._decode)

    def evaluate(self, eval_dataset: Any = None, *args: Any, **options: Any) -> dict[str, float]:
        """Evaluate as the stock Trainer does."""
        self._rows = cast(Dataset, self.eval_dataset) if eval_dataset is None else eval_dataset
        return super().evaluate(eval_dataset, *args, **options)

    def predict(self, test_dataset: Any, *args: Any, **options: Any) -> PredictionOutput:
        """Predict as the stock Trainer does."""
        self._rows = test_dataset
        return super().predict(test_dataset, *args, **options)

    def _decode(self, prediction: EvalPrediction) -> Decoded:
        """Return the predicted and the true tags of the sentences."""
        rows = cast(Dataset, self._rows)
        predicted, true = (
            tags_of_sentences(rows, cast(np.ndarray, ids), self._tags)
            for ids in (prediction.predictions[0], prediction.label_ids)
        )
        return Decoded(predicted, true)
