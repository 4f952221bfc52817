"""A file that a figure is written to: its ending and folder, matplotlib, the writing."""

import os
from pathlib import Path
from typing import Any

from hf_strategies.errors import StrategyError

__all__ = ["FORMATS", "checked_path", "new_figure", "save_figure"]

FORMATS = ("png", "svg", "pdf")
"""The endings of files that a figure can be written to."""


def checked_path(path: str | os.PathLike[str]) -> Path:
    """Refuse an ending that is none of `FORMATS`, and a folder that is not there, before any work is done."""
    file = Path(path)
    if file.suffix.removeprefix(".").lower() not in FORMATS:
        known = ", ".join(f".{one}" for one in FORMATS)
        raise StrategyError(f"{file} has no ending of a figure: give one of {known}")
    if not file.parent.is_dir():
        raise StrategyError(f"{file}: there is no folder {file.parent}: make it first")
    return file


def new_figure(width: float, height: float) -> Any:
    """Make a figure of so many inches; raises `StrategyError` when matplotlib is not installed."""
    try:
        from matplotlib.figure import Figure
    except ImportError as mistake:
        raise StrategyError(
            "a figure needs matplotlib, which is not installed: pip install 'hf-strategies[plots]', or leave --output"
            " out"
        ) from mistake
    return Figure(figsize=(width, height), layout="constrained")


def save_figure(figure: Any, file: Path, dots_per_inch: float = 120) -> None:
    """Write a figure; raises `StrategyError` for a file that cannot be written."""
    try:
        figure.savefig(file, dpi=dots_per_inch)
    except OSError as mistake:
        raise StrategyError(f"{file} cannot be written: {mistake.strerror or mistake}") from mistake
