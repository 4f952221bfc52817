"""The Trainer of question answering: of each window that it evaluates it keeps the best spans only."""

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn
from torch.nn.functional import cross_entropy, pad

from hf_strategies.finetune.encoding import IGNORED_LABEL
from hf_strategies.finetune.question_answering.windows import SEARCH_COLUMNS
from hf_strategies.finetune.trainer import RecipeTrainer

__all__ = ["FoundSpans", "QuestionTrainer", "search_spans"]


class FoundSpans(NamedTuple):
    """The predictions for W windows: the ``n`` best spans of each, the score of no answer, the loss.

    A score is the sum of the logits of a span's first and last token, ``-inf`` where there are fewer spans than
    ``n``; ``null`` is that of token 0. ``loss`` is NaN where the answer is not known.
    """

    scores: np.ndarray  # [W, n]
    starts: np.ndarray  # [W, n]
    ends: np.ndarray  # [W, n], the last token, not the one after it
    null: np.ndarray  # [W]
    loss: np.ndarray  # [W]


class QuestionTrainer(RecipeTrainer):
    """Searches each window for the ``n_best`` spans of at most ``max_answer_length`` tokens: its predictions.

    They are `FoundSpans`, so that memory does not grow by windows times tokens. The columns of `SEARCH_COLUMNS` have
    to be among ``keep_columns``. Labels are the numbers of the windows (column ``window``), from which
    ``compute_metrics`` knows which window each prediction is of, whether answers are known or not. The loss is the
    mean over the windows of the loss of each window alone. It does not depend on batches and processes; the models'
    own loss does, because padding counts as a wrong answer there.
    """

    def __init__(self, *args: Any, max_answer_length: int, n_best: int, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._max_answer_length, self._n_best = max_answer_length, n_best

    def prediction_step(
        self,
        model: nn.Module,
        inputs: dict[str, torch.Tensor | Any],
        prediction_loss_only: bool,
        ignore_keys: list[str] | None = None,
    ) -> tuple[Any, Any, Any]:
        """Return `FoundSpans`, with the loss of each window, as predictions, and the windows' numbers as labels."""
        inputs = dict(self._prepare_inputs(inputs))
        first, end, window = (inputs.pop(column) for column in SEARCH_COLUMNS)
        outputs: tuple[Any, Any, Any] = super().prediction_step(model, inputs, prediction_loss_only, ignore_keys)
        if prediction_loss_only:
            return outputs[0], None, None
        start_logits, end_logits = (part.float() for part in outputs[1][:2])
        spans = search_spans(start_logits, end_logits, first, end, longest=self._max_answer_length, n=self._n_best)
        null = start_logits[:, 0] + end_logits[:, 0]
        losses = torch.full_like(null, torch.nan)
        if "start_positions" in inputs:
            is_padding = inputs["attention_mask"] == 0
            losses = _losses(start_logits, inputs["start_positions"], is_padding) / 2
            losses = losses + _losses(end_logits, inputs["end_positions"], is_padding) / 2
            losses = losses.masked_fill(inputs["start_positions"] == IGNORED_LABEL, torch.nan)
        return None, (*spans, null, losses), window


def _losses(logits: torch.Tensor, places: torch.Tensor, is_padding: torch.Tensor) -> torch.Tensor:
    return cross_entropy(logits.masked_fill(is_padding, -torch.inf), places, reduction="none")


def search_spans(
    start_logits: torch.Tensor,
    end_logits: torch.Tensor,
    first: torch.Tensor,
    end: torch.Tensor,
    *,
    longest: int,
    n: int,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Find the ``n`` best spans of each row: scores, first tokens, last tokens, each of shape [rows, n].

    Both logits have the shape [rows, tokens]. A span has 1 to ``longest`` tokens, all of them from ``first`` on and
    before ``end``; its score is the start logit of its first plus the end logit of its last token. Where there are
    fewer spans, and for logits that are NaN, scores are ``-inf`` and the tokens are arbitrary.
    """
    tokens = start_logits.shape[1]
    longest = min(longest, tokens)
    places = torch.arange(tokens, device=start_logits.device)
    outside = (places < first[:, None]) | (places >= end[:, None])
    starts, ends = (logits.masked_fill(outside, -torch.inf) for logits in (start_logits, end_logits))
    # Row i of a band holds the end logits of the tokens i, i + 1, ... i + longest - 1.
    band = pad(ends, (0, longest - 1), value=-torch.inf).unfold(1, longest, 1)
    scores = (starts[:, :, None] + band).flatten(1).nan_to_num(nan=-torch.inf, posinf=torch.inf, neginf=-torch.inf)
    scores = pad(scores, (0, max(0, n - scores.shape[1])), value=-torch.inf)
    best = scores.topk(n)
    start = torch.div(best.indices, longest, rounding_mode="floor")
    return best.values, start, start + best.indices % longest
