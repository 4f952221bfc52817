"""The metrics of the kinds of labels: one of several names, several names at once, a number."""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import DegenerateDataWarning, pearsonr, spearmanr
from sklearn.metrics import f1_score

from hf_strategies.finetune.metrics import Metric, accuracy

__all__ = [
    "CLASSIFICATION_METRICS",
    "MULTI_LABEL_METRICS",
    "REGRESSION_METRICS",
    "macro_f1",
    "micro_f1",
    "pearson",
    "rmse",
    "spearman",
]


def macro_f1(predictions: ArrayLike, references: ArrayLike) -> float:
    """The mean over the labels of F1, each label weighing the same, in [0, 1].

    Both are label ids, or rows of zeros and ones with a column for each label. Of ids, a label counts that is
    predicted or true at least once; of columns, all count. A label that is never predicted right counts 0.

    >>> macro_f1([0, 1, 1, 0], [0, 1, 0, 0])
    0.7333333333333334
    >>> macro_f1([[1, 1], [0, 0]], [[1, 0], [0, 1]])
    0.5
    """
    return _f1(predictions, references, "macro")


def micro_f1(predictions: ArrayLike, references: ArrayLike) -> float:
    """F1 over all pairs of an example and a label, in [0, 1]; 0 where nothing is predicted right.

    Both are rows of zeros and ones, with a column for each label.

    >>> micro_f1([[1, 1], [0, 0]], [[1, 0], [0, 1]])
    0.5
    """
    return _f1(predictions, references, "micro")


def pearson(predictions: ArrayLike, references: ArrayLike) -> float:
    """Pearson's correlation coefficient, in [-1, 1]; 0 where predictions or references are all equal.

    >>> round(pearson([1.0, 2.0, 3.0], [10.0, 20.0, 60.0]), 4)
    0.9449
    """
    return _correlation(pearsonr, predictions, references)


def spearman(predictions: ArrayLike, references: ArrayLike) -> float:
    """Pearson's correlation of the ranks, in [-1, 1]; equal values share the mean of their ranks.

    >>> spearman([1.0, 2.0, 9.0], [2.0, 4.0, 6.0])
    1.0
    """
    return _correlation(spearmanr, predictions, references)


def rmse(predictions: ArrayLike, references: ArrayLike) -> float:
    """The square root of the mean squared error, 0 or more, in the unit of the labels.

    >>> rmse([1.0, 2.0], [1.0, 4.0])
    1.4142135623730951
    """
    # Not scikit-learn's, which raises for a model that has diverged.
    with np.errstate(all="ignore"):
        return float(np.sqrt(np.square(_numbers(predictions) - _numbers(references)).mean()))


CLASSIFICATION_METRICS: dict[str, Metric] = {"accuracy": accuracy, "macro_f1": macro_f1}
MULTI_LABEL_METRICS: dict[str, Metric] = {"micro_f1": micro_f1, "macro_f1": macro_f1}
REGRESSION_METRICS: dict[str, Metric] = {"pearson": pearson, "spearman": spearman, "rmse": rmse}


def _f1(predictions: ArrayLike, references: ArrayLike, average: str) -> float:
    true, predicted = np.asarray(references, dtype=int), np.asarray(predictions, dtype=int)
    return float(f1_score(true, predicted, average=average, zero_division=0.0))


def _correlation(coefficient: Callable[..., Any], predictions: ArrayLike, references: ArrayLike) -> float:
    """Return a coefficient without scipy's warnings: 0 for constant values, NaN for a model that has diverged."""
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", DegenerateDataWarning)
        predicted, true = _numbers(predictions), _numbers(references)
        if np.ptp(predicted) == 0 or np.ptp(true) == 0:
            return 0.0
        return float(coefficient(predicted, true).statistic)


def _numbers(values: ArrayLike) -> np.ndarray:
    """Return ``values``, of which the Trainer's have single precision, in double precision."""
    return np.asarray(values, dtype=np.float64)
