"""The baseline of masked language modelling: the frequencies of the tokens."""

import numpy as np
from datasets import Dataset

from hf_strategies.finetune.encoding import IGNORED_LABEL
from hf_strategies.finetune.masked_lm.masking import Masker
from hf_strategies.finetune.masked_lm.metrics import LM_METRICS
from hf_strategies.finetune.metrics import measure

__all__ = ["unigram_baseline"]


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
