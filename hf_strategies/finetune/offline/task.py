"""Data sets that need no network: examples made of the docstrings of installed libraries.

A new one is one function that makes examples of a docstring, and an `OfflineTask` with it.
"""

import json
import platform
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from hf_strategies.finetune.offline.cache import Rows, cache_root, kept
from hf_strategies.finetune.offline.docstrings import Docstring, stable_rank, walk_docstrings
from hf_strategies.finetune.offline.sentences import LIBRARIES, library_version

__all__ = ["OfflineTask", "load_offline"]

_HELD_OUT = 10  # of a hundred files, to validation and as many to test


def _whole(row: dict[str, Any]) -> str:
    return json.dumps(row, sort_keys=True)


@dataclass(frozen=True)
class OfflineTask:
    """A data set made of docstrings: ``examples`` makes rows of one, of which ``per_library`` are kept.

    ``version`` is part of the cache's name: raise it whenever the rows change. ``finish`` sees the rows of a whole
    split, where a row needs others, as wrong answers to choose from. Of rows with the same ``key`` the first is kept.
    """

    name: str
    version: int
    examples: Callable[[Docstring], Iterable[dict[str, Any]]]
    per_library: int
    finish: Callable[[list[dict[str, Any]]], list[dict[str, Any]]] = list
    key: Callable[[dict[str, Any]], str] = _whole


def load_offline(
    task: OfflineTask, *, seed: int = 0, cache_dir: Path | None = None, libraries: Sequence[str] = LIBRARIES
) -> Rows:
    """Return the rows of ``train`` (about 80 %), ``validation`` and ``test``, built once per machine.

    The split is by source file, and equal rows are kept once, so that nothing is in two splits. ``seed`` decides
    which files are read first and the order of the rows. The same machine, versions and arguments give the same rows.
    Raises StrategyError for a library that is not installed.
    """
    versions = [(name, library_version(name)) for name in libraries]
    name = stable_rank(task.version, platform.python_version(), versions, seed, task.per_library)
    return kept(cache_root(cache_dir) / f"{task.name}-{name}", lambda: _build(task, seed, libraries))


def _build(task: OfflineTask, seed: int, libraries: Sequence[str]) -> Rows:
    found: dict[str, tuple[str, dict[str, Any]]] = {}
    for library in libraries:
        rows = (
            (docstring, row) for docstring in walk_docstrings(library, seed=seed) for row in task.examples(docstring)
        )
        for docstring, row in islice(rows, task.per_library):
            found.setdefault(task.key(row), (_split_of(docstring, seed), row))
    splits: Rows = {
        split: sorted((row for place, row in found.values() if place == split), key=lambda row: _order(row, seed))
        for split in ("train", "validation", "test")
    }
    return {split: task.finish(rows) for split, rows in splits.items()}


def _split_of(docstring: Docstring, seed: int) -> str:
    share = int(stable_rank(seed, "split", docstring.library, docstring.path), 16) % 100
    return "validation" if share < _HELD_OUT else "test" if share < 2 * _HELD_OUT else "train"


def _order(row: dict[str, Any], seed: int) -> str:
    return stable_rank(seed, "order", _whole(row))
