"""The metrics of a recipe: a table, which is a dict from the name of a metric to a plain function.

A function takes predictions and references, one entry of each for every example, and returns one number::

    def accuracy(predictions, references):
        return float(accuracy_score(references, predictions))

    CHOICE_METRICS = {"accuracy": accuracy}

To add a metric, write such a function (with a line that says what it is, its range and a doctest) and give it a row
in the table of its recipe, ``metrics.py`` in the folder of the task. The rest follows from the table:

* `ComputeMetrics` makes of it what the Trainer calls at each evaluation, and so each metric is logged and written
  to ``all_results.json``;
* `metric_names` are the names that flags such as ``--early_stopping_monitor`` may watch;
* the recipe reports the names of the table for the test set, on the console and on the model card;
* `measure` gives the same metrics of the baselines.

Whether a higher value is better follows from the name (``hf_strategies/stopping/metric.py``). A name that is not
known there gets its line there, or users have to give ``--early_stopping_mode``.

The outputs of a model are not what such functions take: each task has a *decode step*, a function that makes of the
Trainer's `EvalPrediction` a `Decoded`, such as the likeliest labels, texts of answers or names of tags. Where labels
are of several kinds (numbers or names, entities or parts of speech) each kind has a table.

`TableMetric` makes a row usable with the library ``evaluate``, without the Hub.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import datasets
import evaluate
from numpy.typing import ArrayLike
from sklearn.metrics import accuracy_score
from transformers import EvalPrediction

__all__ = ["ComputeMetrics", "Decoded", "Metric", "TableMetric", "accuracy", "measure", "metric_names"]

Metric = Callable[[Any, Any], float]
"""A function of predictions and references."""


class Decoded(NamedTuple):
    """What the decode step of a task returns.

    ``predictions`` and ``references`` are the arguments of the metrics. ``others`` are numbers that are reported
    beside the metrics and are no functions of these two, such as a loss.
    """

    predictions: Any
    references: Any
    others: Mapping[str, float] = {}


def measure(table: Mapping[str, Metric], predictions: Any, references: Any) -> dict[str, float]:
    """Return the values of all metrics of ``table``, by name.

    >>> measure({"accuracy": accuracy}, [0, 1, 1, 0], [0, 1, 0, 0])
    {'accuracy': 0.75}
    """
    return {name: float(metric(predictions, references)) for name, metric in table.items()}


class ComputeMetrics:
    """A ``compute_metrics`` for the Trainer: ``decode`` its outputs, then `measure` them.

    Where ``decode`` returns None, because the references are not known, there are no metrics.
    """

    last: Decoded | None = None
    """What was measured last; None where references were not known."""

    def __init__(self, table: Mapping[str, Metric], decode: Callable[[EvalPrediction], Decoded | None]) -> None:
        self._table, self._decode = table, decode

    def __call__(self, prediction: EvalPrediction) -> dict[str, float]:
        """Return the metrics by their names."""
        self.last = decoded = self._decode(prediction)
        if decoded is None:
            return {}
        return {**decoded.others, **measure(self._table, decoded.predictions, decoded.references)}


def metric_names(*tables: Mapping[str, Metric]) -> list[str]:
    """Return the names of the metrics of all ``tables``, each once: those that can be watched beside the loss.

    >>> metric_names({"accuracy": accuracy, "f1": max}, {"accuracy": accuracy})
    ['accuracy', 'f1']
    """
    return list(dict.fromkeys(name for table in tables for name in table))


def accuracy(predictions: ArrayLike, references: ArrayLike) -> float:
    """The share of predictions that are right, in [0, 1].

    >>> accuracy([0, 1, 1, 0], [0, 1, 0, 0])
    0.75
    """
    return float(accuracy_score(references, predictions))


# One of these is what a metric takes: text before numbers, because "10" could be read as a number.
_TEXT, _NUMBER = datasets.Value("string"), datasets.Value("float64")
_TEXTS, _NUMBERS = datasets.Sequence(_TEXT), datasets.Sequence(_NUMBER)
_FORMS = [(_TEXT, _TEXTS), (_TEXTS, _TEXTS), (_NUMBER, _NUMBER), (_NUMBERS, _NUMBERS), (_NUMBERS, _NUMBER)]


class TableMetric(evaluate.Metric):
    """A row of a table as a metric of ``evaluate``, whose own ``evaluate.load`` fetches code from the Hub.

    >>> metric = TableMetric("accuracy", accuracy)
    >>> metric.compute(predictions=[0, 1, 1, 0], references=[0, 1, 0, 0])
    {'accuracy': 0.75}

    A whole table is ``evaluate.combine([TableMetric(*row) for row in table.items()])``.
    """

    def __init__(self, name: str, metric: Metric) -> None:
        self._name, self._metric = name, metric
        super().__init__(keep_in_memory=True)

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description=self._metric.__doc__ or self._name,
            citation="",
            features=[datasets.Features({"predictions": one, "references": other}) for one, other in _FORMS],
        )

    def _compute(self, predictions: Any, references: Any) -> dict[str, float]:
        return measure({self._name: self._metric}, predictions, references)
