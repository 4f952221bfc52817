"""The steps that a figure of a run marks, and where their labels go, so that marks at one place can be told apart."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from hf_strategies.report.figure_file import plain
from hf_strategies.report.run.recorded_run import RecordedRun

__all__ = ["Label", "Mark", "draw_labels", "draw_lines", "labels", "marks"]

_NEAR = 0.006  # of the x axis: the lines of two marks would touch
_SIZE = 8.0  # of the letters, in points
_LETTER = 0.52 * _SIZE  # mean width of a letter
_ROW = 1.45 * _SIZE


@dataclass(frozen=True)
class Mark:
    """A step to mark: its colour, its dashes in points (on, off, ...; empty for a line), and what is there."""

    step: int
    color: str
    dashes: tuple[float, ...]
    text: str


def marks(report: RecordedRun) -> list[Mark]:
    """Return the marks of a run, by step: end of the warmup, plateaus, start of the cooldown, best, stop."""
    return sorted(_marks(report), key=lambda mark: mark.step)


def _marks(report: RecordedRun) -> Iterator[Mark]:
    record, cooldown = report.record or {}, report.cooldown or {}
    if report.planned and 0 < report.planned.warmup_steps < report.last_step:
        yield Mark(report.planned.warmup_steps, "0.35", (1, 2), "warmup ends")
    for number, step in enumerate(cooldown.get("drops", ()), start=1):
        yield Mark(step, "#d55e00", (1, 3), f"plateau {number}, rate lowered")
    if cooldown.get("phase", "hold") != "hold":
        # A cooldown of no step is that of PlateauCooldown(average=..., cooldown=0).
        starts = ", cooldown starts" if cooldown["cooldown_end"] > cooldown["cooldown_start"] else ""
        yield Mark(cooldown["cooldown_start"], "#d55e00", (2, 2), f"{cooldown['trigger']}{starts}")
    if record.get("best_step") is not None:
        yield Mark(record["best_step"], "#009e73", (6, 2), report.kept_word)
    if record.get("stop_step") is not None:
        yield Mark(record["stop_step"], "black", (6, 2, 1, 2), "stop")


def draw_lines(axes: Any, found: Sequence[Mark], last: int) -> None:
    """Draw a vertical line for each mark; lines at one place, or so near that they touch, take turns."""
    for group in _near(found, last):
        for index, mark in enumerate(group):
            axes.axvline(mark.step, color=mark.color, linestyle=_dashes(mark, index, len(group)), linewidth=1.6)


def _near(found: Sequence[Mark], last: int) -> list[list[Mark]]:
    """Return the marks in groups whose lines would touch."""
    groups: list[list[Mark]] = []
    for mark in found:
        if groups and mark.step - groups[-1][-1].step <= _NEAR * last:
            groups[-1].append(mark)
        else:
            groups.append([mark])
    return groups


def _dashes(mark: Mark, index: int, count: int) -> Any:
    """Return matplotlib's dashes of a mark that is one of ``count`` at its place."""
    if count == 1:
        return (0.0, mark.dashes) if mark.dashes else "-"
    turn = 5.0
    return ((count - index) * turn, (turn, (count - 1) * turn))


@dataclass(frozen=True)
class Label:
    """A label above a panel: its text and colour, the step that it belongs to, and its place.

    ``row`` counts from below. ``center`` is the middle of the text: 0 at the left end of the panel, 1 at the right.
    """

    text: str
    color: str
    step: int
    row: int
    center: float


def labels(found: Sequence[Mark], low: float, high: float, width: float) -> list[Label]:
    """Return the labels of the marks, of which none covers another; marks at one step share a label.

    The panel shows the steps from ``low`` to ``high`` and is ``width`` points wide.

    >>> [(each.text, each.row) for each in labels([Mark(9, "b", (), "best"), Mark(9, "r", (), "stop")], 0, 10, 500)]
    [('best; stop: step 9', 0)]
    """
    placed: list[Label] = []
    for step, group in groupby(found, key=lambda mark: mark.step):
        here = list(group)
        text = f"{'; '.join(mark.text for mark in here)}: step {step}"
        color = here[0].color if len(here) == 1 else "black"
        half = min(0.5, 0.5 * len(text) * _LETTER / width)
        center = min(max((step - low) / (high - low), half), 1.0 - half)
        row = 0
        while any(each.row == row and _touch(each, text, center, width) for each in placed):
            row += 1
        placed.append(Label(text, color, step, row, center))
    return placed


def _touch(label: Label, text: str, center: float, width: float) -> bool:
    room = 0.5 * (len(label.text) + len(text)) + 2
    return abs(label.center - center) < room * _LETTER / width


def draw_labels(axes: Any, found: Sequence[Mark], width: float) -> None:
    """Write the labels of the marks above a panel that is ``width`` points wide, each with a line to its step."""
    low, high = axes.get_xlim()
    # From the top row down, because the text of a lower row covers the line of a higher one where they cross.
    for label in sorted(labels(found, low, high, width), key=lambda label: -label.row):
        across = (label.step - low) / (high - low)
        axes.annotate(
            plain(label.text),
            xy=(across, 1.0),
            xycoords="axes fraction",
            xytext=((label.center - across) * width, 5 + label.row * _ROW),
            textcoords="offset points",
            ha="center",
            va="bottom",
            fontsize=_SIZE,
            color=label.color,
            arrowprops={"arrowstyle": "-", "color": label.color, "linewidth": 0.8, "shrinkA": 0, "shrinkB": 0},
            bbox={"boxstyle": "square,pad=0.1", "facecolor": "white", "edgecolor": "none"},
        )
