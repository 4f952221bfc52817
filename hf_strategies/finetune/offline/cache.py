"""A cache of the rows of data sets, as folders of JSON lines."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hf_strategies.finetune.cached_folder import complete_files, new_folder

__all__ = ["Row", "Rows", "cache_root", "cached_rows", "read_rows", "write_rows"]

Row = dict[str, Any]
"""One row of a data set: the value of each column. JSON has to be able to hold it."""

Rows = dict[str, list[Row]]
"""The rows of a data set by the name of the split."""


def cache_root(cache_dir: Path | None = None) -> Path:
    """Return the folder for cached data sets; it need not exist.

    It is ``cache_dir`` if given, else ``$HF_STRATEGIES_CACHE``, else ``$XDG_CACHE_HOME/hf_strategies``, else
    ``~/.cache/hf_strategies``.

    >>> cache_root(Path("here")).name
    'here'
    """
    if cache_dir is not None:
        return Path(cache_dir)
    if chosen := os.environ.get("HF_STRATEGIES_CACHE"):
        return Path(os.path.expanduser(chosen))
    # Without a home folder "~" stays in the path; below the null device nobody can create a folder of that name.
    home = Path(os.devnull, os.path.expanduser("~"))
    return Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache") / "hf_strategies"


def read_rows(folder: Path) -> Rows | None:
    """Return the rows that :func:`write_rows` wrote to ``folder``, or None if a file is missing or damaged.

    >>> read_rows(Path("no", "such", "folder")) is None
    True
    """
    files = complete_files(folder)
    if files is None:
        return None
    return {file.stem: [json.loads(line) for line in file.read_bytes().splitlines()] for file in files}


def write_rows(folder: Path, rows: Rows) -> None:
    """Write one file of JSON lines per split to ``folder``, completely or not at all.

    Several processes may write the same rows at the same time. Raises OSError if the files cannot be written.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as root:
    ...     write_rows(Path(root, "pets"), {"train": [{"text": "A cat."}]})
    ...     read_rows(Path(root, "pets"))
    {'train': [{'text': 'A cat.'}]}
    """
    with new_folder(folder) as temporary:
        for split, split_rows in rows.items():
            content = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in split_rows)
            (temporary / f"{split}.jsonl").write_bytes(content.encode())


def cached_rows(folder: Path, build: Callable[[], Rows]) -> Rows:
    """Return the rows in ``folder``; if it has none, or damaged ones, ``build`` them and write them there.

    If they cannot be written, this is reported in one line, and the rows are returned all the same.
    """
    rows = read_rows(folder)
    if not rows:
        rows = build()
        try:
            write_rows(folder, rows)
        except OSError as error:
            # Imported here, because it loads transformers, which the offline data sets do without.
            from hf_strategies.finetune.command_line import notify

            notify(
                "The offline data set is built anew in each run, because it cannot be kept in"
                f" {folder.parent} ({error.strerror or error}): set HF_STRATEGIES_CACHE to a folder that can be"
                " written and has room."
            )
    return rows
