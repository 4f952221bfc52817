"""The figure of a learning-rate range test."""

import os
from typing import Any

from hf_strategies.report.figure_file import checked_path, new_figure, save_figure
from hf_strategies.schedules.lr_range import RangeTest

__all__ = ["draw_range_test", "range_test_figure"]


def draw_range_test(result: RangeTest, path: str | os.PathLike[str], *, title: str = "") -> None:
    """Draw a range test into a PNG, SVG or PDF file; the suffix of ``path`` selects the format. Needs matplotlib."""
    save_figure(range_test_figure(result, title=title), checked_path(path))


def range_test_figure(result: RangeTest, *, title: str = "") -> Any:
    """Return a figure of matplotlib with the losses of a range test by learning rate.

    The two suggestions differ by mark and dashes as well as by colour, so that the figure can be read in greyscale.
    Losses far above the first ones, after the loss diverged, are cut off.
    """
    figure = new_figure(8, 5)
    axes = figure.subplots()
    axes.scatter(result.rates, result.losses, s=14, color="0.6", label="loss of each step")
    axes.plot(result.rates, result.smoothed, color="black", linewidth=1.8, label="smoothed")
    _mark_suggestion(axes, result, result.suggestion, "steepest descent", "tab:blue", "--", "o")
    _mark_suggestion(axes, result, result.minimum_over_ten, "minimum / 10", "tab:orange", "-.", "s")
    axes.set_xscale("log")
    _cut(axes, result)
    axes.set_xlabel("learning rate")
    axes.set_ylabel("training loss")
    axes.set_title(title or ("" if result.suggestion else "no suggestion: the loss did not fall"))
    axes.grid(alpha=0.3)
    axes.legend(loc="best")
    return figure


def _mark_suggestion(
    axes: Any, result: RangeTest, rate: float | None, name: str, color: str, dashes: str, marker: str
) -> None:
    if rate is None:
        return
    nearest = min(range(len(result.rates)), key=lambda at: abs(result.rates[at] / rate - 1.0))
    axes.axvline(rate, color=color, linestyle=dashes, linewidth=1.5)
    axes.plot(
        [rate],
        [result.smoothed[nearest]],
        color=color,
        linestyle=dashes,
        marker=marker,
        markersize=9,
        markeredgecolor="black",
        label=f"{name}: {rate:.2g}",
    )


def _cut(axes: Any, result: RangeTest) -> None:
    """Limit the y axis to the losses up to the lowest smoothed one, and a margin, if later losses are far higher."""
    if not result.smoothed:
        return
    low = result.smoothed.index(min(result.smoothed))
    before = result.losses[: low + 1]
    bottom, top = min(result.losses), max(*before, *result.smoothed[: low + 1])
    room = (top - bottom) or 1.0
    if max(result.losses) > top + room:
        axes.set_ylim(bottom - 0.05 * room, top + 0.5 * room)
