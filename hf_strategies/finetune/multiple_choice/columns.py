"""The columns of multiple-choice data: their names in public data sets, and their one form after reading."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from string import ascii_lowercase, ascii_uppercase
from typing import Any, NamedTuple

from datasets import Dataset

from hf_strategies.errors import StrategyError, did_you_mean
from hf_strategies.finetune.arguments import DataArguments
from hf_strategies.finetune.data import check_columns, texts_of
from hf_strategies.finetune.tables.lists import parse_list

__all__ = ["Choice", "ChoiceArguments", "label_column", "read_choices"]

# Names of the columns of context and question in public data sets, those of SWAG first. The first pair that a data
# set has is used.
_CONTEXT_COLUMNS: tuple[tuple[str, str | None], ...] = (
    ("sent1", "sent2"),
    ("sent1", None),
    ("ctx_a", "ctx_b"),
    ("ctx", None),
    ("context", "question"),
    ("article", "question"),
    ("passage", "question"),
    ("premise", "question"),
    ("context", None),
    ("question", None),
    ("question_stem", None),
    ("premise", None),
)
_CHOICES_COLUMNS = ("choices", "endings", "options")
_LABEL_COLUMNS = ("label", "answerKey", "answer")


class Choice(NamedTuple):
    """A row: a context with its endings, and the label as it stands in the file, None where it is unknown.

    ``names`` are the labels that the row gives its endings, such as A, B, C; empty if it gives none. ``row`` is its
    number in its split.
    """

    context: str
    question: str
    endings: list[str]
    names: list[str]
    label: Any
    row: int


@dataclass
class ChoiceArguments(DataArguments):
    """Where the examples come from, and which columns hold what."""

    context_column: str | None = field(
        default=None, metadata={"help": "Column of the text that is to be gone on with (unset: a usual name)."}
    )
    question_column: str | None = field(
        default=None, metadata={"help": "Column of the question, or of the beginning that all endings share."}
    )
    ending_prefix: str | None = field(
        default=None,
        metadata={
            "help": "Name before the numbers of the columns of the endings, or their letters from A (unset: ending,"
            " or choice)."
        },
    )
    choices_column: str | None = field(
        default=None, metadata={"help": "Column of lists of endings, instead (unset: choices, endings or options)."}
    )
    label_column: str | None = field(
        default=None,
        metadata={
            "help": "Column of the right ending: its letter from A, its index from 0 (or 1, if no label is 0), its"
            " text, or its entry in choices.label (unset: label, answerKey or answer)."
        },
    )

    def __post_init__(self) -> None:
        """Refuse arguments that contradict each other."""
        super().__post_init__()
        if self.question_column and not self.context_column:
            raise StrategyError(f"question_column={self.question_column!r} without context_column: give both")
        if self.ending_prefix and self.choices_column:
            raise StrategyError(
                f"ending_prefix={self.ending_prefix!r} with choices_column={self.choices_column!r}: give one or the"
                " other"
            )


def read_choices(args: ChoiceArguments, rows: Dataset, split: str) -> list[Choice]:
    """Return the rows of a split; a missing question becomes "".

    Raises `StrategyError` for a missing column, and for a text or ending that is missing or no text.
    """
    rows = _flat(rows)
    context, question = _context_columns(args, rows, split)
    endings = list(_endings(args, rows, split))
    check_columns(rows, split, {"context_column": context})
    contexts, labels = texts_of(rows, split, context), _labels(args, rows, split)
    questions = _questions(rows, split, question) if question else [""] * len(rows)
    columns = zip(contexts, questions, endings, labels, strict=True)
    return [Choice(text, asked, *choices, label, row) for row, (text, asked, choices, label) in enumerate(columns)]


def label_column(args: ChoiceArguments, rows: Dataset) -> str:
    """Return the name of the column of labels: the given name, or the first default name that the rows have."""
    names = [args.label_column] if args.label_column else _LABEL_COLUMNS
    return next((name for name in names if name in rows.column_names), names[0])


def _flat(rows: Dataset) -> Dataset:
    """Return rows with the columns ``question`` and ``choices`` where one column ``question`` holds stem and choices.

    The files of ARC and CommonsenseQA have this form.
    """
    nested = rows.features.get("question")
    if not isinstance(nested, dict) or not {"stem", "choices"} <= set(nested):
        return rows
    questions = list(rows["question"])
    rows = rows.remove_columns("question").add_column("question", [value["stem"] for value in questions])
    return rows.add_column("choices", [value["choices"] for value in questions])


def _questions(rows: Dataset, split: str, column: str) -> list[str]:
    texts = texts_of(rows, split, column)
    return ["" if value is None else text for value, text in zip(rows[column], texts, strict=True)]


def _labels(args: ChoiceArguments, rows: Dataset, split: str) -> list[Any]:
    """Return the label of each row, None where it is unknown. Rows without a label are left out later."""
    column = label_column(args, rows)
    if split == "test" and column not in rows.column_names:
        return [None] * len(rows)
    check_columns(rows, split, {"label_column": column}, gaps=["label_column"])
    return [None if _is_unknown(label) else label for label in rows[column]]


def _is_unknown(label: Any) -> bool:
    # SWAG and HellaSwag on the Hub mark the hidden labels of their test sets with -1 and with an empty text.
    return label is None or label != label or str(label).strip() in ("", "-1", "-1.0")


def _context_columns(args: ChoiceArguments, rows: Dataset, split: str) -> tuple[str, str | None]:
    if args.context_column is None:
        for context, question in _CONTEXT_COLUMNS:
            if context in rows.column_names and question in (None, *rows.column_names):
                return context, question
        raise StrategyError(f"context_column is not given and none of {rows.column_names} is usual: name the column")
    if args.question_column is not None:
        check_columns(rows, split, {"question_column": args.question_column}, gaps=["question_column"])
    return args.context_column, args.question_column


_Endings = tuple[list[str], list[str]]
"""The texts of a row's endings and their names, which may be none."""


def _endings(args: ChoiceArguments, rows: Dataset, split: str) -> Iterator[_Endings]:
    """Yield the endings of each row, at least two, and their names; StrategyError if one is missing."""
    numbered = [] if args.choices_column else _ending_columns(args, rows, split)
    if numbered:
        return _in_columns(rows, split, numbered)
    column = args.choices_column or next((name for name in _CHOICES_COLUMNS if name in rows.column_names), None)
    if column is None:
        raise StrategyError(
            f"ending_prefix: none of {rows.column_names} is a usual name such as ending0: give ending_prefix, or"
            " choices_column for a column of lists"
        )
    check_columns(rows, split, {"choices_column": column})
    return _in_lists(rows, split, column)


def _in_columns(rows: Dataset, split: str, columns: list[str]) -> Iterator[_Endings]:
    for index, row in enumerate(rows.select_columns(columns)):
        texts = _without_padding([row[column] for column in columns])
        if None in texts:
            missing = columns[texts.index(None)]
            raise StrategyError(f"row {index} of the {split} split has no {missing!r}: fill it or drop the row")
        yield _at_least_two(texts, columns[0], split, index), []


def _in_lists(rows: Dataset, split: str, column: str) -> Iterator[_Endings]:
    for index, value in enumerate(rows[column]):
        listed, names = _listed(value)
        texts = _without_padding(listed)
        if not listed or not all(isinstance(text, (str, int, float)) for text in texts):
            raise StrategyError(
                f"row {index} of the {split} split has in {column!r} no list of texts: {value!r:.60}: give a list"
                " with the text of each ending"
            )
        yield _at_least_two(texts, column, split, index), names[: len(texts)]


def _ending_columns(args: ChoiceArguments, rows: Dataset, split: str) -> list[str]:
    """Return the columns of the endings in the order of their numbers, which count from 0 or from 1, or letters."""
    for prefix in [args.ending_prefix] if args.ending_prefix else ["ending", "choice"]:
        pattern = re.compile(re.escape(prefix) + r"\d+")
        matching = [name for name in rows.column_names if pattern.fullmatch(name)]
        names = sorted(matching, key=lambda name: (len(name), name))
        if names:
            first = int(names[0].removeprefix(prefix))
            expected = [f"{prefix}{first + place}" for place in range(len(names))]
            if first > 1 or names != expected or len(names) < 2:
                raise StrategyError(
                    f"the {split} split has the endings {names}: number at least two from {prefix}0 on, none left out"
                )
            return names
        if lettered := _lettered(rows.column_names, prefix):
            return lettered
    if args.ending_prefix:
        raise StrategyError(
            f"ending_prefix={args.ending_prefix!r}: the {split} split has no column {args.ending_prefix}0:"
            f" {did_you_mean(f'{args.ending_prefix}0', rows.column_names)}"
        )
    return []


def _lettered(names: Sequence[str], prefix: str) -> list[str]:
    """Return the columns ``prefix`` + A, B, C and so on, or a, b, c, of which there have to be at least two.

    >>> _lettered(["question", "answerB", "answerA", "answers"], "answer")
    ['answerA', 'answerB']
    """
    for letters in (ascii_uppercase, ascii_lowercase):
        columns = list(takewhile(set(names).__contains__, (f"{prefix}{letter}" for letter in letters)))
        if len(columns) > 1:
            return columns
    return []


def _listed(value: Any) -> tuple[list[Any], list[str]]:
    """Return the endings in an entry of the column of choices, and their names if it has them; else empty lists.

    The forms are a list of texts, which a table writes as text; a list of mappings, or a mapping of lists, with
    ``text`` and ``label`` (the files and the Hub's form of ARC and CommonsenseQA); and a mapping from names to texts.
    """
    if isinstance(value, str):
        return parse_list(value) or [], []
    if isinstance(value, Mapping) and isinstance(value.get("text"), list):
        return value["text"], [str(name).strip() for name in value.get("label") or ()]
    if isinstance(value, Mapping):
        named = {str(name): text for name, text in value.items() if text is not None}
        return list(named.values()), list(named)
    if isinstance(value, list) and value and all(isinstance(choice, Mapping) for choice in value):
        names = [str(choice["label"]).strip() for choice in value if choice.get("label") is not None]
        return [choice.get("text") for choice in value], names if len(names) == len(value) else []
    return (value, []) if isinstance(value, list) else ([], [])


def _without_padding(texts: Sequence[Any]) -> list[Any]:
    """Return the endings without the empty texts at the end, with which some files pad rows of fewer endings.

    >>> _without_padding(["a", "b", None, ""])
    ['a', 'b']
    """
    places = [place for place, text in enumerate(texts) if text is not None and str(text).strip()]
    return list(texts[: places[-1] + 1]) if places else []


def _at_least_two(texts: Sequence[Any], column: str, split: str, row: int) -> list[str]:
    if len(texts) < 2:
        raise StrategyError(
            f"row {row} of the {split} split has {len(texts)} endings in {column!r}, not at least 2: fill it or drop"
            " the row"
        )
    return [str(text) for text in texts]
