"""What a classifier must beat: the majority class, and TF-IDF with logistic regression."""

import logging
from collections.abc import Sequence

from datasets import Dataset
from sklearn.dummy import DummyClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from hf_strategies.recipe.metrics import CLASSIFICATION_METRICS

__all__ = ["baseline_metrics"]

logger = logging.getLogger(__name__)


def baseline_metrics(train: Dataset, test: Dataset, labels: Sequence[str]) -> dict[str, dict[str, float]]:
    """Fit the baselines on ``train`` and measure them on ``test`` with the recipe's own metrics.

    Both sets have the columns ``text``, ``label`` and, for pairs, ``text_pair``, which is appended to the text.
    A baseline that cannot be fitted, such as to one label alone, is left out with a warning.
    """
    models = {
        "majority class": DummyClassifier(strategy="most_frequent"),
        "TF-IDF + logistic regression": make_pipeline(
            TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True), LogisticRegression(C=10.0, max_iter=1000)
        ),
    }
    texts, ids = _texts(train), [labels.index(label) for label in train["label"]]
    truth = [labels.index(label) for label in test["label"]]
    results = {}
    for name, model in models.items():
        try:
            predictions = model.fit(texts, ids).predict(_texts(test))
        except ValueError as mistake:  # the report of a long training must not be lost to it
            logger.warning(f"no baseline {name!r}: {' '.join(str(mistake).split())}")
            continue
        scores = [
            metric().compute(predictions=predictions, references=truth) for metric in CLASSIFICATION_METRICS.values()
        ]
        results[name] = {key: value for score in scores for key, value in score.items()}
    return results


def _texts(rows: Dataset) -> list[str]:
    if "text_pair" not in rows.column_names:
        return list(rows["text"])
    return [f"{text} {pair}" for text, pair in zip(rows["text"], rows["text_pair"], strict=True)]
