"""Multiple-choice data: contexts with several endings each, of which one is right."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from datasets import Dataset, DatasetDict
from transformers import DataCollatorForMultipleChoice, PreTrainedTokenizerBase

from hf_strategies.finetune.data import check_test_labels, labelled_rows, limit, load_data, with_validation
from hf_strategies.finetune.encoding import encode_splits, list_column, tokenizer_state
from hf_strategies.finetune.given_columns import ROW, GivenRows
from hf_strategies.finetune.multiple_choice.columns import Choice, ChoiceArguments, label_column, read_choices
from hf_strategies.finetune.multiple_choice.labels import label_indices
from hf_strategies.finetune.multiple_choice.offline import OPENINGS

__all__ = ["IS_ENDING", "ChoiceArguments", "ChoiceCollator", "ChoiceData", "encode", "load_choices", "most_endings"]

IS_ENDING = "is_ending"
"""The entry of a batch, of shape [rows, endings], that is true for the endings that a row really has."""


@dataclass(frozen=True)
class ChoiceData:
    """Splits with the columns ``context``, ``question`` (may be empty), ``endings`` and ``label``, an index.

    ``label`` is absent where it is unknown. ``given`` are the rows of the test set as they stand in the file; None
    without a test set.
    """

    splits: DatasetDict
    name: str
    given: GivenRows | None = None

    @property
    def texts(self) -> list[str]:
        """All texts of the training set, if there is one."""
        rows = self.splits.get("train", Dataset.from_dict({"context": [], "question": [], "endings": []}))
        return [*rows["context"], *rows["question"], *(text for endings in rows["endings"] for text in endings)]


class ChoiceCollator(DataCollatorForMultipleChoice):
    """transformers' collator, which pads to the longest choice of a batch, for rows with any number of endings.

    A row with fewer endings than another gets copies of its first ending, for which `IS_ENDING` is false. Examples
    may have no labels.
    """

    def torch_call(self, examples: list[dict[str, Any]]) -> dict[str, Any]:
        """Pad and stack ``examples``."""
        sizes = [len(example["input_ids"]) for example in examples]
        filled = [_filled(example, max(sizes) - size) for example, size in zip(examples, sizes, strict=True)]
        batch = dict(super().torch_call([{"labels": 0, **example} for example in filled]))
        if "labels" not in examples[0]:
            del batch["labels"]
        return batch | {IS_ENDING: torch.arange(max(sizes)) < torch.tensor(sizes)[:, None]}


def load_choices(args: ChoiceArguments, *, seed: int = 0) -> ChoiceData:
    """Load and check the examples that the arguments name, or the offline ones if they name none.

    Rows without a label are left out, unless they are those of a test set whose labels are unknown. Which
    examples are taken for validation does not depend on ``seed``, that of the run, so that runs with different seeds
    can be compared; which ones ``max_train_samples`` leaves does. Raises `StrategyError` as `load_splits`,
    `read_choices` and `label_indices` do.
    """
    raw, name = load_data(args, OPENINGS)
    if "test" in raw:
        check_test_labels(raw, "label_column", label_column(args, raw["test"]))
    # Checked before they are split and cut, so that an error names the row of the file.
    choices = {split: read_choices(args, rows, split) for split, rows in raw.items()}
    with_labels = {split: rows for split, rows in choices.items() if _has_labels(rows, split)}
    kept = {split: _labelled(rows, split, label_column(args, raw[split])) for split, rows in with_labels.items()}
    labels = label_indices(kept)
    columns = {split: _columns(kept.get(split, rows), labels.get(split)) for split, rows in choices.items()}
    checked = DatasetDict({split: Dataset.from_dict(rows) for split, rows in columns.items()})
    splits = limit(with_validation(checked, args, seed=0), args, seed)
    tested = "test" if "test" in raw else "train"  # a fold
    given = GivenRows.of(raw, splits, [label_column(args, raw[tested])] if tested in raw else [])
    return ChoiceData(splits.remove_columns(ROW), name, given)


def most_endings(splits: DatasetDict) -> int:
    """Return the largest number of endings that an encoded row has."""
    return max(int(np.max(list_column(rows, "input_ids").value_lengths())) for rows in splits.values())


def encode(
    args: ChoiceArguments, data: ChoiceData, tokenizer: PreTrainedTokenizerBase, max_length: int
) -> DatasetDict:
    """Tokenize each ending as a pair with its context, without padding: a row has a list of inputs per column.

    Each ending is preceded by the question, or by the beginning that all endings share.
    """

    def encode_batch(batch: dict[str, list[Any]]) -> dict[str, list[Any]]:
        sizes = [len(endings) for endings in batch["endings"]]
        contexts = [context for context, size in zip(batch["context"], sizes, strict=True) for _ in range(size)]
        endings = [
            f"{question} {ending}".strip()
            for question, row in zip(batch["question"], batch["endings"], strict=True)
            for ending in row
        ]
        flat = tokenizer(contexts, endings, truncation=True, max_length=max_length)
        encoded = {key: _regroup(values, sizes) for key, values in flat.items()}
        return encoded | ({"labels": batch["label"]} if "label" in batch else {})

    key = ("multiple choice", tokenizer_state(tokenizer), max_length)
    return encode_splits(data.splits, encode_batch, key=key, workers=args.preprocessing_num_workers)


def _has_labels(rows: Sequence[Choice], split: str) -> bool:
    return split != "test" or any(row.label is not None for row in rows)


def _labelled(rows: Sequence[Choice], split: str, column: str) -> list[Choice]:
    missing = [row.row for row in rows if row.label is None]
    return [rows[row] for row in labelled_rows(split, column, missing, len(rows))]


def _columns(rows: Sequence[Choice], labels: Sequence[int] | None) -> dict[str, Any]:
    columns: dict[str, Any] = {name: [getattr(row, name) for row in rows] for name in ("context", "question")}
    columns |= {"endings": [row.endings for row in rows], ROW: [row.row for row in rows]}
    return columns if labels is None else columns | {"label": labels}


def _filled(example: dict[str, Any], missing: int) -> dict[str, Any]:
    """Add ``missing`` copies of the first ending to each column of inputs."""
    return {
        name: value + [value[0]] * missing if isinstance(value, list) else value for name, value in example.items()
    }


def _regroup(values: list[Any], sizes: list[int]) -> list[list[Any]]:
    remaining = iter(values)
    return [[next(remaining) for _ in range(size)] for size in sizes]
