"""`OfflineTask`: a data set that needs neither network nor files, made of the docstrings of installed libraries.

A new offline data set is one function that makes rows of a docstring, and an `OfflineTask` with it. Reading,
splitting, shuffling, cutting and caching are the same for all of them.
"""

import json
import platform
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from hf_strategies.errors import StrategyError
from hf_strategies.finetune.offline.cache import Row, Rows, cache_root, cached_rows
from hf_strategies.finetune.offline.docstrings import (
    LIBRARIES,
    Docstring,
    library_version,
    stable_rank,
    walk_docstrings,
)
from hf_strategies.finetune.offline.splits import SPLITS, Example, LibraryExamples, Split, split_by_hash

__all__ = ["OfflineTask", "load_offline"]


def _whole_row(row: Row) -> str:
    return json.dumps(row, sort_keys=True)


@dataclass(frozen=True)
class OfflineTask:
    """A data set whose rows are made of docstrings.

    Args:
        name: Name of the data set in the cache.
        title: Name of the data set for people, as the model card has it.
        version: Part of the key of the cache: raise it whenever the rows change.
        rows: Makes rows of one docstring, maybe none.
        per_library: The most rows that are taken of a library, for all splits together.
        libraries: The libraries whose docstrings are read.
        key: Text by which copies of a row are recognised; rows with the same one are copies.
        order: Text whose hash orders the rows.
        split: Chooses the examples and their splits: `split_by_hash`, or `split_evenly` if the library is the label.
        finish: Completes the rows of one split, where a row needs others, for example as wrong answers.
        max_rows: The most rows that are used of each split, from the front (None: all); the cache has all of them.

    Raises `StrategyError` for a library that is named twice.
    """

    name: str
    title: str
    version: int
    rows: Callable[[Docstring], Iterable[Row]]
    per_library: int
    libraries: Sequence[str] = LIBRARIES
    key: Callable[[Row], str] = _whole_row
    order: Callable[[Row], str] = _whole_row
    split: Split = split_by_hash
    finish: Callable[[list[Row]], list[Row]] = list
    max_rows: int | None = None

    def __post_init__(self) -> None:
        """Refuse a library that is named twice."""
        if len(set(self.libraries)) < len(self.libraries):
            raise StrategyError(f"libraries={list(self.libraries)!r}: name each library once")


def load_offline(task: OfflineTask, *, seed: int = 0, cache_dir: Path | None = None) -> Rows:
    """Return the rows of ``train``, ``validation`` and ``test``; they are built once per machine and then cached.

    No source file and no copy of a row is in two splits. ``seed`` decides which files are read first, the splits and
    the order of the rows. The same versions of Python and of the libraries, task and seed give the same rows.

    The cache is a folder of JSON lines below `cache_root` of ``cache_dir``. Its name changes with the seed, with the
    version of the task, and with the versions of Python and of the libraries. A damaged copy is built anew; if it
    cannot be written, the rows are built in each run. Either is reported in one line.

    Raises `StrategyError` for a library that is not installed, or that has too few rows for the task.
    """
    versions = [(library, library_version(library)) for library in task.libraries]
    fingerprint = stable_rank(task.version, platform.python_version(), versions, seed, task.per_library)
    rows = cached_rows(cache_root(cache_dir) / f"{task.name}-{fingerprint}", lambda: _build(task, seed))
    return {split: rows[split][: task.max_rows] for split in SPLITS}


def _build(task: OfflineTask, seed: int) -> Rows:
    libraries = {library: _examples(task, library, seed) for library in task.libraries}
    splits = task.split(libraries, task.per_library, seed)
    ordered = {split: sorted(splits[split], key=lambda example: example.rank) for split in SPLITS}
    return {split: task.finish([example.row for example in examples]) for split, examples in ordered.items()}


def _examples(task: OfflineTask, library: str, seed: int) -> LibraryExamples:
    for docstring in walk_docstrings(library, seed=seed):
        yield (
            docstring,
            [
                Example(row, docstring, task.key(row), stable_rank(seed, "order", task.order(row)))
                for row in task.rows(docstring)
            ],
        )
