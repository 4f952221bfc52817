"""Files that know the types of their columns: parquet and arrow files, and folders of ``Dataset.save_to_disk``."""

import io
from pathlib import Path
from typing import cast

import pyarrow as pa
import pyarrow.parquet
from datasets import Dataset, DatasetDict, load_from_disk

from hf_strategies.errors import StrategyError, did_you_mean
from hf_strategies.finetune.tables.file import ReadingRules, TableFile

__all__ = ["is_saved", "load_saved", "read_arrow", "read_parquet", "read_saved"]


def read_parquet(file: TableFile, _: ReadingRules) -> Dataset:
    """Read a parquet file, with the features that `datasets` or pandas has written into it."""
    content = file.read_bytes()
    try:
        return Dataset(pyarrow.parquet.read_table(io.BytesIO(content)))
    except (pa.ArrowException, ValueError, OSError, NotImplementedError) as mistake:
        raise file.unreadable(mistake) from mistake


def read_arrow(file: TableFile, _: ReadingRules) -> Dataset:
    """Read an arrow file: the stream that `datasets` writes, or an IPC (feather) file."""
    content = file.read_bytes()
    try:
        kind = pa.ipc.open_file if content.startswith(b"ARROW1") else pa.ipc.open_stream
        return Dataset(kind(content).read_all())
    except (pa.ArrowException, ValueError, OSError, NotImplementedError) as mistake:
        raise file.unreadable(mistake) from mistake


def is_saved(folder: Path) -> bool:
    """Return whether ``save_to_disk`` of a `Dataset` or of a `DatasetDict` wrote this folder."""
    return any((folder / name).is_file() for name in ("dataset_dict.json", "state.json"))


def read_saved(flag: str, folder: Path, split: str) -> Dataset:
    """Read a folder of ``save_to_disk``: its only data set, or the one with the name ``split``."""
    saved = load_saved(flag, folder)
    if isinstance(saved, Dataset):
        return saved
    if split not in saved:
        raise StrategyError(f"{flag}={str(folder)!r} has no split {split!r}: {did_you_mean(split, list(saved))}")
    return saved[split]


def load_saved(flag: str, folder: Path) -> Dataset | DatasetDict:
    """Return all that ``save_to_disk`` wrote into a folder."""
    try:
        return cast(Dataset | DatasetDict, load_from_disk(str(folder)))
    except (pa.ArrowException, ValueError, KeyError, TypeError, OSError) as mistake:
        raise StrategyError(f"{flag}={str(folder)!r} is not readable as a saved data set: {mistake}") from mistake
