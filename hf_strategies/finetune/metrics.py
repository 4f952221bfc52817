"""Metrics as `evaluate.Metric` subclasses, because ``evaluate.load`` fetches its code from the Hub."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar

import datasets
import evaluate
import numpy as np
from sklearn.metrics import accuracy_score, f1_score
from transformers import EvalPrediction

__all__ = [
    "CLASSIFICATION_METRICS",
    "MULTI_LABEL_METRICS",
    "REGRESSION_METRICS",
    "Accuracy",
    "MacroF1",
    "MultiLabelMacroF1",
    "MultiLabelMicroF1",
    "Pearson",
    "Rmse",
    "Spearman",
    "compute_metrics",
    "measure",
]


class _InMemory(evaluate.Metric):
    """A metric of predictions against references of one type, computed in memory."""

    value: ClassVar[Any]
    citation: ClassVar[str] = "scikit-learn, Pedregosa et al. 2011"

    def __init__(self) -> None:
        super().__init__(keep_in_memory=True)

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description=type(self).__doc__ or "",
            citation=type(self).citation,
            features=datasets.Features({"predictions": type(self).value, "references": type(self).value}),
        )


class _LabelMetric(_InMemory):
    """Predictions and references are label ids."""

    value = datasets.Value("int64")


class _MultiLabelMetric(_InMemory):
    """Predictions and references are rows of zeros and ones, one for each label."""

    value = datasets.Sequence(datasets.Value("int64"))


class _NumberMetric(_InMemory):
    """Predictions and references are numbers."""

    value = datasets.Value("float64")
    citation = "Pearson 1895; Spearman 1904"


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


class MultiLabelMicroF1(_MultiLabelMetric):
    """F1 over all pairs of an example and a label, in [0, 1]; 0 where nothing is predicted right.

    >>> MultiLabelMicroF1().compute(predictions=[[1, 1], [0, 0]], references=[[1, 0], [0, 1]])
    {'micro_f1': 0.5}
    """

    def _compute(self, predictions: list[list[int]], references: list[list[int]]) -> dict[str, float]:
        return {"micro_f1": _f1(predictions, references, "micro")}


class MultiLabelMacroF1(_MultiLabelMetric):
    """The mean over all labels of F1, in [0, 1]; a label that is never predicted right counts 0.

    >>> MultiLabelMacroF1().compute(predictions=[[1, 1], [0, 0]], references=[[1, 0], [0, 1]])
    {'macro_f1': 0.5}
    """

    def _compute(self, predictions: list[list[int]], references: list[list[int]]) -> dict[str, float]:
        return {"macro_f1": _f1(predictions, references, "macro")}


class Pearson(_NumberMetric):
    """Pearson's correlation coefficient, in [-1, 1]; 0 where predictions or references are all equal.

    >>> Pearson().compute(predictions=[1.0, 2.0, 3.0], references=[2.0, 4.0, 6.0])
    {'pearson': 1.0}
    """

    def _compute(self, predictions: list[float], references: list[float]) -> dict[str, float]:
        return {"pearson": _correlation(np.asarray(predictions), np.asarray(references))}


class Spearman(_NumberMetric):
    """Pearson's correlation of the ranks, in [-1, 1]; equal values share the mean of their ranks.

    >>> Spearman().compute(predictions=[1.0, 2.0, 9.0], references=[2.0, 4.0, 6.0])
    {'spearman': 1.0}
    """

    def _compute(self, predictions: list[float], references: list[float]) -> dict[str, float]:
        return {"spearman": _correlation(_ranks(predictions), _ranks(references))}


class Rmse(_NumberMetric):
    """The square root of the mean squared error, 0 or more, in the unit of the labels.

    >>> Rmse().compute(predictions=[1.0, 2.0], references=[1.0, 4.0])
    {'rmse': 1.4142135623730951}
    """

    def _compute(self, predictions: list[float], references: list[float]) -> dict[str, float]:
        with np.errstate(all="ignore"):  # of a model that has diverged
            squares = np.square(np.asarray(predictions) - np.asarray(references))
            return {"rmse": float(np.sqrt(squares.mean()))}


CLASSIFICATION_METRICS: dict[str, type[evaluate.Metric]] = {"accuracy": Accuracy, "macro_f1": MacroF1}
MULTI_LABEL_METRICS: dict[str, type[evaluate.Metric]] = {
    "micro_f1": MultiLabelMicroF1,
    "macro_f1": MultiLabelMacroF1,
}
REGRESSION_METRICS: dict[str, type[evaluate.Metric]] = {"pearson": Pearson, "spearman": Spearman, "rmse": Rmse}


def measure(metrics: Iterable[evaluate.Metric], predictions: Any, references: Any) -> dict[str, float]:
    """Return the values of all ``metrics``, by name."""
    values: dict[str, float] = {}
    for metric in metrics:
        values |= metric.compute(predictions=predictions, references=references)
    return values


def compute_metrics(
    metrics: Mapping[str, type[evaluate.Metric]], decode: Callable[[Any], np.ndarray]
) -> Callable[[EvalPrediction], dict[str, float]]:
    """Return a ``compute_metrics`` for the Trainer; ``decode`` makes predictions of the model's outputs."""
    ready = [metric() for metric in metrics.values()]

    def compute(prediction: EvalPrediction) -> dict[str, float]:
        return measure(ready, decode(prediction.predictions), prediction.label_ids)

    return compute


def _f1(predictions: list[list[int]], references: list[list[int]], average: str) -> float:
    return float(f1_score(np.asarray(references), np.asarray(predictions), average=average, zero_division=0.0))


def _correlation(one: np.ndarray, other: np.ndarray) -> float:
    if np.ptp(one) == 0 or np.ptp(other) == 0:
        return 0.0
    with np.errstate(all="ignore"):  # of a model that has diverged: NaN, and no warning
        one, other = one - one.mean(), other - other.mean()
        return float(one @ other / np.sqrt((one @ one) * (other @ other)))


def _ranks(values: list[float]) -> np.ndarray:
    _, place, times = np.unique(np.asarray(values), return_inverse=True, return_counts=True)
    means: np.ndarray = (np.cumsum(times) - (times - 1) / 2)[place]
    return means
