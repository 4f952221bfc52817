"""The kinds of labels, and all in which they differ: one row of a table for each.

A new kind is one `LabelKind` with the functions that it names.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import evaluate
import numpy as np
from datasets import Dataset
from transformers import EvalPrediction, PreTrainedConfig, PreTrainedModel, Trainer

from hf_strategies.errors import StrategyError
from hf_strategies.finetune.metrics import (
    CLASSIFICATION_METRICS,
    MULTI_LABEL_METRICS,
    REGRESSION_METRICS,
    compute_metrics,
)
from hf_strategies.finetune.text_classification.baselines import (
    Examples,
    Models,
    baseline_metrics,
    classifiers,
    inputs_of,
    multi_label_classifiers,
    regressors,
)
from hf_strategies.finetune.text_classification.columns import (
    LabelColumn,
    class_names,
    read_name_lists,
    read_names,
    read_numbers,
)
from hf_strategies.finetune.text_classification.threshold import sigmoid, threshold_of, tune_threshold

__all__ = ["LABEL_KINDS", "METRICS", "LabelKind", "kind_of_column", "kind_of_model"]

Names = Sequence[str]


@dataclass(frozen=True)
class LabelKind:
    """One kind of labels.

    ``name`` is transformers' name of it (``problem_type``); ``metrics`` are measured in the order in which they are
    reported. The functions:

    ``read`` makes labels of a column: a name, a number or a list of names each. ``outputs`` names the outputs of a
    model for such labels. ``used`` are the names that a label makes use of. ``encode`` makes of labels what the model
    learns. ``decode`` makes of a model's outputs what the metrics take, and ``describe`` what is written for each
    row; the last argument of both is the threshold. ``baselines`` makes what the model is compared with.
    ``after_training`` is called when training has ended, and returns what there is to report of it.

    ``fewest`` and ``most`` is how many outputs a model can have; ``may_be_empty`` tells whether a label may be an
    empty text, ``is_one_of`` whether it is exactly one of several, so that its loss is the cross-entropy.
    """

    name: str
    metrics: Mapping[str, type[evaluate.Metric]]
    read: Callable[[LabelColumn], list[Any]]
    outputs: Callable[[LabelColumn, list[Any]], Names]
    used: Callable[[Any], Names]
    encode: Callable[[list[Any], Names], list[Any]]
    decode: Callable[[np.ndarray, float], np.ndarray]
    describe: Callable[[np.ndarray, Names, float], Iterator[dict[str, Any]]]
    baselines: Models
    after_training: Callable[[Trainer], Mapping[str, float]] = lambda _: {}
    fewest: int = 1
    most: int | None = None
    may_be_empty: bool = False
    is_one_of: bool = False

    def compute_metrics(self, model: PreTrainedModel) -> Callable[[EvalPrediction], dict[str, float]]:
        """Return a ``compute_metrics`` for the Trainer, at the threshold that ``model`` has at the time."""
        return compute_metrics(self.metrics, lambda outputs: self.decode(outputs, threshold_of(model)))

    def baseline_metrics(self, train: Dataset, test: Dataset, labels: Names) -> dict[str, dict[str, float]]:
        """Fit the baselines on ``train`` and measure them on ``test`` with the same metrics as the model."""
        parts = (
            Examples(inputs_of(rows), np.asarray(self.encode(rows["label"][:], labels))) for rows in (train, test)
        )
        return baseline_metrics(self.baselines("text_pair" in train.column_names), self.metrics, *parts)

    def check_outputs(self, labels: Names) -> None:
        """Raise `StrategyError` unless a model can have these outputs."""
        if not labels:
            raise StrategyError(
                "train_file is missing: without it only a model that is fine-tuned already knows labels"
            )
        if len(labels) < self.fewest:
            raise StrategyError(f"the only label of the training set is {labels[0]!r}: give at least two")
        if self.most is not None and len(labels) > self.most:
            raise StrategyError(f"problem_type={self.name!r} needs a model with one output: it has {len(labels)}")


def kind_of_column(column: LabelColumn) -> LabelKind:
    """Tell the kind of labels from a column of them: lists, numbers that need not be whole, or else names."""
    if column.holds_lists:
        return LABEL_KINDS["multi_label_classification"]
    return LABEL_KINDS["regression" if column.holds_fractions else "single_label_classification"]


def kind_of_model(config: PreTrainedConfig | None) -> LabelKind | None:
    """Tell for which kind of labels a model was trained; None without a model."""
    if config is None:
        return None
    usual = "regression" if config.num_labels == 1 else "single_label_classification"
    return LABEL_KINDS[config.problem_type or usual]


def _sorted_names(column: LabelColumn, labels: list[Any]) -> Names:
    used = {name for label in labels for name in ([label] if isinstance(label, str) else label)}
    return tuple(class_names(column) or sorted(used, key=_by_number))


def _by_number(label: str) -> tuple[bool, int, str]:
    is_number = label.removeprefix("-").isdigit()
    return (not is_number, int(label) if is_number else 0, label)


def _ids(labels: list[str], names: Names) -> list[int]:
    ids = {name: index for index, name in enumerate(names)}
    return [ids[label] for label in labels]


def _multi_hot(labels: list[list[str]], names: Names) -> list[list[float]]:
    ids = {name: index for index, name in enumerate(names)}
    rows = np.zeros((len(labels), len(names)))
    for row, label in zip(rows, labels, strict=True):
        row[[ids[name] for name in label]] = 1.0
    hot: list[list[float]] = rows.tolist()
    return hot


def _likeliest(logits: np.ndarray, names: Names, _: float) -> Iterator[dict[str, Any]]:
    shifted = np.exp(logits - logits.max(axis=-1, keepdims=True))
    for probabilities in shifted / shifted.sum(axis=-1, keepdims=True):
        best = int(probabilities.argmax())
        yield {"prediction": names[best], "probability": float(probabilities[best])}


def _number(outputs: np.ndarray, _names: Names, _: float) -> Iterator[dict[str, Any]]:
    yield from ({"prediction": float(output)} for output in outputs[:, 0])


def _all_above(outputs: np.ndarray, names: Names, threshold: float) -> Iterator[dict[str, Any]]:
    for probabilities in sigmoid(outputs):
        order = np.argsort(-probabilities, kind="stable").tolist()
        given = order[: int((probabilities >= threshold).sum())]
        yield {
            "prediction": [names[index] for index in given],
            "probabilities": [float(probabilities[index]) for index in given],
        }


LABEL_KINDS: dict[str, LabelKind] = {
    kind.name: kind
    for kind in (
        LabelKind(
            "single_label_classification",
            CLASSIFICATION_METRICS,
            read=read_names,
            outputs=_sorted_names,
            used=lambda label: (label,),
            encode=_ids,
            decode=lambda logits, _: np.argmax(logits, axis=-1),
            describe=_likeliest,
            baselines=classifiers,
            fewest=2,
            is_one_of=True,
        ),
        LabelKind(
            "multi_label_classification",
            MULTI_LABEL_METRICS,
            read=read_name_lists,
            outputs=_sorted_names,
            used=lambda label: label,
            encode=_multi_hot,
            decode=lambda outputs, threshold: (sigmoid(outputs) >= threshold).astype(int),
            describe=_all_above,
            baselines=multi_label_classifiers,
            after_training=tune_threshold,
            may_be_empty=True,
        ),
        LabelKind(
            "regression",
            REGRESSION_METRICS,
            read=read_numbers,
            outputs=lambda _, __: ("score",),
            used=lambda _: (),
            encode=lambda labels, _: labels,
            decode=lambda outputs, _: outputs[:, 0],
            describe=_number,
            baselines=regressors,
            most=1,
        ),
    )
}
"""All kinds of labels, under transformers' names of them."""

METRICS: list[str] = list(dict.fromkeys(name for kind in LABEL_KINDS.values() for name in kind.metrics))
"""The names of all metrics of all kinds."""
