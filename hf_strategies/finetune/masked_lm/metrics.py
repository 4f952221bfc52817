"""Perplexity and accuracy over all masked tokens of a set, exactly, in memory that does not grow with logits."""

import math
from typing import Any

import datasets
import evaluate
import numpy as np
import torch
from datasets import Dataset
from torch.nn.functional import cross_entropy
from transformers import EvalPrediction

from hf_strategies.finetune.encoding import IGNORED_LABEL
from hf_strategies.finetune.masked_lm.masking import Masker

__all__ = [
    "LM_METRICS",
    "MaskedAccuracy",
    "Perplexity",
    "masked_lm_metrics",
    "row_sums",
    "unigram_baseline",
]

_LARGEST = math.log(np.finfo(np.float64).max)


class _OverTokens(evaluate.Metric):
    """A metric of sums over the tokens of each row, given as predictions, and the numbers of these tokens."""

    def __init__(self) -> None:
        super().__init__(keep_in_memory=True)

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description=type(self).__doc__ or "",
            citation="Jelinek et al. 1977, Perplexity: a measure of the difficulty of speech recognition tasks",
            features=datasets.Features(
                {"predictions": datasets.Value("float64"), "references": datasets.Value("float64")}
            ),
        )


class Perplexity(_OverTokens):
    """exp of the mean negative log-likelihood over all tokens, 1 or more; infinite where a float cannot hold it.

    The predictions are each row's sum of negative log-likelihoods.

    >>> Perplexity().compute(predictions=[math.log(8.0), 0.0], references=[2, 1])
    {'perplexity': 2.0}
    """

    def _compute(self, predictions: list[float], references: list[float]) -> dict[str, float]:
        mean = math.fsum(predictions) / math.fsum(references)
        return {"perplexity": math.inf if mean > _LARGEST else math.exp(mean)}


class MaskedAccuracy(_OverTokens):
    """The share of tokens whose likeliest prediction is right, in [0, 1].

    The predictions are each row's number of tokens that were predicted right.

    >>> MaskedAccuracy().compute(predictions=[2, 1], references=[2, 4])
    {'accuracy': 0.5}
    """

    def _compute(self, predictions: list[float], references: list[float]) -> dict[str, float]:
        return {"accuracy": math.fsum(predictions) / math.fsum(references)}


LM_METRICS = ("perplexity", "accuracy")


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


def masked_lm_metrics(prediction: EvalPrediction) -> dict[str, float]:
    """Return perplexity, accuracy and ``nll``, the logarithm of the perplexity, of the rows of `row_sums`."""
    sums: Any = np.asarray(prediction.predictions, dtype=np.float64)
    losses, right, counts = sums.T
    return {
        **Perplexity().compute(predictions=losses, references=counts),
        **MaskedAccuracy().compute(predictions=right, references=counts),
        "nll": float(losses.sum() / counts.sum()),
    }


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
    ones = np.ones(len(labels))
    return {
        **Perplexity().compute(predictions=losses, references=ones),
        **MaskedAccuracy().compute(predictions=is_right, references=ones),
    }
