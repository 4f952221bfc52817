"""Rows of text kept between runs: read whole or not at all, written whole or not at all."""

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

__all__ = ["Rows", "cache_root", "kept", "read_rows", "write_rows"]

Rows = dict[str, list[dict[str, Any]]]
"""The rows of a data set by the name of their split."""

_DIGESTS = "digests.json"


def cache_root(cache_dir: Path | None = None) -> Path:
    """Return the folder that caches go to; it need not exist.

    ``cache_dir`` if given, else ``$HF_STRATEGIES_CACHE``, else ``$XDG_CACHE_HOME/hf_strategies``, else
    ``~/.cache/hf_strategies``. Nothing is raised.

    >>> cache_root(Path("here")).name
    'here'
    """
    if cache_dir is not None:
        return Path(cache_dir)
    if chosen := os.environ.get("HF_STRATEGIES_CACHE"):
        return Path(os.path.expanduser(chosen))
    # A user without a home keeps the "~": below the null device no folder of that name gets made.
    home = Path(os.devnull, os.path.expanduser("~"))
    return Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache") / "hf_strategies"


def read_rows(folder: Path) -> Rows | None:
    """Return what :func:`write_rows` put in ``folder``, or None where anything is missing or damaged.

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
    """Write one file of JSON lines per split, in a folder that gets its name when it is complete.

    Of several processes that write the same rows at once one wins and the others are content. What stood in
    ``folder`` is replaced. Raises OSError where nothing can be written.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as root:
    ...     write_rows(Path(root, "pets"), {"train": [{"text": "A cat."}]})
    ...     read_rows(Path(root, "pets"))
    {'train': [{'text': 'A cat.'}]}
    """
    # Not tempfile.mkdtemp: the mode it sets would keep other users of a shared cache out.
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


def kept(folder: Path, build: Callable[[], Rows]) -> Rows:
    """Return the rows in ``folder``; where it has none, or damaged ones, ``build`` them and try to keep them."""
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
            raise  # else another process was first, with the same rows
    finally:
        shutil.rmtree(replaced, ignore_errors=True)


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
