"""The columns of multiple-choice data under their various names, found, checked and brought into one form."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from datasets import Dataset

from hf_strategies.errors import StrategyError, did_you_mean
from hf_strategies.finetune.arguments import DataArguments
from hf_strategies.finetune.data import check_columns

__all__ = ["ChoiceArguments", "normal_form"]

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
    ("premise", None),
)
_CHOICES_COLUMNS = ("choices", "endings", "options")


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
        metadata={"help": "Name before the numbers of the columns of the endings (unset: ending, or choice)."},
    )
    choices_column: str | None = field(
        default=None, metadata={"help": "Column of lists of endings, instead (unset: choices, endings or options)."}
    )
    label_column: str = field(
        default="label", metadata={"help": "Column of the right ending: its index from 0, or its text."}
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


def normal_form(args: ChoiceArguments, rows: Dataset, split: str) -> Dataset:
    """Return the rows with the columns ``context``, ``question``, ``endings`` and, where it is known, ``label``.

    A missing question becomes ""; the label becomes an index. Raises `StrategyError` for a missing column, text or
    ending, for rows with different numbers of endings, and for a label that is none of the endings.
    """
    context, question = _context_columns(args, rows, split)
    endings = _endings(args, rows, split)
    wanted = {"context_column": context}
    has_labels = _has_labels(rows, args.label_column)
    if has_labels or split != "test":
        wanted["label_column"] = args.label_column
    check_columns(rows, split, wanted)
    questions = rows[question] if question else [None] * len(rows)
    named: dict[str, list[Any]] = {
        "context": [str(text) for text in rows[context]],
        "question": ["" if text is None else str(text) for text in questions],
        "endings": endings,
    }
    if "label_column" in wanted:
        named["label"] = [
            _index_of(label, choices, f"row {index} of the {split} split")
            for index, (label, choices) in enumerate(zip(rows[args.label_column], endings, strict=True))
        ]
    return Dataset.from_dict(named)


def _context_columns(args: ChoiceArguments, rows: Dataset, split: str) -> tuple[str, str | None]:
    if args.context_column is None:
        for context, question in _CONTEXT_COLUMNS:
            if context in rows.column_names and question in (None, *rows.column_names):
                return context, question
        raise StrategyError(f"context_column is not given and none of {rows.column_names} is usual: name the column")
    if args.question_column is not None and args.question_column not in rows.column_names:
        raise StrategyError(
            f"question_column={args.question_column!r} is no column of the {split} split:"
            f" {did_you_mean(args.question_column, rows.column_names)}"
        )
    return args.context_column, args.question_column


def _endings(args: ChoiceArguments, rows: Dataset, split: str) -> list[list[str]]:
    """Return the endings of each row, of all rows equally many and at least two; StrategyError if one is missing."""
    numbered = None if args.choices_column else _ending_columns(args, rows, split)
    if numbered:
        check_columns(rows, split, {f"ending_prefix (column {column})": column for column in numbered})
        return [[str(row[column]) for column in numbered] for row in rows.select_columns(numbered)]
    column = args.choices_column or next((name for name in _CHOICES_COLUMNS if name in rows.column_names), None)
    if column is None:
        raise StrategyError(
            f"ending_prefix: none of {rows.column_names} is a usual name such as ending0: give ending_prefix, or"
            " choices_column for a column of lists"
        )
    check_columns(rows, split, {"choices_column": column})
    return _listed(rows[column], column, split)


def _ending_columns(args: ChoiceArguments, rows: Dataset, split: str) -> list[str]:
    """Return the columns of the endings in the order of their numbers, which count from 0 or from 1."""
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
    if args.ending_prefix:
        raise StrategyError(
            f"ending_prefix={args.ending_prefix!r}: the {split} split has no column {args.ending_prefix}0:"
            f" {did_you_mean(f'{args.ending_prefix}0', rows.column_names)}"
        )
    return []


def _listed(values: list[Any], column: str, split: str) -> list[list[str]]:
    endings: list[list[str]] = []
    for index, value in enumerate(values):
        # CommonsenseQA's and ARC's form: a mapping of texts and their letters.
        texts = value.get("text") if isinstance(value, Mapping) else value
        if not isinstance(texts, list) or any(text is None for text in texts):
            raise StrategyError(f"row {index} of the {split} split has in {column!r} no list of texts: {value!r}")
        if len(texts) < 2 or (endings and len(texts) != len(endings[0])):
            size = len(endings[0]) if endings else "at least 2"
            raise StrategyError(
                f"row {index} of the {split} split has {len(texts)} endings in {column!r}, not {size}: give each row"
                " as many"
            )
        endings.append([str(text) for text in texts])
    return endings


def _has_labels(rows: Dataset, column: str) -> bool:
    # SWAG and HellaSwag on the Hub mark the hidden labels of their test sets with -1 and with an empty text.
    return column in rows.column_names and any(value not in (None, -1, "") for value in rows[column])


def _index_of(label: Any, endings: list[str], where: str) -> int:
    """Return the index of the ending that a label names by its text or by its index."""
    if isinstance(label, str) and endings.count(label) == 1:
        return endings.index(label)
    number = int(label) if re.fullmatch(r"\d+", str(label)) else -1
    if not 0 <= number < len(endings):
        raise StrategyError(
            f"label {label!r} ({where}) is none of its endings: give an index from 0 to {len(endings) - 1}, or the"
            " text of the ending"
        )
    return number
