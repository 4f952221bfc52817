"""Masks for masked language modelling that depend only on seed, epoch and row.

transformers' collator draws masks from the global random numbers: each process draws the same ones, and a resumed run
draws others, because the data loader reads ahead. Its whole-word masks treat a word and the comma after it as one
word, because they go by gaps in the text, and they never put a random token in place of the masked one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedTokenizerBase, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from hf_strategies.errors import StrategyError
from hf_strategies.finetune.encoding import IGNORED_LABEL

__all__ = ["MASKING_COLUMNS", "Masker", "MaskingCollator", "masked_once"]

MASKING_COLUMNS = ("row", "starts")
"""The columns of a row that `MaskingCollator` reads beside the model's inputs."""

# The shares of BERT (Devlin et al. 2018, arXiv:1810.04805, section 3.1); the rest of the chosen tokens stays.
_TO_MASK, _TO_RANDOM = 0.8, 0.1
_EVALUATION_SEED = 0


@dataclass(frozen=True)
class Masker:
    """Chooses the tokens that a model has to predict, and hides them as BERT does.

    Of the chosen tokens 80 % become the mask token, 10 % a random token that is not special, and 10 % stay. Special
    tokens, the unknown token among them, are never chosen. Each word, or each token, is chosen with ``probability``;
    if none of a row is chosen, one is drawn, as otherwise a short line would have no loss.
    """

    mask_id: int
    special: np.ndarray
    ordinary: np.ndarray
    probability: float

    @classmethod
    def of(cls, tokenizer: PreTrainedTokenizerBase, probability: float, *, whole_words: bool = False) -> "Masker":
        """Take the tokens from ``tokenizer``; StrategyError if it has no mask token or cannot recognise words."""
        if tokenizer.mask_token_id is None:
            raise StrategyError(
                f"model_name_or_path={tokenizer.name_or_path!r} has no mask token: give a model that was trained with"
                " one, such as bert-base-uncased"
            )
        if whole_words and not tokenizer.is_fast:
            raise StrategyError(
                f"whole_word_mask=True needs a fast tokenizer, which {tokenizer.name_or_path!r} lacks: leave it out"
            )
        special = np.asarray(tokenizer.all_special_ids)
        return cls(tokenizer.mask_token_id, special, np.setdiff1d(np.arange(len(tokenizer)), special), probability)

    def is_ordinary(self, ids: np.ndarray) -> np.ndarray:
        """Return which of ``ids`` are not special tokens."""
        return np.isin(ids, self.special, invert=True)

    def __call__(
        self, ids: np.ndarray, starts: np.ndarray | None, random: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return ``ids`` with some hidden, and the labels: the hidden ids, -100 elsewhere.

        ``starts`` says which tokens begin a word; all tokens of a chosen word are hidden, but each is masked,
        replaced or left independently of the others. Without it each token is a word. At least one of ``ids`` must be
        ordinary.
        """
        words = np.arange(len(ids)) if starts is None else np.cumsum(starts)
        is_ordinary = self.is_ordinary(ids)
        candidates = np.unique(words[is_ordinary])
        chosen = candidates[random.random(len(candidates)) < self.probability]
        if not len(chosen):
            chosen = random.choice(candidates, 1)
        is_hidden = np.isin(words, chosen) & is_ordinary
        draw = random.random(len(ids))
        hidden = np.where(is_hidden & (draw < _TO_MASK), self.mask_id, ids)
        is_random = is_hidden & (draw >= 1 - _TO_RANDOM)
        hidden[is_random] = random.choice(self.ordinary, is_random.sum())
        return hidden, np.where(is_hidden, ids, IGNORED_LABEL)


def masked_once(columns: dict[str, list[np.ndarray]], masker: Masker) -> dict[str, list[np.ndarray]]:
    """Mask the rows of an evaluation set; the masks are the same whatever the run's seed.

    ``columns`` are ``input_ids`` and, for whole words, ``starts``; the result has ``input_ids`` and ``labels``.
    """
    starts: Sequence[Any] = columns.get("starts", [None] * len(columns["input_ids"]))
    pairs = [
        masker(ids, begin, np.random.default_rng((_EVALUATION_SEED, row)))
        for row, (ids, begin) in enumerate(zip(columns["input_ids"], starts, strict=True))
    ]
    return {"input_ids": [ids for ids, _ in pairs], "labels": [labels for _, labels in pairs]}


class MaskingCollator(TrainerCallback):
    """Pads rows to a batch; masks them anew in each epoch, unless they have labels already.

    A mask depends only on ``seed``, the epoch and the column ``row``: it is the same on any number of processes and
    workers, and in a resumed run. The collator is a callback of the Trainer too, to be informed of the epoch.
    """

    def __init__(
        self, masker: Masker, tokenizer: PreTrainedTokenizerBase, seed: int, pad_to_multiple_of: int | None = None
    ) -> None:
        self._masker, self._seed, self._multiple = masker, seed, pad_to_multiple_of or 1
        self._padding = tokenizer.pad_token_id or 0  # the padding is neither masked nor attended to
        # In shared memory, because workers of the data loader may be kept from one epoch to the next.
        self._epoch = torch.zeros((), dtype=torch.int64).share_memory_()  # type: ignore[no-untyped-call]

    def on_epoch_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Draw the masks of this epoch from now on."""
        self._epoch.fill_(int(state.epoch or 0))

    def __call__(self, examples: Sequence[dict[str, Any]]) -> dict[str, torch.Tensor]:
        """Return ``input_ids``, ``attention_mask`` and ``labels`` of a batch."""
        pairs = [self._masked(example) for example in examples]
        longest = max(len(ids) for ids, _ in pairs)
        shape = (len(pairs), -(-longest // self._multiple) * self._multiple)
        input_ids, labels = torch.full(shape, self._padding), torch.full(shape, IGNORED_LABEL)
        attention_mask = torch.zeros(shape, dtype=torch.int64)
        for row, (ids, truth) in enumerate(pairs):
            input_ids[row, : len(ids)], labels[row, : len(ids)] = torch.from_numpy(ids), torch.from_numpy(truth)
            attention_mask[row, : len(ids)] = 1
        return {"input_ids": input_ids, "attention_mask": attention_mask, "labels": labels}

    def _masked(self, example: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
        ids = np.asarray(example["input_ids"], dtype=np.int64)
        if "labels" in example:
            return ids, np.asarray(example["labels"], dtype=np.int64)
        starts = np.asarray(example["starts"]) if "starts" in example else None
        return self._masker(ids, starts, np.random.default_rng((self._seed, int(self._epoch), int(example["row"]))))
