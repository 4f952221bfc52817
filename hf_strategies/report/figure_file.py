"""Figures: the check of a path, a new figure of matplotlib, and writing it to a file."""

import os
import warnings
from pathlib import Path
from typing import Any

from hf_strategies.errors import StrategyError, visible
from hf_strategies.files import replacing

__all__ = ["FORMATS", "checked_path", "new_figure", "plain", "save_figure"]

FORMATS = ("png", "svg", "pdf")
"""The formats of a figure, which are also the suffixes of its file."""


def checked_path(path: str | os.PathLike[str]) -> Path:
    """Return the path of a figure; refuse a suffix that is not in `FORMATS`, and a folder that does not exist."""
    file = Path(path)
    if file.suffix.removeprefix(".").lower() not in FORMATS:
        known = ", ".join(f".{each}" for each in FORMATS)
        raise StrategyError(f"{file} has no ending of a figure: give one of {known}")
    if not os.path.isdir(file.parent):  # Path.is_dir() raises for a name that is too long
        raise StrategyError(f"{file}: there is no folder {file.parent}: make it first")
    return file


def new_figure(width: float, height: float) -> Any:
    """Make a figure, its size in inches; raises `StrategyError` when matplotlib is not installed."""
    try:
        from matplotlib.figure import Figure
    except ImportError as mistake:
        raise StrategyError(
            "a figure needs matplotlib, which is not installed: pip install 'hf-strategies[plots]', or leave --output"
            " out"
        ) from mistake
    return Figure(figsize=(width, height), layout="constrained")


def plain(text: object) -> str:
    """Return a text in the form that a figure shows unchanged, with no formula between dollar signs.

    >>> print(plain("run $1"))
    run \\$1
    """
    return visible(text).replace("$", r"\$")


def save_figure(figure: Any, file: Path, dots_per_inch: float = 120) -> None:
    """Write a figure to a file; raises `StrategyError` for a file that cannot be written."""
    try:
        with replacing(file) as temporary, warnings.catch_warnings():
            # The font has no sign for some character of a name: the figure shows a box in its place.
            warnings.filterwarnings("ignore", "Glyph .* missing from", UserWarning)
            figure.savefig(temporary, dpi=dots_per_inch)
    except (OSError, ValueError) as mistake:  # ValueError: a name with a null byte, or that no encoding has
        reason = getattr(mistake, "strerror", None) or mistake
        raise StrategyError(f"{file} cannot be written: {reason}") from mistake
