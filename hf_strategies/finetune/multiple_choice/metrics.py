"""The metrics of multiple choice and its baselines: predictions and references are the places of endings.

The baselines choose a place, a length, or the ending with most words in common with the context.
"""

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from sklearn.feature_extraction.text import TfidfVectorizer
from torch.nn.functional import cross_entropy
from transformers import EvalPrediction

from hf_strategies.finetune.metrics import Decoded, Metric, accuracy, measure

__all__ = ["CHOICE_METRICS", "choice_baselines", "decode_choices", "likeliest_endings"]


CHOICE_METRICS: dict[str, Metric] = {"accuracy": accuracy}


def decode_choices(prediction: EvalPrediction) -> Decoded:
    """Return the likeliest ending of each row, the right one, and ``nll``, the mean negative log-likelihood."""
    logits: Any = np.asarray(prediction.predictions, dtype=np.float64)
    labels: Any = np.asarray(prediction.label_ids)
    nll = float(cross_entropy(torch.from_numpy(logits), torch.from_numpy(labels)))
    return Decoded(likeliest_endings(logits), labels, {"nll": nll})


def likeliest_endings(logits: np.ndarray) -> np.ndarray:
    """Return the place of the likeliest ending of each row; those that only fill up a row have the logit ``-inf``."""
    return np.asarray(logits.argmax(axis=-1))


def choice_baselines(train: Dataset, test: Dataset) -> dict[str, dict[str, float]]:
    """Measure three ways to choose on ``test``: always the same place, by length, by TF-IDF.

    The place is the most frequent one of ``train``; the length is the largest or the smallest, whichever is right
    more often in ``train``. TF-IDF, whose weights come from the texts of ``train``, takes the ending with the largest
    cosine with the context; words end at an underscore and at a dot too. Both sets have the columns ``context``,
    ``endings`` and ``label``.
    """
    place = Counter(train["label"]).most_common(1)[0][0]
    by_length = {"longest ending": np.argmax, "shortest ending": np.argmin}
    length = max(by_length, key=lambda name: accuracy(_by_length(train, by_length[name]), train["label"]))
    chosen = {
        "most frequent place": [place] * len(test),
        length: _by_length(test, by_length[length]),
        "TF-IDF, ending like context": _most_alike(train, test),
    }
    return {name: measure(CHOICE_METRICS, predictions, test["label"]) for name, predictions in chosen.items()}


def _by_length(rows: Dataset, choose: Callable[[list[int]], Any]) -> list[int]:
    return [int(choose([len(ending) for ending in endings])) for endings in rows["endings"]]


def _most_alike(train: Dataset, test: Dataset) -> list[int]:
    vectorizer = TfidfVectorizer(token_pattern=r"[^\W_]+", sublinear_tf=True)
    vectorizer.fit([*train["context"], *(ending for row in train["endings"] for ending in row)])
    contexts = vectorizer.transform(test["context"])
    sizes = [len(row) for row in test["endings"]]
    endings = vectorizer.transform([ending for row in test["endings"] for ending in row])
    # The rows are normed, so that a product is a cosine.
    cosines = np.asarray(contexts[np.repeat(np.arange(len(test)), sizes)].multiply(endings).sum(axis=1)).ravel()
    return [int(part.argmax()) for part in np.split(cosines, np.cumsum(sizes)[:-1])]
