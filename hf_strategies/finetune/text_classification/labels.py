"""The kinds of labels, and everything in which they differ: a table with one row for each kind.

To add a kind, write one `LabelKind` with the functions that it names.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, cast
from unicodedata import normalize

import numpy as np
from datasets import Dataset
from scipy.special import softmax
from transformers import EvalPrediction, PreTrainedConfig, PreTrainedModel, Trainer

from hf_strategies.errors import StrategyError, did_you_mean
from hf_strategies.finetune.class_report import ClassReport, label_report, multi_label_report
from hf_strategies.finetune.head import by_number
from hf_strategies.finetune.metrics import ComputeMetrics, Decoded, Metric
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
from hf_strategies.finetune.text_classification.metrics import (
    CLASSIFICATION_METRICS,
    MULTI_LABEL_METRICS,
    REGRESSION_METRICS,
)
from hf_strategies.finetune.text_classification.threshold import (
    best_threshold,
    label_probabilities,
    threshold_of,
    tune_label_threshold,
)

__all__ = ["LABEL_KINDS", "METRIC_TABLES", "LabelKind", "check_distinct", "kind_of_column", "kind_of_model"]

Names = Sequence[str]


@dataclass(frozen=True)
class LabelKind:
    """One kind of labels.

    ``name`` is transformers' name of it (``problem_type``). ``metrics`` is its table of metrics, in the order in
    which they are reported. The functions:

    ``read`` returns the labels of a column: each is a name, a number or a list of names. ``outputs`` returns the
    names of a model's outputs for such labels. ``used`` returns the names in one label. ``encode`` turns labels into
    the numbers that the model learns. ``decode`` turns a model's outputs into predictions as the metrics take them,
    and ``describe`` into the entries of ``predictions.jsonl``; the last argument of both is the threshold.
    ``baselines`` returns the models that the model is compared with. ``report`` makes a `ClassReport` of predictions,
    references and labels; None for numbers. ``tune`` returns the best threshold for a
    model's outputs and the true labels; None for labels without a threshold. ``after_training`` is called when
    training has ended, and returns values to report.

    A model has at least ``fewest`` and at most ``most`` outputs. ``may_be_empty`` is whether a label may be an empty
    text, ``is_one_of`` whether it is exactly one of several, so that its loss is the cross-entropy.
    """

    name: str
    metrics: Mapping[str, Metric]
    read: Callable[[LabelColumn], list[Any]]
    outputs: Callable[[LabelColumn, list[Any]], Names]
    used: Callable[[Any], Names]
    encode: Callable[[list[Any], Names], list[Any]]
    decode: Callable[[np.ndarray, float], np.ndarray]
    describe: Callable[[np.ndarray, Names, float], Iterator[dict[str, Any]]]
    baselines: Models
    report: Callable[..., ClassReport] | None = None
    tune: Callable[[np.ndarray, np.ndarray], float] | None = None
    after_training: Callable[[Trainer], Mapping[str, float]] = lambda _: {}
    fewest: int = 1
    most: int | None = None
    may_be_empty: bool = False
    is_one_of: bool = False

    def compute_metrics(self, model: PreTrainedModel, *, trains: bool = False) -> ComputeMetrics:
        """Return a ``compute_metrics`` for the Trainer, at the threshold that ``model`` has at the time.

        A model that ``trains`` has none before the end: the threshold is tuned at each evaluation then, and is one of
        the metrics. At a fixed one F1 stays 0 for as long as every label is unlikely, and would stop the training.
        """

        def decode(prediction: EvalPrediction) -> Decoded:
            outputs, truth = cast(np.ndarray, prediction.predictions), cast(np.ndarray, prediction.label_ids)
            if trains and self.tune is not None and not hasattr(model.config, "threshold"):
                threshold = self.tune(label_probabilities(outputs), truth)
                return Decoded(self.decode(outputs, threshold), truth, {"threshold": threshold})
            return Decoded(self.decode(outputs, threshold_of(model)), truth)

        return ComputeMetrics(self.metrics, decode)

    def baseline_metrics(self, train: Dataset, test: Dataset, labels: Names) -> dict[str, dict[str, float]]:
        """Fit the baselines on ``train`` and measure them on ``test`` with the same metrics as the model."""
        parts = (
            Examples(inputs_of(rows), np.asarray(self.encode(rows["label"][:], labels))) for rows in (train, test)
        )
        return baseline_metrics(self.baselines("text_pair" in train.column_names), self.metrics, *parts)

    def report_of(self, labels: Names) -> Callable[[Any, Any], ClassReport] | None:
        """Return what makes a report of predictions and references; None for labels that are no classes."""
        return None if self.report is None else partial(self.report, labels=labels)

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
    """Return the kind of the labels in a column: lists, numbers of which some are not whole, or else names."""
    if column.holds_lists:
        return LABEL_KINDS["multi_label_classification"]
    return LABEL_KINDS["regression" if column.holds_fractions else "single_label_classification"]


def kind_of_model(config: PreTrainedConfig | None) -> LabelKind | None:
    """Return the kind of labels for which a model was trained; None without a model."""
    if config is None:
        return None
    name = config.problem_type or ("regression" if config.num_labels == 1 else "single_label_classification")
    if name not in LABEL_KINDS:
        raise StrategyError(f"problem_type {name!r} in the model's config.json: {did_you_mean(name, LABEL_KINDS)}")
    return LABEL_KINDS[name]


def check_distinct(names: Names) -> None:
    """Raise `StrategyError` for two names of labels that differ only by blanks, case or the form of their letters.

    So it does for the same whole number, once as such and once as a fraction, such as 1 and 1.0.
    """
    seen: dict[str, str] = {}
    for name in names:
        whole = name.strip().removesuffix(".0")
        if whole != name.strip() and whole.removeprefix("-").isdecimal() and whole in names:
            raise StrategyError(
                f"the labels {whole!r} and {name.strip()!r} of the train split are the same number: write them alike"
            )
        other = seen.setdefault(" ".join(normalize("NFC", name).casefold().split()), name)
        if other != name:
            # A message has no two blanks in a row, so that the second is written as an escape.
            pair = " and ".join(repr(each).replace("  ", " \\x20") for each in (other, name))
            raise StrategyError(
                f"the labels {pair} of the train split differ only by blanks or case: write them alike if they are"
                " the same label, else rename one"
            )


def _sorted_names(column: LabelColumn, labels: list[Any]) -> Names:
    used = {name for label in labels for name in ([label] if isinstance(label, str) else label)}
    return tuple(class_names(column) or sorted(used, key=by_number))


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
    for probabilities in softmax(logits, axis=-1):
        best = int(probabilities.argmax())
        every = {name: float(value) for name, value in zip(names, probabilities, strict=True)}
        yield {"prediction": names[best], "probability": every[names[best]], "probabilities": every}


def _number(outputs: np.ndarray, _names: Names, _: float) -> Iterator[dict[str, Any]]:
    yield from ({"prediction": float(output)} for output in outputs[:, 0])


def _all_above(outputs: np.ndarray, names: Names, threshold: float) -> Iterator[dict[str, Any]]:
    for probabilities in label_probabilities(outputs):
        order = np.argsort(-probabilities, kind="stable").tolist()
        given = order[: int((probabilities >= threshold).sum())]
        every = {name: float(value) for name, value in zip(names, probabilities, strict=True)}
        yield {"prediction": [names[index] for index in given], "probabilities": every}


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
            report=label_report,
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
            decode=lambda outputs, threshold: (label_probabilities(outputs) >= threshold).astype(int),
            describe=_all_above,
            baselines=multi_label_classifiers,
            report=multi_label_report,
            tune=best_threshold,
            after_training=tune_label_threshold,
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

METRIC_TABLES: list[Mapping[str, Metric]] = [kind.metrics for kind in LABEL_KINDS.values()]
"""The metrics of all kinds."""
