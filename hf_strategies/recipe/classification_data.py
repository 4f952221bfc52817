"""Texts, or pairs of texts, with one label each."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from datasets import ClassLabel, Dataset, DatasetDict
from transformers import PreTrainedTokenizerBase

from hf_strategies.errors import StrategyError, did_you_mean
from hf_strategies.recipe.arguments import DataArguments
from hf_strategies.recipe.class_weights import ClassWeightArguments
from hf_strategies.recipe.corpus import load_corpus
from hf_strategies.recipe.data import check_columns, limit, load_splits, with_validation
from hf_strategies.recipe.encoding import encode_splits, tokenizer_state

__all__ = ["ClassificationArguments", "ClassificationData", "choose_labels", "encode", "load_classification"]

# What a text column is called in the data sets that people have; the first that is there is taken.
_TEXTS = (
    ("sentence1", "sentence2"),
    ("premise", "hypothesis"),
    ("question1", "question2"),
    ("question", "sentence"),
    ("question", "passage"),
    ("text", None),
    ("sentence", None),
)


@dataclass
class ClassificationArguments(ClassWeightArguments, DataArguments):
    """Where the examples come from, and which columns hold what."""

    text_column: str | None = field(default=None, metadata={"help": "Column of the text (unset: a usual name)."})
    text_pair_column: str | None = field(default=None, metadata={"help": "Column of the second text of a pair."})
    label_column: str = field(default="label", metadata={"help": "Column of the label: text or integer."})

    def __post_init__(self) -> None:
        """Refuse what contradicts itself."""
        super().__post_init__()
        if self.text_pair_column and not self.text_column:
            raise StrategyError(f"text_pair_column={self.text_pair_column!r} without text_column: give both")


@dataclass(frozen=True)
class ClassificationData:
    """Splits with the columns ``text``, ``label`` (a name; absent where unknown) and, for pairs, ``text_pair``.

    ``labels`` are the label names in the order of their ids, from the training set; empty if there is none.
    """

    splits: DatasetDict
    labels: tuple[str, ...]
    name: str

    @property
    def texts(self) -> list[str]:
        """All texts of the training set, if there is one, those of pairs too."""
        rows = self.splits.get("train", Dataset.from_dict({}))
        return [text for column in ("text", "text_pair") if column in rows.column_names for text in rows[column]]


def load_classification(args: ClassificationArguments) -> ClassificationData:
    """Load and check the examples; with nothing named, sentences of documentation and where they come from.

    How the sets are split does not depend on the run's seed, so that runs with several seeds compare. Raises
    `StrategyError` for a missing column, text or label, and whatever `load_splits` refuses.
    """
    raw = load_splits(args)
    name = args.dataset_name or (Path(args.train_file).stem if args.train_file else "local files")
    if raw is None:
        raw, name = _offline(), "documentation sentences (offline default)"
    columns = _columns(args, next(iter(raw.values())))
    # Checked before they are split and cut, so that an error tells the row of the file.
    checked = DatasetDict({split: _normal_form(rows, split, columns) for split, rows in raw.items()})
    splits = limit(with_validation(checked, args, seed=0), args)
    labels = _training_labels(raw["train"], checked["train"], columns["label"]) if "train" in splits else ()
    return ClassificationData(splits, labels, name)


def choose_labels(data: ClassificationData, trained: Sequence[str]) -> tuple[str, ...]:
    """Return the label names in the order of their ids: the model's own where it was trained for these labels.

    ``trained`` are the labels of the model, empty for a new one. Raises `StrategyError` when there is only one
    label, or an example has another one.
    """
    labels = tuple(trained) if set(data.labels) <= set(trained) else data.labels
    if not labels:
        raise StrategyError("train_file is missing: without it only a model that is fine-tuned already knows labels")
    if len(labels) < 2:
        raise StrategyError(f"the only label of the training set is {labels[0]!r}: give at least two")
    for split, rows in data.splits.items():
        for row, label in enumerate(rows["label"] if "label" in rows.column_names else ()):
            if label not in labels:
                raise StrategyError(
                    f"label {label!r} (row {row} of the {split} split) is not in the training set:"
                    f" {did_you_mean(label, labels)}"
                )
    return labels


def encode(
    args: ClassificationArguments,
    data: ClassificationData,
    tokenizer: PreTrainedTokenizerBase,
    labels: Sequence[str],
    max_length: int,
) -> DatasetDict:
    """Tokenize, without padding, and turn label names into their index in ``labels`` (column ``labels``)."""
    ids = {label: index for index, label in enumerate(labels)}

    def encode_batch(batch: dict[str, list[str]]) -> dict[str, list[object]]:
        encoded = tokenizer(batch["text"], batch.get("text_pair"), truncation=True, max_length=max_length)
        if "label" in batch:
            encoded["labels"] = [ids[label] for label in batch["label"]]
        return dict(encoded)

    key = ("text classification", tokenizer_state(tokenizer), tuple(labels), max_length)
    return encode_splits(data.splits, encode_batch, key=key, workers=args.preprocessing_num_workers)


def _offline() -> DatasetDict:
    return DatasetDict({split: Dataset.from_list(rows) for split, rows in load_corpus().items()})


def _columns(args: ClassificationArguments, rows: Dataset) -> dict[str, str]:
    text, pair = args.text_column, args.text_pair_column
    if text is None:
        there = set(rows.column_names)
        usual = [pair for pair in _TEXTS if pair[0] in there and (pair[1] is None or pair[1] in there)]
        if not usual:
            raise StrategyError(f"text_column is not given and none of {rows.column_names} is usual: name the column")
        text, pair = usual[0]
    columns = {"text": text, "label": args.label_column}
    return columns | ({"text_pair": pair} if pair else {})


def _normal_form(rows: Dataset, split: str, columns: dict[str, str]) -> Dataset:
    wanted = dict(columns)
    if split == "test" and not _has_labels(rows, columns["label"]):
        del wanted["label"]
    check_columns(rows, split, {f"{role}_column": column for role, column in wanted.items()})
    named = {
        role: [_label_name(rows, column, v) if role == "label" else str(v) for v in rows[column]]
        for role, column in wanted.items()
    }
    return Dataset.from_dict(named)


def _has_labels(rows: Dataset, column: str) -> bool:
    # The Hub's GLUE marks the hidden labels of its test sets with -1.
    return column in rows.column_names and any(value not in (None, -1) for value in rows[column])


def _label_name(rows: Dataset, column: str, value: object) -> str:
    feature = rows.features[column]
    return str(feature.int2str(value)) if isinstance(feature, ClassLabel) else str(value)


def _training_labels(raw: Dataset, rows: Dataset, column: str) -> tuple[str, ...]:
    feature = raw.features[column]
    return tuple(feature.names if isinstance(feature, ClassLabel) else sorted(set(rows["label"]), key=_by_number))


def _by_number(label: str) -> tuple[bool, int, str]:
    is_number = label.removeprefix("-").isdigit()
    return (not is_number, int(label) if is_number else 0, label)
