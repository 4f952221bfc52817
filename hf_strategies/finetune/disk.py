"""Disks that are full or cannot be written: one line in place of a traceback."""

import errno
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["DiskError", "disk_problem", "explained_disk_errors"]

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_FORBIDDEN = {errno.EACCES, errno.EPERM, errno.EROFS}
_TAKEN = {errno.EISDIR, errno.ENOTDIR, errno.EEXIST}
_EXPLAINED = _FULL | _FORBIDDEN | _TAKEN
# Rust's libraries (safetensors, tokenizers) and Arrow name the error's number in a text, and torch names none.
_NUMBER = re.compile(r"(?:os error|errno) (\d+)", re.IGNORECASE)
_TORCH = re.compile(r"PytorchStreamWriter failed|inline_container\.cc.*(unexpected pos|write)", re.DOTALL)
_SMALL = 1 << 20


class DiskError(OSError):
    """A file could not be written; the message is one line with the disk and the remedy."""


@contextmanager
def explained_disk_errors(folder: Path) -> Iterator[None]:
    """Raise `DiskError` for an error inside that a disk has caused; ``folder`` is the output folder of the run."""
    try:
        yield
    except Exception as mistake:
        line = disk_problem(mistake, folder)
        if line is None:
            raise
        raise DiskError(line) from mistake


def disk_problem(mistake: BaseException, folder: Path | None = None) -> str | None:
    """Return the line that explains an error which a disk has caused; None for any other error.

    ``folder`` is named where the error names no file.
    """
    for error in _chain(mistake):
        if isinstance(error, DiskError):
            return str(error)
        number = _error_number(error, folder)
        if number is not None:
            return _message(number, getattr(error, "filename2", None) or getattr(error, "filename", None), folder)
    return None


def _chain(mistake: BaseException) -> Iterator[BaseException]:
    """Yield an error and all errors that have led to it."""
    error: BaseException | None = mistake
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def _error_number(error: BaseException, folder: Path | None) -> int | None:
    """Return the ``errno`` of an error that a disk has caused; None for any other error."""
    if isinstance(error, OSError) and error.errno in _EXPLAINED:
        return (
            error.errno if error.errno not in _TAKEN or _is_below(error.filename2 or error.filename, folder) else None
        )
    text = str(error)
    if (match := _NUMBER.search(text)) and int(match[1]) in _EXPLAINED:
        return int(match[1])
    if isinstance(error, RuntimeError) and "open file failed with strerror: Is a directory" in text:
        return errno.EISDIR
    if isinstance(error, RuntimeError) and _TORCH.search(text):
        return errno.ENOSPC if folder is not None and _free_bytes(folder) < _SMALL else errno.EIO
    return None


def _message(number: int, file: object, folder: Path | None) -> str:
    place = os.fsdecode(file) if isinstance(file, str | bytes | os.PathLike) else str(folder or Path.cwd())
    reason = os.strerror(number)
    if number in _TAKEN:
        remedy = "move away what is in its place"
    else:
        remedy = "allow writing there" if number in _FORBIDDEN else "free some space there"
    kept = (
        "What has been written stays: the same command with --resume_from_checkpoint last goes on from the newest"
        " whole checkpoint"
    )
    return f"{place!r} cannot be written: {reason}: {remedy}, or write to another disk. {kept}"


def _is_below(file: object, folder: Path | None) -> bool:
    """Whether a file is one of the folder that a run writes into: elsewhere, the error may be one of the program."""
    if folder is None or not isinstance(file, str | os.PathLike):
        return False
    return Path(file).absolute().is_relative_to(folder.absolute())


def _free_bytes(folder: Path) -> int:
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return _SMALL
