"""From words to the model's inputs, and from its outputs back to one tag for each word.

A sentence that is longer than the model takes is cut into several windows without overlap, so that each word is
trained on, predicted and counted.
"""

from collections.abc import Sequence
from itertools import chain
from typing import Any, cast

import numpy as np
import torch
from datasets import Dataset, DatasetDict
from transformers import PreTrainedTokenizerBase

from hf_strategies.errors import StrategyError
from hf_strategies.finetune.encoding import IGNORED_LABEL, Batch, encode_splits, flatten_lists, tokenizer_state
from hf_strategies.finetune.token_classification.data import TokenArguments, TokenData
from hf_strategies.finetune.token_classification.schemes import inside_mark

__all__ = ["TagOutputs", "encode", "label_ids", "likeliest", "tags_of_sentences", "values_of_sentences"]

TagOutputs = tuple[np.ndarray, np.ndarray]
"""Of all tokens (rows x tokens), the id of the likeliest tag, and its probability."""


def encode(
    args: TokenArguments,
    data: TokenData,
    tokenizer: PreTrainedTokenizerBase,
    tags: Sequence[str],
    max_length: int,
) -> DatasetDict:
    """Tokenize into windows of at most ``max_length`` tokens, one row each, without padding.

    Beside the inputs a row has ``starts`` (the places of the words' first tokens), ``sentence`` (the number of its
    sentence), ``part`` (the number of the window in that sentence) and, if tags are known, ``labels``: the index in
    ``tags`` at each start, else -100. With ``label_all_subwords`` the other tokens of a word have its label too, I-
    (in BMES M-) in place of B-.

    Raises `StrategyError` for a tokenizer that does not know which word a token belongs to.
    """
    if not tokenizer.is_fast:
        raise StrategyError(
            f"the tokenizer {type(tokenizer).__name__} does not tell which word a token is of: give"
            " model_name_or_path a model with a fast tokenizer (a tokenizer.json)"
        )
    tokenizer.padding_side = "right"  # padding on the left would move the words, by batch
    tokenizer.truncation_side = "right"  # windows from the end of a sentence would come in another order
    ids = {tag: index for index, tag in enumerate(tags)}
    inner = [IGNORED_LABEL] * len(tags)
    if args.label_all_subwords:
        inside = inside_mark(tags)
        inner = [ids.get(f"{inside}-{tag[2:]}", index) if tag[:2] == "B-" else index for tag, index in ids.items()]

    def encode_batch(batch: dict[str, list[Any]]) -> dict[str, list[Any]]:
        labels = [[ids[tag] for tag in sentence] for sentence in batch.get("tags", ())]
        return _windows(tokenizer, batch["tokens"], labels, inner, max_length)

    key = ("token classification", tokenizer_state(tokenizer), tuple(tags), args.label_all_subwords, max_length)
    encoded = encode_splits(data.splits, encode_batch, key=key, workers=args.preprocessing_num_workers)
    return DatasetDict({split: _with_sentences(rows) for split, rows in encoded.items()})


def label_ids(rows: Dataset) -> np.ndarray:
    """Return all labels of encoded rows in one array, including -100."""
    return flatten_lists(rows, "labels")[0]


def likeliest(logits: Any, _labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the id of the likeliest tag of each token, and its probability, given the logits of a batch."""
    scores: torch.Tensor = logits[0] if isinstance(logits, tuple) else logits
    best = scores.argmax(dim=-1)
    return best, scores.float().softmax(dim=-1).gather(-1, best[..., None])[..., 0]


def tags_of_sentences(rows: Dataset, ids: np.ndarray, tags: Sequence[str]) -> list[list[str]]:
    """Return the tag of each word of each sentence.

    ``ids`` are the tag ids of all tokens (rows x tokens) of the encoded ``rows``, which may be in any order: the
    windows of a sentence are joined, and the sentences are in the order they had before they were encoded.
    """
    names = np.array(tags, dtype=object)
    return [[str(names[index]) for index in sentence] for sentence in values_of_sentences(rows, ids)]


def values_of_sentences(rows: Dataset, values: np.ndarray) -> list[list[Any]]:
    """Return the value of each word of each sentence: that of its first token (see `tags_of_sentences`)."""
    places, counts = flatten_lists(rows, "starts")
    windows = np.repeat(np.arange(len(rows)), counts)
    sentences = np.asarray(rows["sentence"])[windows]
    order = np.lexsort((np.asarray(rows["part"])[windows], sentences))
    ends = np.cumsum(np.bincount(sentences))
    return [part.tolist() for part in np.split(values[windows, places][order], ends[:-1])]


def _windows(
    tokenizer: PreTrainedTokenizerBase,
    sentences: list[list[str]],
    labels: list[list[int]],
    inner: Sequence[int],
    max_length: int,
) -> Batch:
    """Tokenize sentences; ``inner`` has the label of a word's later tokens, indexed by that of its first token."""
    encoded = tokenizer(
        _with_tokens_for_all(tokenizer, sentences),
        is_split_into_words=True,
        truncation=True,
        max_length=max_length,
        return_overflowing_tokens=True,
    )
    rows: Batch = {"starts": [], "part": [], **({"labels": []} if labels else {})}
    sentence = word = part = -1
    for window, owner in enumerate(encoded.pop("overflow_to_sample_mapping")):
        sentence, word, part = (sentence, word, part + 1) if owner == sentence else (owner, -1, 0)
        words = encoded.word_ids(window)
        starts = _first_tokens(words, after=word)
        word = words[starts[-1]] if starts else word
        rows["starts"].append(starts)
        rows["part"].append(part)
        if labels:
            rows["labels"].append(_labels(words, starts, labels[owner], inner))
    return {**encoded, **rows}


def _with_tokens_for_all(tokenizer: PreTrainedTokenizerBase, sentences: list[list[str]]) -> list[list[str]]:
    """Replace words for which the tokenizer has no token, such as a bare U+FE0F, by the unknown token."""
    words = list(set(chain.from_iterable(sentences)))
    pieces = tokenizer(words, add_special_tokens=False)["input_ids"]
    without = {word for word, ids in zip(words, pieces, strict=True) if not ids}
    if not without:
        return sentences
    unknown = tokenizer.unk_token or "?"
    return [[unknown if word in without else word for word in sentence] for sentence in sentences]


def _first_tokens(words: Sequence[int | None], *, after: int) -> list[int]:
    """Return the places of the first tokens of words; a word up to ``after`` began in an earlier window.

    >>> _first_tokens([None, 3, 3, 4, 5, 5, None], after=3)
    [3, 4]
    """
    starts = []
    for place, word in enumerate(words):
        if word is not None and word > after:
            starts.append(place)
            after = word
    return starts


def _labels(
    words: Sequence[int | None], starts: Sequence[int], labels: Sequence[int], inner: Sequence[int]
) -> list[int]:
    """Return the label of each token.

    >>> _labels([None, 0, 0, 1, None], [1, 3], labels=[1, 0], inner=[0, 2, 2])
    [-100, 1, 2, 0, -100]
    """
    token_labels = [IGNORED_LABEL if word is None else inner[labels[word]] for word in words]
    for place in starts:
        token_labels[place] = labels[cast(int, words[place])]
    return token_labels


def _with_sentences(rows: Dataset) -> Dataset:
    return rows.add_column("sentence", np.cumsum(np.asarray(rows["part"]) == 0) - 1)
