"""Errors of a full or forbidden disk are explained in one line, and no others are."""

import errno
import os
from pathlib import Path

import pytest

from hf_strategies.finetune.disk import DiskError, disk_problem, explained_disk_errors

FULL = "No space left on device"


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.ENOSPC, FULL, "out/a.json"), ["'out/a.json' cannot be written", FULL, "free some space"]),
        (OSError(errno.EDQUOT, "Disk quota exceeded", "a"), ["Disk quota exceeded", "free some space"]),
        (OSError(errno.EFBIG, "File too large", "a"), ["File too large"]),
        (PermissionError(errno.EACCES, "Permission denied", "out"), ["'out'", "Permission denied", "allow writing"]),
        (OSError(errno.EROFS, "Read-only file system", "a"), ["Read-only file system", "allow writing"]),
        (Exception(f"I/O error: {FULL} (os error 28)"), ["'runs/x' cannot be written", FULL]),
        (OSError("[Errno 28] Error writing bytes. Detail: [errno 28] full"), [FULL]),
        (RuntimeError("PytorchStreamWriter failed writing file data/3: file write failed"), ["'runs/x'"]),
        (RuntimeError("[enforce fail at inline_container.cc:595] . unexpected pos 64 vs 0"), ["'runs/x'"]),
    ],
)
def test_a_disk_that_cannot_be_written_is_one_line(error: Exception, words: list[str]) -> None:
    line = disk_problem(error, Path("runs/x"))
    assert line is not None
    assert "\n" not in line
    assert all(word in line for word in [*words, "--resume_from_checkpoint last"])


@pytest.mark.parametrize(
    "error",
    [
        ValueError("x"),
        FileNotFoundError(errno.ENOENT, os.strerror(2), "a"),
        RuntimeError("size mismatch"),
        FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), "elsewhere/a"),
    ],
)
def test_other_errors_are_not_explained(error: Exception) -> None:
    assert disk_problem(error, Path("runs/x")) is None
    with pytest.raises(type(error)), explained_disk_errors(Path("runs/x")):
        raise error


@pytest.mark.parametrize(
    "error",
    [
        IsADirectoryError(errno.EISDIR, "Is a directory", "runs/x/_a.tmp.json", None, "runs/x/a.json"),
        FileExistsError(errno.EEXIST, "File exists", "runs/x/a.json"),
        RuntimeError("[enforce fail at inline_container.cc:747] . open file failed with strerror: Is a directory"),
        Exception("I/O error: Is a directory (os error 21)"),
    ],
)
def test_something_else_in_the_place_of_a_file_is_one_line(error: Exception) -> None:
    line = str(disk_problem(error, Path("runs/x")))
    assert line.startswith("'runs/x")
    assert "_a.tmp.json" not in line
    assert "move away what is in its place" in line


def test_an_error_that_a_disk_has_led_to_is_explained() -> None:
    error = RuntimeError("Error while generating the data set")
    error.__cause__ = OSError(errno.ENOSPC, FULL, "a")
    with pytest.raises(DiskError, match=f"'a' cannot be written: {FULL}"), explained_disk_errors(Path("runs/x")):
        raise error
