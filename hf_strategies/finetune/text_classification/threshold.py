"""The threshold of multi-label classification: a label is given where its probability is at least the threshold."""

from typing import Any, cast

import numpy as np
from scipy.special import expit
from transformers import PreTrainedModel, Trainer

__all__ = [
    "DEFAULT",
    "best_threshold",
    "forget_threshold",
    "label_probabilities",
    "threshold_of",
    "tune_label_threshold",
]

DEFAULT = 0.5


def label_probabilities(outputs: np.ndarray) -> np.ndarray:
    """Return the sigmoid of a model's outputs, in double precision: the probability of each label.

    >>> label_probabilities(np.array([0.0, -1000.0], dtype=np.float32)).tolist()
    [0.5, 0.0]
    """
    probabilities: np.ndarray = expit(np.asarray(outputs, dtype=np.float64))
    return probabilities


def best_threshold(probabilities: np.ndarray, truth: np.ndarray) -> float:
    """Return the threshold at which F1 over all pairs of an example and a label (micro F1) is the highest.

    All thresholds are compared that differ in the labels which they give. The returned threshold lies halfway between
    the smallest probability of a label that is given and the next smaller probability. Of several thresholds that are
    equally good it is the highest. It is 0.5 where no example has a label.

    ``probabilities`` and ``truth`` (zeros and ones) have a row for each example and a column for each label.

    >>> best_threshold(np.array([[0.9, 0.4], [0.2, 0.1]]), np.array([[1, 1], [0, 0]]))
    0.30000000000000004
    """
    scores, right = np.ravel(probabilities), np.ravel(truth)
    positives = right.sum()
    if not positives:
        return DEFAULT
    order = np.argsort(-scores, kind="stable")
    scores = scores[order]
    f1 = 2 * np.cumsum(right[order]) / (np.arange(1, len(scores) + 1) + positives)
    below = np.append(scores[1:], 0.0)
    f1[:-1][scores[:-1] == scores[1:]] = 0.0  # equal probabilities are all given or none
    best = int(np.argmax(f1))
    halfway = (scores[best] + below[best]) / 2
    return float(halfway if halfway > below[best] else scores[best])


def threshold_of(model: Any) -> float:
    """Return the threshold in the configuration of a model, else 0.5."""
    return float(getattr(model.config, "threshold", DEFAULT))


def forget_threshold(config: Any) -> None:
    """Remove the threshold that an earlier training tuned from a model's configuration."""
    if hasattr(config, "threshold"):
        del config.threshold


def tune_label_threshold(trainer: Trainer) -> dict[str, float]:
    """Write the `best_threshold` on the validation set into the model's configuration; return it by its name.

    Call this on every process: each has the outputs for the whole set, and so the same threshold.
    """
    output = trainer.predict(cast(Any, trainer.eval_dataset))
    threshold = best_threshold(
        label_probabilities(cast(np.ndarray, output.predictions)), cast(np.ndarray, output.label_ids)
    )
    cast(PreTrainedModel, trainer.model).config.threshold = threshold
    return {"threshold": threshold}
