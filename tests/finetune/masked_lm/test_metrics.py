"""The metrics of masked tokens and their baseline, by values worked out by hand."""

import math

import numpy as np
import pytest
import torch
from datasets import Dataset
from transformers import EvalPrediction

from hf_strategies.finetune.masked_lm.masking import Masker
from hf_strategies.finetune.masked_lm.metrics import LM_METRICS, decode_sums, perplexity, row_sums, unigram_baseline
from hf_strategies.finetune.metrics import ComputeMetrics


def test_perplexity_weighs_tokens_and_not_rows() -> None:
    # One token with probability 1/2 and three with 1/4: exp((ln 2 + 3 ln 4) / 4) = 2 ** (7 / 4).
    logits = torch.log(torch.tensor([[[0.5, 0.5, 0, 0]] * 3, [[0.25] * 4] * 3]).clamp_min(1e-30))
    labels = torch.tensor([[-100, 1, -100], [3, 2, 0]])
    sums = row_sums((logits, None), labels)
    assert sums.tolist() == [
        [pytest.approx(math.log(2)), 0, 1],
        [pytest.approx(3 * math.log(4)), 1, 3],
    ]
    compute = ComputeMetrics(LM_METRICS, decode_sums)
    metrics = compute(EvalPrediction(predictions=sums.numpy(), label_ids=labels.numpy()))
    assert metrics["perplexity"] == pytest.approx(2 ** (7 / 4))
    assert metrics["accuracy"] == pytest.approx(1 / 4)
    assert metrics["nll"] == pytest.approx(7 / 4 * math.log(2))


def test_a_perplexity_beyond_all_numbers_is_infinite() -> None:
    assert perplexity([[7100.0, 0]], [10]) == math.inf
    assert math.isfinite(perplexity([[7090.0, 0]], [10]))


def test_a_model_that_has_diverged_has_no_perplexity() -> None:
    assert math.isnan(perplexity([[math.nan, 0]], [1]))


def test_the_unigram_baseline_is_the_smoothed_share_of_a_token() -> None:
    # Vocabulary 5, 6, 7; seen 3, 1 and 0 times: shares 4/7, 2/7 and 1/7.
    masker = Masker(mask_id=4, special=np.arange(5), ordinary=np.array([5, 6, 7]), probability=0.15)
    train = Dataset.from_dict({"input_ids": [[2, 5, 5, 3], [2, 6, 5, 3]]})
    test = Dataset.from_dict({"labels": [[-100, 5, -100], [-100, 7, -100]]})
    result = unigram_baseline(train, test, masker)
    assert result["perplexity"] == pytest.approx(math.sqrt(7 / 4 * 7))
    assert result["accuracy"] == 0.5
