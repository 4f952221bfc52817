"""Token-classification data: sentences as lists of words, with one tag for each word."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

from datasets import ClassLabel, Dataset, DatasetDict

from hf_strategies.errors import StrategyError, did_you_mean
from hf_strategies.finetune.arguments import DataArguments
from hf_strategies.finetune.class_weights import ClassWeightArguments
from hf_strategies.finetune.data import (
    check_columns,
    check_test_labels,
    labelled_rows,
    limit,
    load_data,
    with_validation,
)
from hf_strategies.finetune.given_columns import ROW, GivenRows
from hf_strategies.finetune.head import by_number, match_labels
from hf_strategies.finetune.tables.lists import parse_list
from hf_strategies.finetune.tables.separated import is_untyped
from hf_strategies.finetune.token_classification.conll import CONLL_ENDINGS, conll_readers, tsv_reader
from hf_strategies.finetune.token_classification.offline import CODE_WORDS
from hf_strategies.finetune.token_classification.schemes import inside_mark, split_tag

__all__ = ["TokenArguments", "TokenData", "choose_tags", "load_tokens"]

# Names of the columns in public data sets. The first one that a data set has is used.
_TOKENS = ("tokens", "words")
_TAGS = ("ner_tags", "pos_tags", "tags", "labels")
# Data sets of the Hub mark tags that are not known with -1; -100 is what a loss leaves out.
_HIDDEN_TAGS = {None, -1, -100}


@dataclass
class TokenArguments(ClassWeightArguments, DataArguments):
    """Where the sentences come from, and which columns hold words and tags."""

    train_file: list[str] | None = field(
        default=None,
        metadata={"help": f"Local json, jsonl, parquet or CoNLL file ({', '.join(CONLL_ENDINGS)})."},
    )
    tokens_column: str | None = field(
        default=None,
        metadata={
            "help": f"Column of the lists of words (unset: {' or '.join(_TOKENS)}); in a CoNLL file its number"
            " from 1, or in CoNLL-U its name (unset: 1, or FORM)."
        },
    )
    tags_column: str | None = field(
        default=None,
        metadata={
            "help": f"Column of the lists of tags (unset: {', '.join(_TAGS)}); in a CoNLL file its number from 1,"
            " or in CoNLL-U its name (unset: the last, or UPOS)."
        },
    )
    label_all_subwords: bool = field(
        default=False,
        metadata={"help": "Train on all pieces of a word, those after the first as I-, not on the first alone."},
    )


@dataclass(frozen=True)
class TokenData:
    """Splits with the columns ``tokens`` and ``tags`` (names; absent where unknown), lists of the same length.

    ``tags`` are the names in the order of their ids, from the training set; empty if there is none. ``rows`` has, for
    each split, the number in the file of each of its rows. ``given`` are the rows of the test set as they stand in
    the file; None without a test set.
    """

    splits: DatasetDict
    tags: tuple[str, ...]
    name: str
    rows: Mapping[str, Sequence[int]] = field(default_factory=dict)
    given: GivenRows | None = None

    @property
    def texts(self) -> list[str]:
        """All sentences of the training set, if there is one, as texts."""
        return [" ".join(tokens) for tokens in self.splits["train"]["tokens"]] if "train" in self.splits else []


def load_tokens(args: TokenArguments, *, seed: int = 0) -> TokenData:
    """Load and check the sentences that the arguments name, or the offline ones if they name none.

    Which sentences are taken for validation does not depend on ``seed``, that of the run, so that runs with different
    seeds can be compared; which ones ``max_train_samples`` leaves does. Raises `StrategyError` for a missing column,
    word or tag, for a row without words or with more or fewer tags than words, and as `load_splits` does.
    """
    readers = conll_readers(args.tokens_column, args.tags_column, args.encoding)
    if args.separator is None and args.column_names is None:  # which are flags of tables
        readers |= tsv_reader(args.tokens_column, args.tags_column, args.encoding)
    raw, name = load_data(args, CODE_WORDS, readers)
    columns = _columns(args, raw)
    if "test" in raw:
        check_test_labels(raw, "tags_column", columns["test"][1])
    # Checked before they are split and cut, so that an error names the row of the file.
    checked = DatasetDict({split: _normal_form(rows, split, *columns[split]) for split, rows in raw.items()})
    splits = limit(with_validation(checked, args, seed=0), args, seed)
    known: tuple[str, ...] = ()
    if "train" in raw:
        known = _training_tags(raw["train"].features[columns["train"][1]], checked, args.label_all_subwords)
    rows = {split: rows[ROW][:] for split, rows in splits.items()}
    tested = "test" if "test" in raw else "train"  # a fold
    given = GivenRows.of(raw, splits, [columns[tested][1]] if tested in columns else [])
    return TokenData(splits.remove_columns(ROW), known, name, rows, given)


def choose_tags(data: TokenData, trained: Sequence[str], *, fixed: bool = False) -> tuple[str, ...]:
    """Return the tags in the order of their ids: those of the model if it was trained for all tags of the data.

    ``trained`` are the tags of the model, empty for a new one; ``fixed`` is True if the model is not trained further,
    so that no tags can be added. Raises `StrategyError` if there is only one tag, or a sentence has an unknown one.
    """
    known = sorted(set().union(*map(_distinct, data.splits.values()))) if fixed else data.tags
    tags = match_labels(trained, known, fixed=fixed) or (tuple(trained) if fixed else data.tags)
    whose = "one of the model's" if fixed else "in the training set"
    if not tags:
        raise StrategyError("train_file is missing: without it only a model that is fine-tuned already knows tags")
    if len(tags) < 2:
        raise StrategyError(f"the only tag of the training set is {tags[0]!r}: give at least two")
    for split, rows in data.splits.items():
        for row, sentence in enumerate(rows["tags"] if "tags" in rows.column_names else ()):
            for tag in sorted(set(sentence).difference(tags)):
                number = data.rows[split][row] if split in data.rows else row
                raise StrategyError(
                    f"tag {tag!r} (row {number} of the {split} split) is not {whose}: {did_you_mean(tag, tags)}"
                )
    return tags


def _columns(args: TokenArguments, raw: DatasetDict) -> dict[str, tuple[str, str]]:
    """Return the names of the columns of words and of tags of each split."""
    columns = {}
    tags: str | None = _TAGS[0] if set(raw) == {"test"} else None
    for split, rows in raw.items():
        conll = ", or end the name of a file with a word on each line in .conll" if is_untyped(rows) else ""
        tokens = _column("tokens_column", args.tokens_column, _TOKENS, rows.column_names, remedy=conll)
        # The tags of a test set may be unknown. Then it has no such column, and the name is that of the first split.
        tags_here = _column("tags_column", args.tags_column, _TAGS, rows.column_names, otherwise=tags)
        columns[split] = tokens, tags_here
        tags = tags or tags_here
    return columns


def _column(
    flag: str,
    given: str | None,
    defaults: Sequence[str],
    present: Sequence[str],
    *,
    otherwise: str | None = None,
    remedy: str = "",
) -> str:
    name = given or next((name for name in defaults if name in present), otherwise)
    if name is None:
        raise StrategyError(f"{flag} is not given and none of {present} is usual: name the column{remedy}")
    return name


def _normal_form(rows: Dataset, split: str, tokens: str, tags: str) -> Dataset:
    """Return the rows with the columns ``tokens`` and, unless they are the unknown ones of a test set, ``tags``.

    Rows without tags are left out where other rows of the split have them.
    """
    words = _lists(rows, split, "tokens_column", tokens)
    if split == "test" and not _has_tags(rows, tags):
        return Dataset.from_dict({"tokens": [list(map(str, sentence)) for sentence in words], ROW: range(len(words))})
    given = _lists(rows, split, "tags_column", tags, hidden=True)
    missing = [index for index, sentence in enumerate(given) if not sentence]
    kept = labelled_rows(split, tags, missing, len(given))
    feature = getattr(rows.features[tags], "feature", None)
    name = feature.int2str if isinstance(feature, ClassLabel) else str
    for index in kept:
        if len(words[index]) != len(given[index]):
            raise StrategyError(
                f"row {index} of the {split} split has {len(words[index])} words and {len(given[index])} tags: give"
                " one tag for each word"
            )
    return Dataset.from_dict(
        {
            "tokens": [list(map(str, words[index])) for index in kept],
            "tags": [[name(tag) for tag in given[index]] for index in kept],
            ROW: kept,
        }
    )


def _lists(rows: Dataset, split: str, flag: str, column: str, *, hidden: bool = False) -> list[list[Any]]:
    """Return a column of lists; StrategyError for a value that is not a list, is empty, or has None in it.

    With ``hidden`` a list may be missing or hold nothing but `_HIDDEN_TAGS`: it becomes an empty one.
    """
    check_columns(rows, split, {flag: column}, gaps=[flag])
    # A table has to write its lists as texts.
    values: list[Any] = [(parse_list(value) or value) if isinstance(value, str) else value for value in rows[column]]
    for index, value in enumerate(values):
        if hidden and _is_hidden(value):
            values[index] = []
        elif not isinstance(value, list) or not value or not _HIDDEN_TAGS.isdisjoint(value):
            raise StrategyError(
                f"row {index} of the {split} split has {value!r:.60} in {column!r}: give a list with an entry for"
                " each word"
            )
    return values


def _has_tags(rows: Dataset, column: str) -> bool:
    return column in rows.column_names and not all(map(_is_hidden, rows[column]))


def _is_hidden(tags: Any) -> bool:
    return tags is None or (isinstance(tags, list) and _HIDDEN_TAGS.issuperset(tags))


def _training_tags(feature: Any, splits: DatasetDict, all_subwords: bool) -> tuple[str, ...]:
    """Return the tags of the training set by id, and after them further ones of the same entity types.

    If the training set has only B-X, another split may have I-X; with ``all_subwords`` each B- tag has its I- tag
    (in BMES its M- tag).
    """
    seen = {split: _distinct(rows) for split, rows in splits.items()}
    names = getattr(getattr(feature, "feature", None), "names", None) or sorted(seen["train"], key=by_number)
    types = {kind for mark, kind in map(split_tag, names) if mark and kind}
    needed = {tag for tag in set().union(*seen.values()) if split_tag(tag)[0] and split_tag(tag)[1] in types}
    if all_subwords:
        needed |= {f"{inside_mark(names)}-{tag[2:]}" for tag in names if tag[:2] == "B-"}
    return (*names, *sorted(needed.difference(names)))


def _distinct(rows: Dataset) -> set[str]:
    return set(chain.from_iterable(rows["tags"])) if "tags" in rows.column_names else set()
