"""Lines of text for masked language modelling, packed into blocks."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from datasets import Dataset, DatasetDict
from transformers import PreTrainedTokenizerBase

from hf_strategies.errors import StrategyError
from hf_strategies.finetune.arguments import DataArguments
from hf_strategies.finetune.data import check_columns, limit, load_data, texts_of, with_validation
from hf_strategies.finetune.encoding import encode_splits, flatten_lists, tokenizer_state
from hf_strategies.finetune.masked_lm.masking import Masker, masked_once
from hf_strategies.finetune.masked_lm.offline import DOCUMENTATION_LINES
from hf_strategies.finetune.tables.lines import read_lines

__all__ = ["LineData", "MaskedLMArguments", "encode", "load_lines"]

_TEXT_COLUMNS = ("text", "sentence", "content", "document", "article")
_DEFAULT_BLOCK = 128


@dataclass
class MaskedLMArguments(DataArguments):
    """Where the lines come from, and how they are packed and masked."""

    text_column: str | None = field(default=None, metadata={"help": "Column of the text (unset: a usual name)."})
    mlm_probability: float = field(default=0.15, metadata={"help": "Share of the tokens to mask, or of the words."})
    whole_word_mask: bool = field(
        default=False, metadata={"help": "Mask all pieces of a word or none (needs a fast tokenizer)."}
    )
    pack: bool = field(
        default=True, metadata={"help": "Fill blocks with one line after the other, so that nothing is padded."}
    )
    block_size: int | None = field(
        default=None, metadata={"help": "Tokens of a block (unset: 128, or what the model takes if that is less)."}
    )


@dataclass(frozen=True)
class LineData:
    """Splits with one column, ``text``; no text is empty."""

    splits: DatasetDict
    name: str

    @property
    def texts(self) -> list[str]:
        """All texts of the training set, if there is one."""
        return list(self.splits["train"]["text"]) if "train" in self.splits else []


def load_lines(args: MaskedLMArguments, *, seed: int = 0) -> LineData:
    """Load the texts that the arguments name, or the sentences of documentation if they name none.

    A ``.txt`` file has a text on each line; texts of only white space are left out. Which texts are taken for
    validation does not depend on ``seed``, that of the run, so that runs with different seeds can be compared; which
    ones ``max_train_samples`` leaves does. Raises `StrategyError` for a missing column or text, and as `load_splits`
    does.
    """
    raw, name = load_data(args, DOCUMENTATION_LINES, {".txt": partial(read_lines, encoding=args.encoding)})
    checked = DatasetDict({split: _normal_form(args, rows, split) for split, rows in raw.items()})
    return LineData(limit(with_validation(checked, args, seed=0), args, seed), name)


def encode(
    args: MaskedLMArguments, data: LineData, tokenizer: PreTrainedTokenizerBase, longest: int, masker: Masker
) -> DatasetDict:
    """Tokenize and pack all splits; mask all but ``train``, whose masks are drawn anew in each epoch.

    ``longest`` is the most tokens that the model takes. With ``pack`` the lines of a split are joined, with a
    separator between two, and cut into blocks of ``block_size`` tokens, the last one shorter; without it each line is
    cut at ``block_size``. The training set has the columns ``input_ids``, ``row`` and, for whole words, ``starts``;
    the others ``input_ids`` and ``labels``. Raises `StrategyError` for a ``block_size`` that the model does not take,
    and for a split with nothing to mask.
    """
    size = _block_size(args, longest)

    def encode_batch(batch: dict[str, list[Any]]) -> dict[str, list[Any]]:
        encoded = tokenizer(batch["text"], add_special_tokens=False, verbose=False)
        columns = {"input_ids": encoded["input_ids"]}
        if args.whole_word_mask:
            columns["starts"] = [_word_starts(encoded.word_ids(line)) for line in range(len(batch["text"]))]
        return columns

    key = ("masked language modelling", tokenizer_state(tokenizer), args.whole_word_mask)
    tokens = encode_splits(data.splits, encode_batch, key=key, workers=args.preprocessing_num_workers)
    frame = _Frame.of(tokenizer)
    blocks = {split: _blocks(rows, frame, size, pack=args.pack) for split, rows in tokens.items()}
    return DatasetDict({split: _finished(split, columns, masker) for split, columns in blocks.items()})


class _Frame(NamedTuple):
    """The special tokens that a model expects before and after its input, and the one between two lines."""

    before: list[int]
    after: list[int]
    between: list[int]

    @classmethod
    def of(cls, tokenizer: PreTrainedTokenizerBase) -> "_Frame":
        """Read them from the encoding of a letter: a fast tokenizer has no other way to ask for them."""
        bare: list[int] = tokenizer("a", add_special_tokens=False)["input_ids"]
        full: list[int] = tokenizer("a")["input_ids"]
        start = next(place for place in range(len(full)) if full[place : place + len(bare)] == bare)
        separator = tokenizer.eos_token_id if tokenizer.sep_token_id is None else tokenizer.sep_token_id
        return cls(full[:start], full[start + len(bare) :], [] if separator is None else [separator])


def _block_size(args: MaskedLMArguments, longest: int) -> int:
    if args.block_size is not None and args.block_size > longest:
        raise StrategyError(f"block_size={args.block_size} is too long: give at most {longest}")
    return args.block_size or min(_DEFAULT_BLOCK, longest)


def _word_starts(words: Sequence[int | None]) -> list[bool]:
    """Return which tokens begin a word, given the number of the word that each belongs to."""
    return [place == 0 or word is None or word != words[place - 1] for place, word in enumerate(words)]


def _blocks(rows: Dataset, frame: _Frame, size: int, *, pack: bool) -> dict[str, list[np.ndarray]]:
    """Cut the lines into blocks with special tokens around them; a special token counts as a word of its own."""
    room = size - len(frame.before) - len(frame.after)
    framed = {}
    for column in rows.column_names:
        around = [tokens if column == "input_ids" else [True] * len(tokens) for tokens in frame]
        extra: list[np.ndarray] = [np.asarray(tokens, dtype=_kind(column)) for tokens in around]
        pieces = _pieces(_nonempty_lines(rows, column), extra[2], room, pack=pack)
        framed[column] = [np.concatenate([extra[0], piece, extra[1]]) for piece in pieces]
    return framed


def _pieces(lines: list[np.ndarray], between: np.ndarray, room: int, *, pack: bool) -> Iterator[np.ndarray]:
    if not pack:
        yield from (line[:room] for line in lines)
    elif lines:
        stream = np.concatenate([part for line in lines for part in (between, line)])[len(between) :]
        yield from (stream[start : start + room] for start in range(0, len(stream), room))


def _nonempty_lines(rows: Dataset, column: str) -> list[np.ndarray]:
    """Return a column of lists as arrays; empty ones, of lines without tokens, are left out."""
    values, lengths = flatten_lists(rows, column)
    lines: list[np.ndarray] = np.split(values.astype(_kind(column)), np.cumsum(lengths)[:-1])
    return [line for line in lines if len(line)]


def _kind(column: str) -> type:
    return np.int64 if column == "input_ids" else np.bool_


def _finished(split: str, columns: dict[str, list[np.ndarray]], masker: Masker) -> Dataset:
    kept = [place for place, ids in enumerate(columns["input_ids"]) if masker.is_ordinary(ids).any()]
    if not kept:
        raise StrategyError(f"the {split} split has no token to mask: give a text that the tokenizer knows")
    columns = {name: [values[place] for place in kept] for name, values in columns.items()}
    if split == "train":
        return Dataset.from_dict({**columns, "row": np.arange(len(kept))})
    return Dataset.from_dict(masked_once(columns, masker))


def _normal_form(args: MaskedLMArguments, rows: Dataset, split: str) -> Dataset:
    column = args.text_column or next((name for name in _TEXT_COLUMNS if name in rows.column_names), None)
    if column is None:
        raise StrategyError(f"text_column is not given and none of {rows.column_names} is usual: name the column")
    check_columns(rows, split, {"text_column": column})
    texts = [text for text in texts_of(rows, split, column) if text.strip()]
    if not texts:
        raise StrategyError(f"the {split} split is empty: give at least one line of text")
    return Dataset.from_dict({"text": texts})
