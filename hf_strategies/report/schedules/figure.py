"""Schedules on one axis as a PNG, SVG or PDF file; needs matplotlib."""

import math
import os
from pathlib import Path
from typing import Any

from hf_strategies.report.figure_file import checked_path, new_figure, plain, save_figure
from hf_strategies.report.schedules.curves import ScheduleCurves

__all__ = ["draw_schedules"]

# Colour, dashes and mark of each curve. The colours are those of Okabe & Ito, for all kinds of colour vision; dashes
# and marks distinguish the curves in greyscale.
_STYLES: tuple[tuple[str, Any, str], ...] = (
    ("#000000", "-", "o"),
    ("#0072b2", (0, (6, 2)), "s"),
    ("#d55e00", (0, (1.2, 1.4)), "^"),
    ("#009e73", (0, (7, 2, 1.5, 2)), "D"),
    ("#cc79a7", (0, (3, 1.5)), "v"),
    ("#56b4e9", (0, (7, 1.5, 1.5, 1.5, 1.5, 1.5)), "P"),
    ("#e69f00", "-", "X"),
    ("#000000", (0, (1.2, 3)), "*"),
    ("#0072b2", "-", "<"),
    ("#d55e00", (0, (10, 3)), ">"),
    ("#009e73", (0, (3, 3)), "h"),
    ("#cc79a7", (0, (7, 2, 1.5, 2)), "p"),
)
# The size in inches for which the sizes of text and lines are chosen. More pixels enlarge everything.
_BASE_SIZE = (9.0, 5.5)
_MARKS_PER_CURVE = 9


def draw_schedules(
    curves: ScheduleCurves, path: str | os.PathLike[str], *, width: int = 1080, height: int = 660
) -> None:
    """Draw schedules into a file of ``width`` times ``height`` pixels; the suffix of ``path`` selects the format.

    Raises `StrategyError` for a suffix that is not in `FORMATS`, a folder that does not exist, a file that cannot be
    written, and when matplotlib is not installed.
    """
    file = checked_path(Path(path))
    dots_per_inch = min(width / _BASE_SIZE[0], height / _BASE_SIZE[1])
    # A hundredth of a pixel more, because matplotlib rounds the product down.
    figure = new_figure((width + 0.01) / dots_per_inch, (height + 0.01) / dots_per_inch)
    axes = figure.subplots()
    for index, label in enumerate(curves.schedules):
        _draw_curve(axes, curves, label, index)
    _draw_guides(axes, curves)
    _draw_axes(axes, curves)
    ncols = 1 if len(curves.schedules) < 4 else 2
    figure.legend(loc="outside lower center", ncols=ncols, frameon=False, handlelength=5)
    save_figure(figure, file, dots_per_inch)


def _draw_curve(axes: Any, curves: ScheduleCurves, label: str, index: int) -> None:
    points = curves.points(label, 2000)
    color, dashes, mark = _STYLES[index % len(_STYLES)]
    axes.plot(
        *zip(*points, strict=True),
        color=color,
        linestyle=dashes,
        linewidth=2,
        marker=mark,
        markersize=7,
        markerfacecolor="white",
        # The marks of each curve are at other steps, so that both curves can be seen where one covers the other.
        markevery=_spread(len(points), index, len(curves.schedules)),
        label=plain(label),
        clip_on=False,
        zorder=3,
    )


def _spread(points: int, index: int, curves: int) -> list[int]:
    """Return the points at which curve ``index`` of ``curves`` has its marks: evenly spaced, shifted by curve."""
    distance = points / _MARKS_PER_CURVE
    positions = ((number + (index + 0.5) / curves) * distance for number in range(_MARKS_PER_CURVE))
    return sorted({min(points - 1, int(position)) for position in positions})


def _draw_guides(axes: Any, curves: ScheduleCurves) -> None:
    across, up = axes.get_xaxis_transform(), axes.get_yaxis_transform()
    line, previous = 0, -math.inf
    for step in curves.warmups:
        # A label that would touch the previous one is written a line higher.
        line = line + 1 if step - previous < 0.15 * curves.total_steps else 0
        previous = step
        axes.axvline(step, color="0.45", linestyle=(0, (1, 2)), linewidth=1.2, zorder=1)
        text = f"warmup ends: {step}"
        axes.text(step, 1.01 + 0.03 * line, text, transform=across, ha="center", va="bottom", fontsize=8)
    for floor in curves.floors:
        axes.axhline(floor, color="0.45", linestyle=(0, (1, 2)), linewidth=1.2, zorder=1)
        axes.text(1.005, floor, f"floor {floor:.3g}", transform=up, ha="left", va="center", fontsize=8)


def _draw_axes(axes: Any, curves: ScheduleCurves) -> None:
    axes.set_xlim(0, curves.total_steps)
    axes.set_ylim(0, 1.03 * curves.top)
    axes.set_ylabel(curves.y_label)
    axes.set_xlabel("optimizer step")
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:.3g}")
    if per_epoch := curves.steps_per_epoch:
        to_and_from = (lambda step: step / per_epoch, lambda epoch: epoch * per_epoch)
        epochs = axes.secondary_xaxis("bottom", functions=to_and_from)
        epochs.spines["bottom"].set_position(("outward", 42))
        epochs.set_xlabel("epoch")
