"""What the terminal can show, and warnings as plain lines in it."""

import shutil
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["can_print", "terminal_width", "warnings_as_lines"]


def terminal_width() -> int | None:
    """Return the columns of the terminal; None when the output is no terminal, so that lines stay unbroken."""
    return max(40, shutil.get_terminal_size().columns) if sys.stdout.isatty() else None


def can_print(characters: str) -> bool:
    """Return whether the encoding of the output has these characters."""
    try:
        characters.encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return False
    return True


@contextmanager
def warnings_as_lines() -> Iterator[None]:
    """Print each warning that is raised within the block as one line on stderr."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    for warning in caught:
        print(f"warning: {' '.join(str(warning.message).split())}", file=sys.stderr)
