"""Data sets from the Hub, from local files or offline, loaded and checked before any model is loaded."""

import glob
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, cast

from datasets import Dataset, DatasetDict, load_dataset
from datasets.exceptions import DatasetGenerationError
from sklearn.model_selection import GroupShuffleSplit

from hf_strategies.errors import StrategyError, did_you_mean
from hf_strategies.finetune.arguments import DataArguments
from hf_strategies.finetune.command_line import notify
from hf_strategies.finetune.offline.task import OfflineTask, load_offline

__all__ = ["Reader", "check_columns", "labelled_rows", "limit", "load_data", "load_splits", "with_validation"]

# A text or a label may be "NA", "None" or "null": only an empty value is missing.
_CSV = {"keep_default_na": False, "na_values": [""]}

_READERS: dict[str, tuple[str, dict[str, Any]]] = {
    ".csv": ("csv", _CSV),
    ".tsv": ("csv", {"sep": "\t", **_CSV}),
    ".json": ("json", {}),
    ".jsonl": ("json", {}),
    ".parquet": ("parquet", {}),
}


Reader = Callable[[str, Path], Dataset]
"""Reads a file of another format, given the flag that named it (for error messages) and its path."""


def load_data(
    args: DataArguments, offline: OfflineTask | None = None, readers: Mapping[str, Reader] | None = None
) -> tuple[DatasetDict, str]:
    """Return the splits that the arguments name, or those of ``offline`` if none is named, and the data set's name.

    The name, which the model card shows, is that of the data set or of the training file. ``readers`` and the errors
    are those of `load_splits`; a recipe without an offline task raises `StrategyError` if no data is named.
    """
    splits = load_splits(args, readers)
    if splits is None:
        if offline is None:
            raise StrategyError("train_file is missing, and there is no offline data: give it, or dataset_name")
        rows = load_offline(offline)
        return DatasetDict({split: Dataset.from_list(rows[split]) for split in rows}), offline.title
    return splits, args.dataset_name or (Path(args.train_file).stem if args.train_file else "local files")


def load_splits(args: DataArguments, readers: Mapping[str, Reader] | None = None) -> DatasetDict | None:
    """Load the splits that the arguments name, under ``train``, ``validation`` and ``test``; None if none is named.

    ``readers`` read files with further endings, such as ``".conll"``, beside those that all recipes read.

    Raises `StrategyError` for a missing, unreadable or empty file or split.
    """
    if args.dataset_name:
        splits = _from_hub(args)
    else:
        files = {"train": args.train_file, "validation": args.validation_file, "test": args.test_file}
        splits = {split: _from_file(f"{split}_file", file, readers or {}) for split, file in files.items() if file}
    for split, rows in splits.items():
        if len(rows) == 0:
            raise StrategyError(f"the {split} split is empty: give at least one example")
    return DatasetDict(splits) if splits else None


def with_validation(
    splits: DatasetDict, args: DataArguments, seed: int, *, together: str | None = None
) -> DatasetDict:
    """Split a validation set off the training set if there is none; the test set is never used for it.

    Rows with the same value in the column ``together`` stay on one side, so that nothing in validation was seen in
    training; ``validation_fraction`` is then the share of those values, not of the rows.
    """
    if "validation" in splits or "train" not in splits:
        return splits
    rows = splits["train"]
    groups = list(range(len(rows))) if together is None else list(rows[together])
    if (count := len(set(groups))) < 2:
        alone = "one example" if together is None else f"one {together}"
        raise StrategyError(f"the train split has {alone}, and there is no validation set: give validation_file")
    size = min(max(1, round(count * args.validation_fraction)), count - 1)
    if together is None:
        parts = rows.train_test_split(test_size=size, seed=seed)
    else:
        train, held = next(GroupShuffleSplit(1, test_size=size, random_state=seed).split(groups, groups=groups))
        parts = DatasetDict({"train": rows.select(train), "test": rows.select(held)})
    notify(
        f"There is no validation set: {len(parts['test'])} of the {len(rows)} training examples are taken for it"
        f" (validation_fraction={args.validation_fraction})."
    )
    rest = {split: rows for split, rows in splits.items() if split != "train"}
    return DatasetDict({"train": parts["train"], "validation": parts["test"], **rest})


def limit(splits: DatasetDict, args: DataArguments) -> DatasetDict:
    """Keep the first examples of each split, as many as the arguments allow."""
    most = {
        "train": args.max_train_samples,
        "validation": args.max_eval_samples,
        "test": args.max_test_samples,
    }
    return DatasetDict(
        {split: rows.select(range(min(len(rows), most[split] or len(rows)))) for split, rows in splits.items()}
    )


def check_columns(rows: Dataset, split: str, columns: dict[str, str], *, gaps: Collection[str] = ()) -> None:
    """Raise `StrategyError` if ``rows`` lacks a column, or a column lacks a value.

    ``columns`` are the names of the columns by the flags that give them. In the columns of the flags in ``gaps``,
    values may be missing.
    """
    for flag, column in columns.items():
        if column not in rows.column_names:
            raise StrategyError(
                f"{flag}={column!r} is no column of the {split} split: {did_you_mean(column, rows.column_names)}"
            )
        for index, value in enumerate(() if flag in gaps else rows[column]):
            if value is None:
                raise StrategyError(f"row {index} of the {split} split has no {column!r}: fill it or drop the row")


def labelled_rows(split: str, column: str, missing: Collection[int], count: int) -> list[int]:
    """Return the numbers of the rows to keep, out of ``count``: all but the ``missing`` ones, which have no label.

    How many are left out is printed. Raises `StrategyError` if none is left.
    """
    if not missing:
        return list(range(count))
    if len(missing) == count:
        raise StrategyError(f"no row of the {split} split has a label in {column!r}: give at least one")
    left_out = sorted(missing)
    numbers = ", ".join(map(str, left_out[:5])) + (", ..." if len(left_out) > 5 else "")
    notify(
        f"{len(left_out)} of the {count} rows of the {split} split have no label in {column!r} and are left out:"
        f" {'row' if len(left_out) == 1 else 'rows'} {numbers}."
    )
    return sorted(set(range(count)).difference(missing))


def _from_file(flag: str, file: str, readers: Mapping[str, Reader]) -> Dataset:
    path = Path(file)
    if not path.is_file():
        raise StrategyError(f"{flag}={file!r}: no such file")
    if path.suffix not in (known := {**_READERS, **readers}):
        raise StrategyError(f"{flag}={file!r} ends in {path.suffix!r}: give one of {', '.join(known)}")
    if path.stat().st_size == 0:
        raise StrategyError(f"{flag}={file!r} is empty: give at least one example")
    if path.suffix in readers:
        return readers[path.suffix](flag, path)
    builder, options = _READERS[path.suffix]
    try:
        loaded = load_dataset(builder, data_files={"train": glob.escape(str(path))}, split="train", **options)
    except (DatasetGenerationError, ValueError, OSError) as mistake:
        cause = " ".join(str(mistake.__cause__ or mistake).split())
        if "corresponds to no data" in cause:  # what `datasets` says of a file with only a header, or an empty list
            raise StrategyError(f"{flag}={file!r} is empty: give at least one example") from mistake
        raise StrategyError(f"{flag}={file!r} is not readable as {path.suffix[1:]}: {cause}") from mistake
    return cast(Dataset, loaded)


def _from_hub(args: DataArguments) -> dict[str, Dataset]:
    try:
        loaded = load_dataset(args.dataset_name, args.dataset_config_name)
    except (DatasetGenerationError, ValueError, OSError, RuntimeError) as mistake:
        # unreadable; unknown configuration; not found, or no network; made by a script, which is no longer supported
        raise StrategyError(f"dataset_name={args.dataset_name!r} cannot be loaded: {mistake}") from mistake
    names = {"train": args.train_split, "validation": args.validation_split, "test": args.test_split}
    splits = {split: loaded[name] for split, name in names.items() if name in loaded}
    defaults = DataArguments()
    for split, name in names.items():
        if name not in loaded and name != getattr(defaults, f"{split}_split"):
            raise StrategyError(
                f"{split}_split={name!r}: {args.dataset_name} has no such split: {did_you_mean(name, loaded)}"
            )
    if not splits:
        raise StrategyError(f"dataset_name={args.dataset_name!r} has only {list(loaded)}: name one by --train_split")
    return splits
