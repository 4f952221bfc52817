"""Data sets from the Hub, from local files or offline, loaded and checked before any model is loaded."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, cast

import numpy as np
from datasets import Dataset, DatasetBuilder, DatasetDict, Features, load_dataset, load_dataset_builder
from datasets.exceptions import DatasetGenerationError
from sklearn.model_selection import GroupShuffleSplit, KFold, StratifiedKFold

from hf_strategies.errors import StrategyError, did_you_mean
from hf_strategies.finetune.arguments import DataArguments
from hf_strategies.finetune.command_line import notify
from hf_strategies.finetune.offline.task import OfflineTask, load_offline
from hf_strategies.finetune.tables.file import COMPRESSED
from hf_strategies.finetune.tables.read import ENDINGS, Reader, check_rules, read_files
from hf_strategies.finetune.tables.typed import is_saved, load_saved

__all__ = [
    "Reader",
    "check_columns",
    "check_test_labels",
    "labelled_rows",
    "limit",
    "load_data",
    "load_splits",
    "texts_of",
    "with_validation",
]


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
    return splits, args.dataset_name or _name_of_files(args.train_file)


def load_splits(args: DataArguments, readers: Mapping[str, Reader] | None = None) -> DatasetDict | None:
    """Load the splits that the arguments name, under ``train``, ``validation`` and ``test``; None if none is named.

    ``readers`` read files with further endings, such as ``".conll"``, beside those that all recipes read. Files are
    read anew each time, so that a file that was replaced is never taken from a cache.

    Raises `StrategyError` for a missing, unreadable or empty file or split.
    """
    readers, rules = readers or {}, args.reading_rules
    if args.dataset_name:
        splits = _from_hub(args)
    else:
        named = {"train": args.train_file, "validation": args.validation_file, "test": args.test_file}
        files = {split: names for split, names in named.items() if names}
        check_rules(rules, {f"{split}_file": names for split, names in files.items()}, readers)
        splits = {
            split: read_files(f"{split}_file", names, rules, readers, split=getattr(args, f"{split}_split"))
            for split, names in files.items()
        }
    for split, rows in splits.items():
        if len(rows) == 0:
            raise StrategyError(f"the {split} split is empty: give at least one example")
    return DatasetDict(splits) if splits else None


def with_validation(
    splits: DatasetDict, args: DataArguments, seed: int, *, together: str | None = None
) -> DatasetDict:
    """Split a validation set off the training set if there is none; the test set is never used for it.

    Rows with the same value in the column ``together`` stay on one side, so that nothing in validation was seen in
    training; ``validation_fraction`` is then the share of those values, not of the rows. Before that, the fold that
    the arguments ask for is taken out of the training set, as the test set.
    """
    splits = _with_fold(splits, args, seed, together)
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


def limit(splits: DatasetDict, args: DataArguments, seed: int = 0) -> DatasetDict:
    """Draw as many examples of each split as the arguments allow; they keep their order.

    The training examples depend on ``seed``, that of the run. The others do not, so that runs with different seeds
    are measured on the same examples.
    """
    most = {
        "train": args.max_train_samples,
        "validation": args.max_eval_samples,
        "test": args.max_test_samples,
    }
    return DatasetDict(
        {split: _draw(rows, most[split], seed if split == "train" else 0) for split, rows in splits.items()}
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
        for index, value in enumerate(() if flag in gaps else rows[column][:]):
            if value is None or value != value:  # NaN alone differs from itself
                raise StrategyError(f"row {index} of the {split} split has no {column!r}: fill it or drop the row")


def texts_of(rows: Dataset, split: str, column: str) -> list[str]:
    """Return a column of texts; numbers and the like become text. `StrategyError` for a list, an object or bytes."""
    texts = []
    for row, value in enumerate(rows[column][:]):
        if isinstance(value, list | dict | bytes):
            kind = {list: "a list", dict: "an object"}.get(type(value), "bytes")
            raise StrategyError(
                f"row {row} of the {split} split has {kind} in {column!r}, {repr(value)[:60]}: give one text"
            )
        texts.append(str(value))
    return texts


def labelled_rows(split: str, column: str, missing: Collection[int], count: int) -> list[int]:
    """Return the numbers of the rows to keep, out of ``count``: all but the ``missing`` rows, which have no label.

    How many are left out is printed. Raises `StrategyError` if none is left.
    """
    if not missing:
        return list(range(count))
    if len(missing) == count:
        raise StrategyError(f"no row of the {split} split has a label in {column!r}: give at least one")
    left_out = sorted(missing)
    numbers = ", ".join(map(str, left_out[:5])) + (", ..." if len(left_out) > 5 else "")
    has, are, rows = ("has", "is", "row") if len(left_out) == 1 else ("have", "are", "rows")
    notify(
        f"{len(left_out)} of the {count} rows of the {split} split {has} no label in {column!r} and {are} left out:"
        f" {rows} {numbers}."
    )
    return sorted(set(range(count)).difference(missing))


def check_test_labels(splits: Mapping[str, Dataset], flag: str, column: str) -> None:
    """Check a test set that lacks the column of labels: print this, or refuse a misspelt name of the column.

    A name counts as misspelt if it is similar to ``column`` and the training set has no column of that name.
    """
    if "test" not in splits or column in (rows := splits["test"]).column_names:
        return
    expected = splits["train"].column_names if "train" in splits else ()
    others = {name.strip().casefold(): name for name in rows.column_names if name not in expected}
    close = get_close_matches(column.casefold(), others, n=1, cutoff=0.6)
    if close:
        raise StrategyError(
            f"{flag}={column!r} is no column of the test split, which has {others[close[0]]!r}: give both the same"
            " name, or leave that column out if the labels are unknown"
        )
    notify(f"The test split has no column {column!r}: it is predicted, and not measured.")


def _with_fold(splits: DatasetDict, args: DataArguments, seed: int, together: str | None) -> DatasetDict:
    """Return the splits with one fold of the training set as the test set, if the arguments ask for it.

    Each row is in the test set of exactly one fold. Classes are as frequent in a fold as in the whole, where each has
    a row for every fold.
    """
    if args.folds is None:
        return splits
    if "train" not in splits or "test" in splits:
        fault = "a data set that has a test set" if "train" in splits else "no training set"
        raise StrategyError(f"folds={args.folds} with {fault}: give train_file, or leave folds out")
    rows = splits["train"]
    group_of = list(range(len(rows))) if together is None else rows[together][:]
    groups = list(dict.fromkeys(group_of))
    if len(groups) < args.folds:
        raise StrategyError(f"folds={args.folds} of {len(groups)} {together or 'example'}s: give fewer")
    classes = _classes(rows) if together is None else []
    is_frequent = classes and min(Counter(classes).values()) >= args.folds
    cut = (StratifiedKFold if is_frequent else KFold)(args.folds, shuffle=True, random_state=seed)
    _, part = list(cut.split(groups, classes if is_frequent else None))[args.fold or 0]
    held = {groups[index] for index in part}
    sides = [[row for row, group in enumerate(group_of) if (group in held) is side] for side in (False, True)]
    return DatasetDict({**splits, "train": rows.select(sides[0]), "test": rows.select(sides[1])})


def _classes(rows: Dataset) -> list[str]:
    """Return the class of each row, where each has one; else nothing."""
    labels = rows["label"][:] if "label" in rows.column_names else []
    return labels if all(isinstance(label, str) for label in labels) else []


def _draw(rows: Dataset, most: int | None, seed: int) -> Dataset:
    if most is None or most >= len(rows):
        return rows
    return rows.select(sorted(np.random.default_rng(seed).choice(len(rows), most, replace=False).tolist()))


def _name_of_files(names: Sequence[str] | None) -> str:
    if not names:
        return "local files"
    first = Path(names[0])
    stem = Path(first.stem).stem if first.suffix.lower() in COMPRESSED else first.stem
    return stem if len(names) == 1 else f"{stem} and {len(names) - 1} more"


def _from_hub(args: DataArguments) -> dict[str, Dataset]:
    loaded = _load(args)
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


def _load(args: DataArguments) -> Mapping[str, Dataset]:
    name = str(args.dataset_name)
    is_folder = Path(name).is_dir()
    if is_folder and is_saved(Path(name)):
        check_rules(args.reading_rules, {}, {})
        saved = load_saved("dataset_name", Path(name))
        return {args.train_split: saved} if isinstance(saved, Dataset) else saved
    try:
        builder = load_dataset_builder(name, args.dataset_config_name) if is_folder else None
        if builder is not None and (files := _files_of(builder)):
            return _read_folder(args, files, builder.info.features)
        check_rules(args.reading_rules, {}, {})
        return cast(Mapping[str, Dataset], load_dataset(name, args.dataset_config_name))
    except StrategyError:
        raise
    except (DatasetGenerationError, ValueError, OSError, RuntimeError) as mistake:
        # unreadable; unknown configuration; not found, or no network; made by a script, which is no longer supported
        raise StrategyError(f"dataset_name={name!r} cannot be loaded: {mistake.__cause__ or mistake}") from mistake


def _files_of(builder: DatasetBuilder) -> dict[str, list[str]]:
    """Return the files of each split of a folder; none if `ENDINGS` does not know all of them."""
    data_files: Mapping[Any, Any] = builder.config.data_files or {}
    files = {str(split): [str(file) for file in names] for split, names in data_files.items()}
    known = all(Path(file).suffix.lower() in ENDINGS for names in files.values() for file in names)
    return files if known else {}


def _read_folder(
    args: DataArguments, files: Mapping[str, Sequence[str]], features: Features | None
) -> dict[str, Dataset]:
    """Read the files of a folder by the rules of all files, with the ``features`` that the folder declares."""
    rules = args.reading_rules
    check_rules(rules, {"dataset_name": [file for names in files.values() for file in names]}, {})
    splits = {split: read_files("dataset_name", names, rules, {}, split=split) for split, names in files.items()}
    return splits if features is None else {split: rows.cast(features) for split, rows in splits.items()}
