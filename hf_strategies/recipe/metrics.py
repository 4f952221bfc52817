"""Metrics as `evaluate.Metric` subclasses, because ``evaluate.load`` fetches its code from the Hub."""

from collections.abc import Callable
from typing import Any

import datasets
import evaluate
import numpy as np
from sklearn.metrics import accuracy_score, f1_score
from transformers import EvalPrediction

__all__ = ["CLASSIFICATION_METRICS", "Accuracy", "MacroF1", "classification_metrics"]


class _LabelMetric(evaluate.Metric):
    """A metric of integer predictions against integer references, computed in memory."""

    def __init__(self) -> None:
        super().__init__(keep_in_memory=True)

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description=type(self).__doc__ or "",
            citation="scikit-learn, Pedregosa et al. 2011",
            features=datasets.Features(
                {"predictions": datasets.Value("int64"), "references": datasets.Value("int64")}
            ),
        )


class Accuracy(_LabelMetric):
    """The share of predictions that are right, in [0, 1].

    >>> Accuracy().compute(predictions=[0, 1, 1, 0], references=[0, 1, 0, 0])
    {'accuracy': 0.75}
    """

    def _compute(self, predictions: list[int], references: list[int]) -> dict[str, float]:
        return {"accuracy": float(accuracy_score(references, predictions))}


class MacroF1(_LabelMetric):
    """The mean over the labels of F1, each label weighing the same, in [0, 1].

    A label counts that is predicted or true at least once; one that is never predicted right counts 0.

    >>> MacroF1().compute(predictions=[0, 1, 1, 0], references=[0, 1, 0, 0])
    {'macro_f1': 0.7333333333333334}
    """

    def _compute(self, predictions: list[int], references: list[int]) -> dict[str, float]:
        return {"macro_f1": float(f1_score(references, predictions, average="macro", zero_division=0.0))}


CLASSIFICATION_METRICS: dict[str, type[evaluate.Metric]] = {"accuracy": Accuracy, "macro_f1": MacroF1}


def classification_metrics() -> Callable[[EvalPrediction], dict[str, float]]:
    """Return a ``compute_metrics`` for the Trainer: all of `CLASSIFICATION_METRICS` over the likeliest labels."""
    metrics = [metric() for metric in CLASSIFICATION_METRICS.values()]

    def compute(prediction: EvalPrediction) -> dict[str, float]:
        logits: Any = prediction.predictions
        chosen = np.argmax(logits, axis=-1)
        values: dict[str, float] = {}
        for metric in metrics:
            values |= metric.compute(predictions=chosen, references=prediction.label_ids)
        return values

    return compute
