"""A cache of rows on disk. A cached data set is read only if it is complete, and written completely or not at all."""

import contextlib
import hashlib
import json
import os
import shutil
import uuid
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

__all__ = ["Row", "Rows", "cache_root", "cached_rows", "read_rows", "write_rows"]

Row = dict[str, Any]
"""One row of a data set: the value of each column. JSON has to be able to hold it."""

Rows = dict[str, list[Row]]
"""The rows of a data set by the name of the split."""

_DIGESTS = "digests.json"


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
    try:
        digests = json.loads((folder / _DIGESTS).read_bytes())
        contents = {split: (folder / f"{split}.jsonl").read_bytes() for split in digests}
        if digests != {split: _digest(content) for split, content in contents.items()}:
            return None
    except (OSError, ValueError, TypeError, AttributeError):
        return None
    return {split: [json.loads(line) for line in content.splitlines()] for split, content in contents.items()}


def write_rows(folder: Path, rows: Rows) -> None:
    """Write one file of JSON lines per split to a temporary folder, and rename it to ``folder`` when it is complete.

    An existing ``folder`` is replaced. Several processes may write the same rows at the same time; the folder is
    complete in the end. Raises OSError if the files cannot be written.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as root:
    ...     write_rows(Path(root, "pets"), {"train": [{"text": "A cat."}]})
    ...     read_rows(Path(root, "pets"))
    {'train': [{'text': 'A cat.'}]}
    """
    # Not tempfile.mkdtemp: it makes a folder that other users of a shared cache cannot read.
    temporary = folder.with_name(f".{folder.name}-{uuid.uuid4().hex}")
    temporary.mkdir(parents=True)
    try:
        digests = {}
        for split, split_rows in rows.items():
            content = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in split_rows).encode()
            (temporary / f"{split}.jsonl").write_bytes(content)
            digests[split] = _digest(content)
        (temporary / _DIGESTS).write_text(json.dumps(digests), encoding="utf-8")
        _put_in_place(temporary, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def cached_rows(folder: Path, build: Callable[[], Rows]) -> Rows:
    """Return the rows in ``folder``; if it has none, or damaged ones, ``build`` them and write them there.

    If they cannot be written, a warning says so and the rows are returned all the same.
    """
    rows = read_rows(folder)
    if not rows:
        rows = build()
        try:
            write_rows(folder, rows)
        except OSError as error:
            warnings.warn(
                f"the offline data set is built anew each time, for it cannot be kept in {folder} ({error}); "
                f"set HF_STRATEGIES_CACHE to a folder that can be written",
                stacklevel=3,
            )
    return rows


def _put_in_place(temporary: Path, folder: Path) -> None:
    replaced = temporary.with_name(f"{temporary.name}-replaced")
    with contextlib.suppress(FileNotFoundError):
        folder.rename(replaced)  # a folder with files in it cannot be renamed over
    try:
        temporary.rename(folder)
    except OSError:
        if read_rows(folder) is None:
            raise  # otherwise another process was first, with the same rows
    finally:
        shutil.rmtree(replaced, ignore_errors=True)


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
