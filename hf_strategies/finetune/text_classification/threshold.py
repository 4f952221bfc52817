"""From how likely an example has a label to whether it has."""

from typing import Any, cast

import numpy as np
from transformers import PreTrainedModel, Trainer

__all__ = ["USUAL", "best_threshold", "forget_threshold", "sigmoid", "threshold_of", "tune_threshold"]

USUAL = 0.5


def sigmoid(outputs: np.ndarray) -> np.ndarray:
    """Return the probabilities that a model's outputs stand for, in double precision.

    >>> sigmoid(np.array([0.0, -1000.0])).tolist()
    [0.5, 0.0]
    """
    return 0.5 * (1.0 + np.tanh(0.5 * np.asarray(outputs, dtype=np.float64)))


def best_threshold(probabilities: np.ndarray, truth: np.ndarray) -> float:
    """Return the threshold at which F1 over all pairs of an example and a label (micro F1) is the highest.

    A label is given where its probability is at least the threshold. All thresholds that differ in what they give are
    compared; the one returned lies halfway from the least probability that is given to the next below it. Of several
    that are equally good it is the highest, and 0.5 where no example has a label.

    ``probabilities`` and ``truth`` (zeros and ones) have a row for each example and a column for each label.

    >>> best_threshold(np.array([[0.9, 0.4], [0.2, 0.1]]), np.array([[1, 1], [0, 0]]))
    0.30000000000000004
    """
    scores, right = np.ravel(probabilities), np.ravel(truth)
    positives = right.sum()
    if not positives:
        return USUAL
    order = np.argsort(-scores, kind="stable")
    scores = scores[order]
    f1 = 2 * np.cumsum(right[order]) / (np.arange(1, len(scores) + 1) + positives)
    below = np.append(scores[1:], 0.0)
    f1[:-1][scores[:-1] == scores[1:]] = 0.0  # equal probabilities are all given or none
    best = int(np.argmax(f1))
    halfway = (scores[best] + below[best]) / 2
    return float(halfway if halfway > below[best] else scores[best])


def threshold_of(model: Any) -> float:
    """Return the threshold that the configuration of a model names, else 0.5."""
    return float(getattr(model.config, "threshold", USUAL))


def forget_threshold(config: Any) -> None:
    """Take a threshold that was tuned for an earlier training out of a model's configuration."""
    if hasattr(config, "threshold"):
        del config.threshold


def tune_threshold(trainer: Trainer) -> dict[str, float]:
    """Find the `best_threshold` on the validation set and put it into the model's configuration; return it by name.

    To be called on every process: each has the outputs for the whole set, and finds the same threshold.
    """
    output = trainer.predict(cast(Any, trainer.eval_dataset))
    threshold = best_threshold(sigmoid(cast(np.ndarray, output.predictions)), cast(np.ndarray, output.label_ids))
    cast(PreTrainedModel, trainer.model).config.threshold = threshold
    return {"threshold": threshold}
