"""Masks for masked language modelling that follow from seed, epoch and row alone.

transformers' collator draws them from the global random numbers, which are the same on each process and which a
resumed run has at another place (the data loader reads ahead). Its masks of whole words take a word and the comma
after it for one, because they go by gaps between words, and never put another token in place of the right one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedTokenizerBase, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from hf_strategies.errors import StrategyError
from hf_strategies.finetune.encoding import IGNORED_LABEL

__all__ = ["Masker", "MaskingCollator", "masked_once"]

# BERT's shares, Devlin et al. 2018, arXiv:1810.04805, section 3.1: the rest is left as it is.
_TO_MASK, _TO_RANDOM = 0.8, 0.1
_EVALUATION_SEED = 0


@dataclass(frozen=True)
class Masker:
    """Chooses the tokens that a model has to predict, and hides them as BERT does.

    Of the chosen tokens 80 % become the mask token, 10 % any token that is no special one, and 10 % stay. Special
    tokens, the unknown one among them, are never chosen. ``probability`` is the share of words that are chosen, or
    of tokens; a row in which chance chooses none has one of them, as otherwise a short line would have no loss.
    """

    mask_id: int
    special: np.ndarray
    ordinary: np.ndarray
    probability: float

    @classmethod
    def of(cls, tokenizer: PreTrainedTokenizerBase, probability: float, *, whole_words: bool = False) -> "Masker":
        """Take the tokens from ``tokenizer``; StrategyError where it has no mask token or tells no words."""
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
        """Tell which of ``ids`` are no special tokens."""
        return np.isin(ids, self.special, invert=True)

    def __call__(
        self, ids: np.ndarray, starts: np.ndarray | None, random: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return ``ids`` with some hidden, and the labels: what was hidden, -100 elsewhere.

        ``starts`` tells which tokens begin a word; words are hidden whole, but each of their tokens meets its own
        fate. Without it each token is a word. At least one of ``ids`` must be ordinary.
        """
        words = np.arange(len(ids)) if starts is None else np.cumsum(starts)
        is_ordinary = self.is_ordinary(ids)
        candidates = np.unique(words[is_ordinary])
        chosen = candidates[random.random(len(candidates)) < self.probability]
        if not len(chosen):
            chosen = random.choice(candidates, 1)
        is_hidden = np.isin(words, chosen) & is_ordinary
        fate = random.random(len(ids))
        hidden = np.where(is_hidden & (fate < _TO_MASK), self.mask_id, ids)
        is_random = is_hidden & (fate >= 1 - _TO_RANDOM)
        hidden[is_random] = random.choice(self.ordinary, is_random.sum())
        return hidden, np.where(is_hidden, ids, IGNORED_LABEL)


def masked_once(columns: dict[str, list[np.ndarray]], masker: Masker) -> dict[str, list[np.ndarray]]:
    """Mask the rows of an evaluation set, always in the same way, whatever the run's seed.

    ``columns`` are ``input_ids`` and maybe ``starts``; the result has ``input_ids`` and ``labels``.
    """
    starts: Sequence[Any] = columns.get("starts", [None] * len(columns["input_ids"]))
    pairs = [
        masker(ids, begin, np.random.default_rng((_EVALUATION_SEED, row)))
        for row, (ids, begin) in enumerate(zip(columns["input_ids"], starts, strict=True))
    ]
    return {"input_ids": [ids for ids, _ in pairs], "labels": [labels for _, labels in pairs]}


class MaskingCollator(TrainerCallback):
    """Pads rows to a batch; masks them anew in each epoch, unless they have labels already.

    A mask follows from ``seed``, the epoch and the column ``row``: it is the same on any number of processes and
    workers, and in a resumed run. As a callback of the Trainer it learns which epoch it is.
    """

    def __init__(
        self, masker: Masker, tokenizer: PreTrainedTokenizerBase, seed: int, pad_to_multiple_of: int | None = None
    ) -> None:
        self._masker, self._seed, self._multiple = masker, seed, pad_to_multiple_of or 1
        self._padding = tokenizer.pad_token_id or 0  # no token is masked or attended to there
        # In shared memory, because workers of the data loader may live on over epochs.
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
