"""A command in a real terminal of a given number of columns, which the system provides as a pseudo-terminal."""

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios
from collections.abc import Mapping
from pathlib import Path

__all__ = ["in_terminal"]


# What these say would be shown otherwise; continuous integration sets some of them for everything that it runs.
LOOKS = ("CI", "COLUMNS", "FORCE_COLOR", "LINES", "NO_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE")


def in_terminal(
    *words: str, columns: int = 80, folder: Path | None = None, variables: Mapping[str, str] | None = None
) -> str:
    """Run Python with the arguments ``words`` in a terminal, and return all that it writes there.

    The program sees the ``variables`` beside those of the tests, and none of ``LOOKS`` unless it is among them.
    """
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    environment = {name: value for name, value in os.environ.items() if name not in LOOKS}
    process = subprocess.Popen(
        [sys.executable, *words],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=environment | {"TERM": "xterm", "PYTHONIOENCODING": "utf-8"} | dict(variables or {}),
        start_new_session=True,
        cwd=folder,
    )
    os.close(theirs)
    shown = _read_all(ours)
    os.close(ours)
    assert process.wait() == 0, shown
    return shown


def _read_all(terminal: int) -> str:
    pieces = []
    while True:
        try:
            piece = os.read(terminal, 65536)
        except OSError:  # Linux raises EIO, and other systems return nothing, when the process has closed its side
            piece = b""
        if not piece:
            return b"".join(pieces).decode("utf-8").replace("\r\n", "\n")
        pieces.append(piece)
