"""The baselines of text classification: constant predictions, and linear models of bags of words."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from datasets import Dataset
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from hf_strategies.finetune.command_line import notify
from hf_strategies.finetune.metrics import Metric, measure

__all__ = [
    "Examples",
    "Models",
    "baseline_metrics",
    "classifiers",
    "inputs_of",
    "multi_label_classifiers",
    "regressors",
]

Models = Callable[[bool], dict[str, Any]]
"""Returns unfitted models by name. They take a list of inputs: pairs of texts if the argument is true, else texts."""


class Examples(NamedTuple):
    """Inputs, each a text or a pair of texts, and the right output for each."""

    inputs: list[Any]
    targets: Any


def baseline_metrics(
    models: Mapping[str, Any], metrics: Mapping[str, Metric], train: Examples, test: Examples
) -> dict[str, dict[str, float]]:
    """Fit each of ``models`` to ``train`` and measure it on ``test``; return its metrics under its name.

    A model that cannot be fitted, such as to one label alone, is left out with a warning.
    """
    results = {}
    for name, model in models.items():
        try:
            with warnings.catch_warnings():
                # A warning about a rare label, which a part of the training set may well lack.
                warnings.filterwarnings("ignore", "Label .* is present in all training examples")
                predictions = model.fit(train.inputs, train.targets).predict(test.inputs)
        except ValueError as mistake:  # the report of a long training must not be lost to it
            notify(f"no baseline {name!r}: {' '.join(str(mistake).split())}")
            continue
        results[name] = measure(metrics, predictions, test.targets)
    return results


def inputs_of(rows: Dataset) -> list[Any]:
    """Return the texts of ``rows``, or the pairs of texts where there is a column ``text_pair``."""
    if "text_pair" not in rows.column_names:
        return list(rows["text"])
    return list(zip(rows["text"], rows["text_pair"], strict=True))


def classifiers(pairs: bool) -> dict[str, Any]:
    """Return the majority class and TF-IDF + logistic regression; for ``pairs`` their TF-IDF similarity too."""
    models = {
        "majority class": DummyClassifier(strategy="most_frequent"),
        "TF-IDF + logistic regression": _bag_of_words(LogisticRegression(C=10.0, max_iter=1000)),
    }
    if pairs:
        models["TF-IDF cosine similarity"] = make_pipeline(_CosineSimilarity(), LogisticRegression(C=10.0))
    return models


def regressors(pairs: bool) -> dict[str, Any]:
    """Return the mean and TF-IDF + ridge regression; for ``pairs`` a line through their TF-IDF similarity too."""
    models = {
        "mean of the labels": DummyRegressor(strategy="mean"),
        "TF-IDF + ridge regression": _bag_of_words(Ridge(alpha=1.0)),
    }
    if pairs:
        models["TF-IDF cosine similarity"] = make_pipeline(_CosineSimilarity(), LinearRegression())
    return models


def multi_label_classifiers(pairs: bool) -> dict[str, Any]:
    """Return the most frequent labels, and TF-IDF + a logistic regression for each label."""
    of_one_label = LogisticRegression(C=10.0, max_iter=1000)
    return {
        "most frequent labels": _MostFrequentLabels(),
        "TF-IDF + one-vs-rest logistic regression": _bag_of_words(OneVsRestClassifier(of_one_label)),
    }


class _CosineSimilarity(BaseEstimator, TransformerMixin):
    """The cosine of the TF-IDF vectors of two texts, as the only feature."""

    def fit(self, inputs: Sequence[tuple[str, str]], targets: object = None) -> "_CosineSimilarity":
        # Words as BERT splits them: those of a name_with_underscores, too.
        self.words_ = TfidfVectorizer(token_pattern=r"[^\W_]+", sublinear_tf=True)
        self.words_.fit([text for pair in inputs for text in pair])
        return self

    def transform(self, inputs: Sequence[tuple[str, str]]) -> np.ndarray:
        one, other = (self.words_.transform(texts) for texts in zip(*inputs, strict=True))
        similarity: np.ndarray = np.asarray(one.multiply(other).sum(axis=1)).reshape(-1, 1)
        return similarity


class _MostFrequentLabels(BaseEstimator):
    """Predicts the same labels for every example: the most frequent ones, as many as an example has on average."""

    def fit(self, inputs: Sequence[object], targets: np.ndarray) -> "_MostFrequentLabels":
        counts = np.asarray(targets).sum(axis=0)
        most = np.argsort(-counts, kind="stable")[: max(1, round(counts.sum() / len(inputs)))]
        self.answer_ = np.isin(np.arange(len(counts)), most).astype(int)
        return self

    def predict(self, inputs: Sequence[object]) -> np.ndarray:
        return np.tile(self.answer_, (len(inputs), 1))


def _bag_of_words(model: Any) -> Any:
    return make_pipeline(FunctionTransformer(_joined), TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True), model)


def _joined(inputs: Sequence[Any]) -> list[str]:
    return [text if isinstance(text, str) else " ".join(text) for text in inputs]
