"""The figure of a search: the trials with the best value so far, and a slice for each parameter."""

import math
import os
import re
from collections.abc import Iterator
from typing import Any

from hf_strategies.report.figure_file import checked_path, new_figure, plain, save_figure
from hf_strategies.search.result import Result, Trial
from hf_strategies.search.space import Row, Space

__all__ = ["best_so_far", "draw_search"]

_COLUMNS = 3
_MOST_SLICES = 9
_POINT: dict[str, Any] = {"s": 26, "color": "#0072b2", "linewidths": 0, "zorder": 3}
_BEST: dict[str, Any] = {"marker": "*", "s": 170, "color": "#d55e00", "zorder": 4}
_PRUNED: dict[str, Any] = {"marker": "x", "s": 26, "color": "0.45", "zorder": 2}


def best_so_far(result: Result) -> list[tuple[int, float]]:
    """Return the number of each completed trial with the best objective up to it.

    >>> trials = [Trial(number, "completed", value, {}, {}, "") for number, value in ((0, 0.5), (1, 0.7), (2, 0.6))]
    >>> best_so_far(Result("accuracy", "max", trials))
    [(0, 0.5), (1, 0.7), (2, 0.7)]
    """
    choose = max if result.mode == "max" else min
    line: list[tuple[int, float]] = []
    for trial in result.trials:
        if trial.state == "completed" and trial.value is not None:
            line.append((trial.number, choose(trial.value, line[-1][1]) if line else trial.value))
    return line


def draw_search(result: Result, space: Space, path: str | os.PathLike[str]) -> None:
    """Draw a search into a PNG, SVG or PDF file.

    The upper panel has the objective over the trials, with the best value so far; a pruned trial has the value at
    which it was pruned. Below, each parameter that was searched has a panel, those of the highest importance first,
    at most nine.

    Raises `StrategyError` for a path that cannot be written to, and when matplotlib is not installed.
    """
    file = checked_path(path)
    rows = _rows_to_draw(result, space)
    lines = math.ceil(len(rows) / _COLUMNS)
    figure = new_figure(9, 3.2 + 2.5 * lines)
    grid = figure.add_gridspec(1 + lines, _COLUMNS, height_ratios=[1.3, *[1.0] * lines])
    _draw_history(figure.add_subplot(grid[0, :]), result)
    for index, row in enumerate(rows):
        _draw_slice(figure.add_subplot(grid[1 + index // _COLUMNS, index % _COLUMNS]), result, row)
    for axes in figure.axes:
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
    save_figure(figure, file)


def _rows_to_draw(result: Result, space: Space) -> list[Row]:
    searched = {name for trial in result.trials for name in trial.parameters}
    rows = [row for row in space.all_rows() if row.name in searched]
    return sorted(rows, key=lambda row: -result.importances.get(row.name, 0.0))[:_MOST_SLICES]


def _draw_history(axes: Any, result: Result) -> None:
    pruned = [trial for trial in result.trials if trial.state == "pruned" and trial.value is not None]
    if pruned:
        axes.scatter([each.number for each in pruned], [each.value for each in pruned], **_PRUNED, label="pruned")
    completed = result.ranked
    axes.scatter([each.number for each in completed], [each.value for each in completed], **_POINT, label="completed")
    numbers, values = zip(*best_so_far(result), strict=True)
    axes.step(numbers, values, where="post", color="#d55e00", label="best so far")
    axes.scatter([result.best.number], [result.best.value], **_BEST, label=f"best: trial {result.best.number}")
    axes.set_xlabel("trial")
    axes.set_ylabel(plain(f"{result.objective}, of the kept weights"))
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.legend(loc="best", fontsize=8)


def _draw_slice(axes: Any, result: Result, row: Row) -> None:
    texts = [str(option.value) for option in row.options]
    for trial, value in _values(result, row):
        place = texts.index(str(value)) if texts else value
        style = _PRUNED if trial.state == "pruned" else _BEST if trial.number == result.best.number else _POINT
        axes.scatter([place], [trial.value], **style)
    if texts:
        axes.set_xticks(range(len(texts)), [_broken(text, 12) for text in texts], fontsize=6)
        axes.set_xlim(-0.5, len(texts) - 0.5)
    else:
        axes.set_xscale("log" if row.log else "linear")
        axes.set_xlim(*_with_margin(row))
    share = result.importances.get(row.name)
    title = _broken(row.name, 30)
    axes.set_title(title if share is None else f"{title}\nimportance {share:.0%}", fontsize=9)


def _values(result: Result, row: Row) -> Iterator[tuple[Trial, Any]]:
    for trial in result.trials:
        if row.name in trial.parameters and trial.value is not None:
            yield trial, trial.parameters[row.name]


def _with_margin(row: Row) -> tuple[float, float]:
    """Return the bounds of a row with some room at both sides, so that a point at a bound is seen whole."""
    if row.log:
        room = (row.high / row.low) ** 0.05
        return row.low / room, row.high * room
    room = 0.05 * (row.high - row.low)
    return row.low - room, row.high + room


def _broken(text: str, width: int) -> str:
    """Break a name after underscores and dots into lines of about ``width`` characters, as a figure shows it."""
    lines = [""]
    for part in re.findall(r"[^_.]*[_.]?", text):
        if lines[-1] and len(lines[-1]) + len(part) > width:
            lines.append("")
        lines[-1] += part
    return "\n".join(map(plain, lines))
