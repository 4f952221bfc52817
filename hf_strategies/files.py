"""Files that are written as a whole, so that a reader gets the old content or the new content and never a part."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from hf_strategies.errors import HIDDEN

__all__ = ["json_line", "read_json", "replacing", "write_json", "write_text"]


@contextmanager
def replacing(file: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a path in the folder of ``file`` to write to; what lies there at the end takes the place of ``file``.

    The new content is on the disk before it takes that place, so that neither a killed process nor a power failure
    leaves half a file. If the block raises an error, or writes nothing, ``file`` stays as it is. The temporary file
    has the ending of ``file``. Its name begins with an underscore, because the Trainer does not upload such files to
    the Hub. The name is always the same, so that the next writing replaces what a killed process left.
    """
    target = Path(os.path.realpath(file))
    temporary = target.with_name(f"_{target.stem}.tmp{target.suffix}")
    try:
        yield temporary
        if temporary.exists():
            _flush(temporary)
            os.replace(temporary, target)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise


def write_text(file: str | os.PathLike[str], text: str) -> None:
    """Write a text as the whole content of a file, in UTF-8."""
    with replacing(file) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(file: str | os.PathLike[str], content: Any) -> None:
    """Write JSON as the whole content of a file, indented and with sorted keys, as transformers does."""
    write_text(file, json.dumps(content, indent=4, sort_keys=True))


def read_json(file: Path) -> Any:
    """Return the content of a JSON file; None if there is no such file, or if it cannot be read as JSON."""
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None


def _flush(file: Path) -> None:
    """Wait until the content of a file is on the disk."""
    descriptor = os.open(file, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def json_line(content: Any) -> str:
    """Return ``content`` as JSON on one line; control characters are written as escapes, and read back the same.

    >>> json_line({"text": "caf\\u00e9 \\x9b2J"})
    '{"text": "caf\u00e9 \\\\u009b2J"}'
    """
    return HIDDEN.sub(lambda found: f"\\u{ord(found[0]):04x}", json.dumps(content, ensure_ascii=False))
