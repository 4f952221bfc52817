"""Text-classification data: texts, or pairs of texts, with labels of one of the `LABEL_KINDS`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from datasets import Dataset, DatasetDict
from transformers import PreTrainedTokenizerBase

from hf_strategies.errors import StrategyError, did_you_mean
from hf_strategies.finetune.arguments import DataArguments
from hf_strategies.finetune.class_weights import ClassWeightArguments
from hf_strategies.finetune.command_line import notify
from hf_strategies.finetune.data import (
    check_columns,
    check_test_labels,
    labelled_rows,
    limit,
    load_data,
    texts_of,
    with_validation,
)
from hf_strategies.finetune.encoding import encode_splits, tokenizer_state
from hf_strategies.finetune.given_columns import ROW, GivenRows
from hf_strategies.finetune.head import match_labels
from hf_strategies.finetune.tables.lines import is_lines, read_lines
from hf_strategies.finetune.tables.separated import is_untyped
from hf_strategies.finetune.text_classification.columns import LabelColumn, class_names, label_columns
from hf_strategies.finetune.text_classification.labels import (
    LABEL_KINDS,
    LabelKind,
    check_distinct,
    kind_of_column,
)
from hf_strategies.finetune.text_classification.offline import OFFLINE_TASKS
from hf_strategies.finetune.text_classification.unclear_labels import (
    check_joined,
    check_numbers,
    check_separator,
    dash_is_none,
    minus_one_is_none,
    missing_rows,
)

__all__ = ["ClassificationArguments", "ClassificationData", "choose_labels", "encode", "load_classification"]

# Names of the columns of text in public data sets. The first row whose columns a data set has is used.
_TEXT_COLUMNS = (
    ("sentence1", "sentence2"),
    ("premise", "hypothesis"),
    ("question1", "question2"),
    ("question", "sentence"),
    ("question", "passage"),
    ("text", None),
    ("sentence", None),
)

_SINGLE, _MULTI = LABEL_KINDS["single_label_classification"], LABEL_KINDS["multi_label_classification"]


@dataclass
class ClassificationArguments(ClassWeightArguments, DataArguments):
    """Where the examples come from, and which columns hold what."""

    text_column: str | None = field(default=None, metadata={"help": "Column of the text (unset: a usual name)."})
    text_pair_column: str | None = field(default=None, metadata={"help": "Column of the second text of a pair."})
    label_column: list[str] = field(
        default_factory=lambda: ["label"],
        metadata={"help": "Column of the label: text, number or list; or several columns of zeros and ones."},
    )
    problem_type: str | None = field(
        default=None,
        metadata={
            "help": "What the labels are (unset: lists and several columns are multi-label, fractions regression,"
            " others single-label).",
            "choices": list(LABEL_KINDS),
        },
    )
    label_separator: str | None = field(
        default=None,
        metadata={"help": "What stands between labels in one text, with multi_label_classification (unset: '|')."},
    )
    offline_task: str | None = field(
        default=None,
        metadata={
            "help": "With no data named: from which library a sentence is, or whether a summary belongs to a name"
            " (unset: library).",
            "choices": list(OFFLINE_TASKS),
        },
    )

    def __post_init__(self) -> None:
        """Refuse arguments that contradict each other."""
        super().__post_init__()
        if isinstance(self.label_column, str):
            self.label_column = [self.label_column]  # from Python, one column need not be a list
        if len(set(self.label_column)) < len(self.label_column):
            raise StrategyError(f"label_column={self.label_column} names a column twice: name each once")
        if len(self.label_column) > 1 and self.problem_type not in (None, _MULTI.name):
            raise StrategyError(
                f"label_column={self.label_column} with problem_type={self.problem_type!r}: name one column, or leave"
                " out problem_type"
            )
        if self.text_pair_column and not self.text_column:
            raise StrategyError(f"text_pair_column={self.text_pair_column!r} without text_column: give both")
        if self.label_separator is not None and self.problem_type != _MULTI.name:
            raise StrategyError(
                f"label_separator={self.label_separator!r} has no effect without --problem_type {_MULTI.name}"
            )
        if self.label_separator == "":
            raise StrategyError("label_separator='' separates nothing: give such as '|'")
        named = [
            name for name in ("dataset_name", "train_file", "validation_file", "test_file") if getattr(self, name)
        ]
        if self.offline_task is not None and named:
            raise StrategyError(f"offline_task={self.offline_task!r} with {named[0]}: give one or the other")


@dataclass(frozen=True)
class ClassificationData:
    """Splits with the columns ``text``, ``label`` (absent where unknown) and, for pairs, ``text_pair``.

    ``kind`` is the kind of the labels. ``labels`` name the outputs of a model in their order, from the training set;
    empty if there is none. ``rows`` has, for each split, the number in the file of each of its rows. ``given`` are
    the rows of the test set as they stand in the file; None without a test set.
    """

    splits: DatasetDict
    labels: tuple[str, ...]
    name: str
    kind: LabelKind = _SINGLE
    rows: Mapping[str, Sequence[int]] = field(default_factory=dict)
    given: GivenRows | None = None

    @property
    def texts(self) -> list[str]:
        """All texts of the training set, if there is one, including the second ones of pairs."""
        rows = self.splits.get("train", Dataset.from_dict({}))
        return [text for column in ("text", "text_pair") if column in rows.column_names for text in rows[column]]


def load_classification(
    args: ClassificationArguments, trained: LabelKind | None = None, *, seed: int = 0
) -> ClassificationData:
    """Load and check the examples that the arguments name, or one of the two offline data sets if they name none.

    ``trained`` is the kind of labels of a model that is only evaluated. Which examples are taken for validation does
    not depend on ``seed``, that of the run, so that runs with different seeds can be compared; which ones
    ``max_train_samples`` leaves does. Rows without a label are left out. Raises `StrategyError` for a missing column
    or text, for a label that is not of its kind, for labels that differ only by blanks or case, and as `load_splits`
    does.
    """
    readers = {".txt": partial(read_lines, encoding=args.encoding)}
    raw, name = load_data(args, OFFLINE_TASKS[args.offline_task or "library"], readers)
    columns = _text_columns(args, next(iter(raw.values())))
    raw = DatasetDict({split: _with_column_of_lines(rows, columns["text"]) for split, rows in raw.items()})
    may_be_lists = args.problem_type in (None, _MULTI.name)
    labels = label_columns(raw, args.label_column, args.label_separator or "|", may_be_lists=may_be_lists)
    kind = _choose_kind(args, labels.get("train"), trained)
    if kind is _MULTI and args.label_separator is None and "train" in labels:
        check_separator(labels["train"])
    for split in raw:
        if split not in labels:
            _check_label_columns(raw, split, args.label_column)
    kept = {split: _labelled(column, kind, labels, args) for split, column in labels.items()}
    # Checked before they are split and cut, so that an error names the row of the file.
    checked = DatasetDict(
        {split: _normal_form(rows, split, columns, kept.get(split), kind) for split, rows in raw.items()}
    )
    splits = limit(with_validation(checked, args, seed=0), args, seed)
    names: Sequence[str] = ()
    if "train" in splits:
        names = kind.outputs(labels["train"], checked["train"]["label"][:])
        if not class_names(labels["train"]):
            check_distinct(names)
    rows = {split: rows[ROW][:] for split, rows in splits.items()}
    given = GivenRows.of(raw, splits, args.label_column)
    return ClassificationData(splits.remove_columns(ROW), tuple(names), name, kind, rows, given)


def choose_labels(data: ClassificationData, trained: Sequence[str], *, fixed: bool = False) -> tuple[str, ...]:
    """Return the labels in the order of the model's outputs: that of the model if it was trained for all of them.

    ``trained`` are the labels of the model, empty for a new one; ``fixed`` is True if the model is not trained
    further, so that no labels can be added. Raises `StrategyError` if there are too few or too many for the kind of
    labels, or an example has an unknown one.
    """
    if "train" in data.splits and not data.labels:
        raise StrategyError("no example of the training set has a label: give at least one")
    if fixed:
        labels = match_labels(trained, _used_labels(data), fixed=True) or tuple(trained)
    elif data.kind.most == len(trained):  # the output of a regression, whatever its name is
        labels = tuple(trained)
    else:
        labels = match_labels(trained, data.labels) or data.labels
    data.kind.check_outputs(labels)
    whose = "one of the model's" if fixed else "in the training set"
    known = set(labels)
    for split, rows in data.splits.items():
        for row, label in enumerate(rows["label"] if "label" in rows.column_names else ()):
            for name in data.kind.used(label):
                if name not in known:
                    number = data.rows[split][row] if split in data.rows else row
                    raise StrategyError(
                        f"label {name!r} (row {number} of the {split} split) is not {whose}:"
                        f" {did_you_mean(name, labels)}"
                    )
    return labels


def encode(
    args: ClassificationArguments,
    data: ClassificationData,
    tokenizer: PreTrainedTokenizerBase,
    labels: Sequence[str],
    max_length: int,
) -> DatasetDict:
    """Tokenize, without padding, and encode the labels as targets of a model with the outputs ``labels``."""
    encode_labels = data.kind.encode

    def encode_batch(batch: dict[str, list[Any]]) -> dict[str, list[object]]:
        encoded = tokenizer(batch["text"], batch.get("text_pair"), truncation=True, max_length=max_length)
        if "label" in batch:
            encoded["labels"] = encode_labels(batch["label"], labels)
        return dict(encoded)

    key = ("text classification", data.kind.name, tokenizer_state(tokenizer), tuple(labels), max_length)
    return encode_splits(data.splits, encode_batch, key=key, workers=args.preprocessing_num_workers)


def _used_labels(data: ClassificationData) -> list[str]:
    labels = (label for rows in data.splits.values() if "label" in rows.column_names for label in rows["label"])
    return sorted({name for label in labels for name in data.kind.used(label)})


def _text_columns(args: ClassificationArguments, rows: Dataset) -> dict[str, str]:
    text, pair = args.text_column, args.text_pair_column
    if text is None:
        present = {None, *rows.column_names}
        matching = [pair for pair in _TEXT_COLUMNS if present.issuperset(pair)]
        if not matching:
            header = ", or give --column_names if the file has no header" if is_untyped(rows) else ""
            raise StrategyError(
                f"text_column is not given and none of {rows.column_names} is usual: name the column{header}"
            )
        text, pair = matching[0]
    return {"text": text} | ({"text_pair": pair} if pair else {})


def _with_column_of_lines(rows: Dataset, column: str) -> Dataset:
    """Return the rows; the only column of a file of lines gets the name of the texts in the other files."""
    return rows.rename_column("text", column) if is_lines(rows) and column != "text" else rows


def _choose_kind(args: ClassificationArguments, column: LabelColumn | None, trained: LabelKind | None) -> LabelKind:
    if args.problem_type is not None:
        if trained is not None and trained.name != args.problem_type:
            raise StrategyError(
                f"problem_type={args.problem_type!r} does not fit the model, whose own is {trained.name!r}: leave it"
                " out"
            )
        return LABEL_KINDS[args.problem_type]
    if trained is not None:
        return trained
    if column is None:
        return _SINGLE
    kind = kind_of_column(column)
    if kind is _SINGLE:
        check_numbers(column)
        check_joined(column)
    if column.holds_fractions and all(value is None or float(value).is_integer() for value in column.values):
        notify(
            f"The labels in {column.name!r} are all whole, and written as fractions: taken for regression. If they"
            f" are classes, give --problem_type {_SINGLE.name}"
        )
    return kind


def _check_label_columns(raw: DatasetDict, split: str, names: Sequence[str]) -> None:
    """Check a split that lacks a column of labels, which only a test set may."""
    rows = raw[split]
    if split == "test" and not set(names) & set(rows.column_names):
        for name in names:
            check_test_labels(raw, "label_column", name)
        return
    for name in names:
        check_columns(rows, split, {"label_column": name}, gaps=["label_column"])


def _labelled(
    column: LabelColumn, kind: LabelKind, columns: Mapping[str, LabelColumn], args: ClassificationArguments
) -> LabelColumn | None:
    """Return the labels of the rows that have one; None for a test set in which no row has one."""
    none = kind.is_one_of and minus_one_is_none(columns, named_kind=args.problem_type is not None)
    dash = kind.is_one_of and dash_is_none(columns)
    hidden = missing_rows(column, none=True, is_number=False, may_be_empty=False, dash=dash)
    if column.split == "test" and len(hidden) == len(column.values):
        return None  # GLUE on the Hub marks the hidden labels of its test sets with -1
    is_number = kind.name == "regression"
    missing = missing_rows(column, none=none, is_number=is_number, may_be_empty=kind.may_be_empty, dash=dash)
    return column.select(labelled_rows(column.split, column.name, missing, len(column.values)))


def _normal_form(
    rows: Dataset, split: str, columns: dict[str, str], labels: LabelColumn | None, kind: LabelKind
) -> Dataset:
    """Return the texts of the rows with a label, the labels where they are known, and the numbers of the rows."""
    check_columns(rows, split, {f"{role}_column": column for role, column in columns.items()})
    texts = {role: texts_of(rows, split, column) for role, column in columns.items()}
    if labels is None:
        return Dataset.from_dict({**texts, ROW: range(len(rows))})
    kept = {role: [values[row] for row in labels.rows] for role, values in texts.items()}
    return Dataset.from_dict({**kept, "label": kind.read(labels), ROW: labels.rows})
