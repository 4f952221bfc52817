"""Text-classification data: texts, or pairs of texts, with labels of one of the `LABEL_KINDS`."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from datasets import Dataset, DatasetDict
from transformers import PreTrainedTokenizerBase

from hf_strategies.errors import StrategyError, did_you_mean
from hf_strategies.finetune.arguments import DataArguments
from hf_strategies.finetune.class_weights import ClassWeightArguments
from hf_strategies.finetune.command_line import notify
from hf_strategies.finetune.data import check_columns, limit, load_data, with_validation
from hf_strategies.finetune.encoding import encode_splits, tokenizer_state
from hf_strategies.finetune.head import match_labels
from hf_strategies.finetune.text_classification.columns import LabelColumn
from hf_strategies.finetune.text_classification.labels import LABEL_KINDS, LabelKind, kind_of_column
from hf_strategies.finetune.text_classification.offline import OFFLINE_TASKS

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
    label_column: str = field(
        default="label", metadata={"help": "Column of the label: text, number or list of texts."}
    )
    problem_type: str | None = field(
        default=None,
        metadata={
            "help": "What the labels are (unset: lists are multi-label, fractions regression, others single-label).",
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
    empty if there is none.
    """

    splits: DatasetDict
    labels: tuple[str, ...]
    name: str
    kind: LabelKind = _SINGLE

    @property
    def texts(self) -> list[str]:
        """All texts of the training set, if there is one, including the second ones of pairs."""
        rows = self.splits.get("train", Dataset.from_dict({}))
        return [text for column in ("text", "text_pair") if column in rows.column_names for text in rows[column]]


def load_classification(args: ClassificationArguments, trained: LabelKind | None = None) -> ClassificationData:
    """Load and check the examples that the arguments name, or one of the two offline data sets if they name none.

    ``trained`` is the kind of labels of a model that is only evaluated. The split does not depend on the run's seed,
    so that runs with different seeds can be compared. Raises `StrategyError` for a missing column, text or label, for
    a label that is not of its kind, and as `load_splits` does.
    """
    raw, name = load_data(args, OFFLINE_TASKS[args.offline_task or "library"])
    columns = _text_and_label_columns(args, next(iter(raw.values())))
    kind = _choose_kind(args, raw, trained)
    # Checked before they are split and cut, so that an error names the row of the file.
    checked = DatasetDict({split: _normal_form(rows, split, columns, kind, args) for split, rows in raw.items()})
    splits = limit(with_validation(checked, args, seed=0), args)
    labels: Sequence[str] = ()
    if "train" in splits:
        labels = kind.outputs(_label_column(raw["train"], "train", args), checked["train"]["label"][:])
    return ClassificationData(splits, tuple(labels), name, kind)


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
                    raise StrategyError(
                        f"label {name!r} (row {row} of the {split} split) is not {whose}:"
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


def _text_and_label_columns(args: ClassificationArguments, rows: Dataset) -> dict[str, str]:
    text, pair = args.text_column, args.text_pair_column
    if text is None:
        present = {None, *rows.column_names}
        matching = [pair for pair in _TEXT_COLUMNS if present.issuperset(pair)]
        if not matching:
            raise StrategyError(f"text_column is not given and none of {rows.column_names} is usual: name the column")
        text, pair = matching[0]
    columns = {"text": text, "label": args.label_column}
    return columns | ({"text_pair": pair} if pair else {})


def _choose_kind(args: ClassificationArguments, raw: DatasetDict, trained: LabelKind | None) -> LabelKind:
    if args.problem_type is not None:
        if trained is not None and trained.name != args.problem_type:
            raise StrategyError(
                f"problem_type={args.problem_type!r} does not fit the model, whose own is {trained.name!r}: leave it"
                " out"
            )
        return LABEL_KINDS[args.problem_type]
    if trained is not None:
        return trained
    if "train" not in raw or args.label_column not in raw["train"].column_names:
        return _SINGLE
    column = _label_column(raw["train"], "train", args)
    kind = kind_of_column(column)
    if column.holds_fractions and all(value is None or float(value).is_integer() for value in column.values):
        notify(
            f"The labels in {column.name!r} are all whole, and written as fractions: taken for regression. If they"
            f" are classes, give --problem_type {_SINGLE.name}"
        )
    return kind


def _normal_form(
    rows: Dataset, split: str, columns: dict[str, str], kind: LabelKind, args: ClassificationArguments
) -> Dataset:
    wanted = dict(columns)
    if split == "test" and not _has_labels(rows, columns["label"]):
        del wanted["label"]
    gaps = ["label_column"] if kind.may_be_empty else []
    check_columns(rows, split, {f"{role}_column": column for role, column in wanted.items()}, gaps=gaps)
    texts = {role: [str(text) for text in rows[column]] for role, column in wanted.items() if role != "label"}
    if "label" not in wanted:
        return Dataset.from_dict(texts)
    # The order of the columns is that of the predictions file.
    labels = {"label": kind.read(_label_column(rows, split, args))}
    return Dataset.from_dict({role: (texts | labels)[role] for role in wanted})


def _label_column(rows: Dataset, split: str, args: ClassificationArguments) -> LabelColumn:
    name = args.label_column
    return LabelColumn(name, split, rows[name][:], rows.features[name], args.label_separator or "|")


def _has_labels(rows: Dataset, column: str) -> bool:
    # GLUE on the Hub marks the hidden labels of its test sets with -1.
    return column in rows.column_names and any(value not in (None, -1) for value in rows[column])
