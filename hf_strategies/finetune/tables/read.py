"""The rows of the files that a flag names: one file, several files, a pattern or a folder."""

import glob
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pyarrow as pa
from datasets import ClassLabel, Dataset, concatenate_datasets

from hf_strategies.errors import StrategyError
from hf_strategies.finetune.tables.excel import read_excel
from hf_strategies.finetune.tables.file import ReadingRules, TableFile
from hf_strategies.finetune.tables.json_rows import read_json
from hf_strategies.finetune.tables.separated import read_separated
from hf_strategies.finetune.tables.typed import is_saved, read_arrow, read_parquet, read_saved

__all__ = ["ENDINGS", "Reader", "check_rules", "read_file", "read_files"]

Reader = Callable[[str, Path], Dataset]
"""Reads a file of a recipe's own format, given the flag that named it (for error messages) and its path."""

ENDINGS: dict[str, Callable[[TableFile, ReadingRules], Dataset]] = {
    ".csv": read_separated,
    ".tsv": read_separated,
    ".json": read_json,
    ".jsonl": read_json,
    ".ndjson": read_json,
    ".parquet": read_parquet,
    ".arrow": read_arrow,
    ".xlsx": read_excel,
}
"""What reads a file of each ending, whatever the recipe."""

# The endings of the files on which each flag has an effect.
_EFFECTS = {
    "separator": {".csv", ".tsv"},
    "column_names": {".csv", ".tsv", ".xlsx"},
    "encoding": {".csv", ".tsv", ".json", ".jsonl", ".ndjson"},
}


def read_files(
    flag: str, names: Sequence[str], rules: ReadingRules, readers: Mapping[str, Reader], *, split: str
) -> Dataset:
    """Return the rows of all files in ``names``, which are names or patterns, one file after the other.

    A folder of ``save_to_disk`` counts as a file; of several splits in it, ``split`` is read. Raises `StrategyError`
    for a missing file, for files with different columns, and as the reader of each file does.
    """
    paths = [path for name in names for path in _matching(flag, name)]
    for path in paths:
        if paths.count(path) > 1:
            raise StrategyError(f"{flag} names {str(path)!r} more than once: name each file once")
    parts = [_read(flag, path, rules, readers, split) for path in paths]
    return parts[0] if len(parts) == 1 else _joined(flag, paths, parts)


def read_file(file: TableFile, rules: ReadingRules, readers: Mapping[str, Reader]) -> Dataset:
    """Return the rows of one file; its ending decides how it is read."""
    known = {**ENDINGS, **readers}
    if file.ending not in known:
        raise file.refuse(f"ends in {file.ending!r}: give one of {', '.join(known)}")
    if file.path.stat().st_size == 0:
        raise file.refuse("is empty: give at least one example")
    if file.ending in readers:
        return readers[file.ending](file.flag, file.path)
    return ENDINGS[file.ending](file, rules)


def check_rules(rules: ReadingRules, files: Mapping[str, Sequence[str]], readers: Mapping[str, Reader]) -> None:
    """Raise `StrategyError` for a rule that has no effect on any of the ``files``, which are given by their flags."""
    paths = [path for flag, names in files.items() for name in names for path in _matching(flag, name)]
    endings = {TableFile("", path).ending for path in paths}
    for flag, kinds in _EFFECTS.items():
        value = getattr(rules, flag)
        if value is not None and not endings & (kinds | set(readers) if flag == "encoding" else kinds):
            what = f"{' and '.join(sorted(endings))} files" if endings else "data that is not in files"
            raise StrategyError(f"{flag}={value!r} has no effect on {what}: leave it out")


def _matching(flag: str, name: str) -> list[Path]:
    """Return the file or folder with exactly this name; without it, the files that match the name as a pattern."""
    if name and (path := Path(name)).exists():
        return [path]
    if not glob.has_magic(name):
        raise StrategyError(f"{flag}={name!r}: no such file")
    paths = [path for path in map(Path, sorted(glob.glob(name, recursive=True))) if path.is_file() or is_saved(path)]
    if not paths:
        raise StrategyError(f"{flag}={name!r}: no file has such a name")
    return paths


def _read(flag: str, path: Path, rules: ReadingRules, readers: Mapping[str, Reader], split: str) -> Dataset:
    if not path.is_dir():
        return read_file(TableFile(flag, path), rules, readers)
    if is_saved(path):
        return read_saved(flag, path, split)
    raise StrategyError(
        f"{flag}={str(path)!r} is a folder that save_to_disk has not written: give its files, such as"
        f" {str(path / '*.csv')!r}"
    )


def _joined(flag: str, paths: Sequence[Path], parts: Sequence[Dataset]) -> Dataset:
    for path, part in zip(paths, parts, strict=True):
        if set(part.column_names) != set(parts[0].column_names):
            raise StrategyError(
                f"{flag}: {str(path)!r} has the columns {part.column_names} and {str(paths[0])!r}"
                f" {parts[0].column_names}: give each file the same"
            )
    kinds = {part.builder_name for part in parts}
    try:
        if all(part.features == parts[0].features for part in parts):
            return _marked(concatenate_datasets(list(parts)), kinds)
        return _marked(Dataset(_with_common_types(parts)), kinds)
    except (pa.ArrowException, ValueError, TypeError) as mistake:
        raise StrategyError(
            f"{flag}: a column has different types in {', '.join(repr(str(path)) for path in paths)} ({mistake}):"
            " give each file the same"
        ) from mistake


def _with_common_types(parts: Sequence[Dataset]) -> pa.Table:
    """Join tables whose columns have compatible types, such as whole numbers in one file and fractions in another."""
    for part in parts:
        for name, feature in part.features.items():
            if isinstance(feature, ClassLabel) and any(other.features[name] != feature for other in parts):
                raise ValueError(f"{name!r} has named classes in one file and not the same in another")
    tables = [part.with_format("arrow")[:].replace_schema_metadata(None) for part in parts]
    return pa.concat_tables(tables, promote_options="permissive")


def _marked(rows: Dataset, kinds: set[str | None]) -> Dataset:
    """Record the kind of file that all rows come from, if they come from one kind, as `datasets` does."""
    rows.info.builder_name = kinds.pop() if len(kinds) == 1 else None
    return rows
