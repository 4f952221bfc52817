"""Perplexity and accuracy over all masked tokens of a set, exactly, in memory that does not grow with the logits.

Predictions are rows of two sums over the masked tokens of a row of the set: the negative log-likelihood, and the
number of tokens that were predicted right. References are the numbers of masked tokens.
"""

import math
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from numpy.typing import ArrayLike
from torch.nn.functional import cross_entropy
from transformers import EvalPrediction

from hf_strategies.finetune.encoding import IGNORED_LABEL
from hf_strategies.finetune.masked_lm.masking import Masker
from hf_strategies.finetune.metrics import Decoded, Metric, measure

__all__ = ["LM_METRICS", "decode_sums", "masked_accuracy", "perplexity", "row_sums", "unigram_baseline"]


_LARGEST = math.log(np.finfo(np.float64).max)


def perplexity(predictions: ArrayLike, references: ArrayLike) -> float:
    """exp of the mean negative log-likelihood over all tokens, 1 or more; infinite where a float cannot hold it.

    >>> perplexity([[math.log(8.0), 0], [0.0, 1]], [2, 1])
    2.0
    """
    mean = math.fsum(np.asarray(predictions)[:, 0]) / math.fsum(np.asarray(references))
    return math.inf if mean > _LARGEST else math.exp(mean)


def masked_accuracy(predictions: ArrayLike, references: ArrayLike) -> float:
    """The share of tokens whose likeliest prediction is right, in [0, 1].

    >>> masked_accuracy([[0.5, 2], [7.5, 1]], [2, 4])
    0.5
    """
    return math.fsum(np.asarray(predictions)[:, 1]) / math.fsum(np.asarray(references))


LM_METRICS: dict[str, Metric] = {"perplexity": perplexity, "accuracy": masked_accuracy}


def row_sums(logits: Any, labels: torch.Tensor) -> torch.Tensor:
    """Return for each row the sum of the negative log-likelihoods, the number predicted right, the number masked.

    ``logits`` are those of a masked language model, or a tuple that begins with them; tokens with the label -100 do
    not count.
    """
    scores = logits[0] if isinstance(logits, tuple) else logits
    is_masked = labels != IGNORED_LABEL
    scores, truth = scores[is_masked].float(), labels[is_masked]
    losses = cross_entropy(scores, truth, reduction="none")
    is_right = (scores.argmax(dim=-1) == truth).float()
    sums = torch.zeros(len(labels), 3, device=losses.device)
    return sums.index_add_(
        0, is_masked.nonzero()[:, 0], torch.stack([losses, is_right, torch.ones_like(losses)], dim=1)
    )


def decode_sums(prediction: EvalPrediction) -> Decoded:
    """Return the `row_sums` as the metrics take them, and ``nll``, the logarithm of the perplexity."""
    sums: Any = np.asarray(prediction.predictions, dtype=np.float64)
    counts = sums[:, 2]
    return Decoded(sums[:, :2], counts, {"nll": float(sums[:, 0].sum() / counts.sum())})


def unigram_baseline(train: Dataset, test: Dataset, masker: Masker) -> dict[str, float]:
    """Measure the token frequencies of ``train`` as a model of the masked tokens of ``test``.

    They are smoothed by one more occurrence of each token of the vocabulary (Laplace), special tokens left out.
    """
    counts = np.zeros(masker.ordinary.max() + 1)
    for ids in train["input_ids"]:
        np.add.at(counts, [token for token in ids if token < len(counts)], 1)
    smoothed = counts[masker.ordinary] + 1.0
    likelihoods = np.zeros(len(counts))
    likelihoods[masker.ordinary] = smoothed / smoothed.sum()
    labels = np.concatenate([np.asarray(row) for row in test["labels"]])
    labels = labels[labels != IGNORED_LABEL]
    losses = -np.log(likelihoods[labels])
    is_right = labels == likelihoods.argmax()
    return measure(LM_METRICS, np.column_stack([losses, is_right]), np.ones(len(labels)))
