"""The metrics of multiple choice: predictions and references are the places of endings."""

from typing import Any

import numpy as np
import torch
from torch.nn.functional import cross_entropy
from transformers import EvalPrediction

from hf_strategies.finetune.metrics import Decoded, Metric, accuracy

__all__ = ["CHOICE_METRICS", "decode_choices"]

CHOICE_METRICS: dict[str, Metric] = {"accuracy": accuracy}


def decode_choices(prediction: EvalPrediction) -> Decoded:
    """Return the likeliest ending of each row, the right one, and ``nll``, the mean negative log-likelihood."""
    logits: Any = np.asarray(prediction.predictions, dtype=np.float64)
    labels: Any = np.asarray(prediction.label_ids)
    nll = float(cross_entropy(torch.from_numpy(logits), torch.from_numpy(labels)))
    return Decoded(logits.argmax(axis=-1), labels, {"nll": nll})
