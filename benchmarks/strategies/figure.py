"""The figure of the benchmark of strategies: what stopping by itself gives up, and saves, against a whole sweep."""

from collections.abc import Mapping
from pathlib import Path
from statistics import mean
from typing import Any

from benchmarks.strategies.strategies import BUDGETS
from benchmarks.strategies.table import STOPPED, Comparison, Ways, best_sweep, compare
from benchmarks.strategies.tasks import TASKS

# The ways that are shown, of which the last one is ours: in words, with a colour of Okabe & Ito and a mark.
SHOWN: Mapping[str, tuple[str, str, str]] = {
    STOPPED: ("linear schedule, stock early stopping", "#d55e00", "s"),
    "constant_stop": ("constant rate, EarlyStopping", "#56b4e9", "D"),
    "cooldown": ("PlateauCooldown", "#000000", "o"),
}
_DISTANCE = 0.24  # of two ways of one task, where two tasks are 1 apart

Found = dict[str, dict[str, Comparison]]
"""The comparisons with the best of the sweep, by task and by way."""


def draw(everything: Mapping[str, Ways], path: Path) -> None:
    """Draw for each task the distance of `SHOWN` from the best of the sweep; the title has the count in words."""
    from matplotlib.figure import Figure

    found = comparisons(everything)
    figure = Figure(figsize=(9, 2.0 + 0.75 * len(found)), layout="constrained")
    axes = figure.subplots()
    for place, of_task in enumerate(reversed(found.values())):
        for index, name in enumerate(SHOWN):
            if name in of_task:
                _draw_one(axes, place + (1 - index) * _DISTANCE, name, of_task[name])
    axes.axvline(0, color="0.3", linewidth=1)
    axes.set_yticks(range(len(found)), [_task_label(task) for task in reversed(found)])
    axes.set_ylim(-0.6, len(found) - 0.4)
    axes.set_xlabel("test points above the best of a sweep over 1 to 16 epochs (bars: one standard error)")
    axes.grid(axis="x", alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.text(1.0, 1.0, "of the\nsweep's steps", transform=axes.transAxes, ha="left", va="bottom", fontsize=9)
    _legend(figure)
    figure.suptitle(sentence(found), fontsize=10)
    figure.savefig(path, dpi=110)


def comparisons(everything: Mapping[str, Ways]) -> Found:
    """Compare each of `SHOWN` with the best of the sweep, on the tasks that have a whole sweep."""
    found: Found = {}
    for task, ways in everything.items():
        if sweep := best_sweep(ways):
            each = {name: compare(ways[name], ways[sweep]) for name in SHOWN if name in ways}
            found[task] = {name: comparison for name, comparison in each.items() if comparison is not None}
    return found


def sentence(found: Found) -> str:
    """Return what the figure says: on how many tasks each way holds up against the sweep, and at what cost."""
    lines = [f"As good as the best of {len(BUDGETS)} numbers of epochs, within a standard error:"]
    for name in reversed(SHOWN):
        over = [of_task[name] for of_task in found.values() if name in of_task]
        if over:
            share = mean(each.share for each in over)
            count = sum(each.holds_up for each in over)
            lines.append(f"{SHOWN[name][0]}: on {count} of {len(over)} tasks, at {share:.2f} of the steps")
    return "\n".join(lines)


def _draw_one(axes: Any, height: float, name: str, comparison: Comparison) -> None:
    _, color, mark = SHOWN[name]
    axes.errorbar(comparison.gain, height, xerr=comparison.error, fmt=mark, color=color, capsize=3, markersize=6)
    share = f"{comparison.share:.2f}"
    axes.text(1.01, height, share, transform=axes.get_yaxis_transform(), va="center", fontsize=9)


def _task_label(task: str) -> str:
    row = TASKS[task]
    return f"{task}\n{row.metric}, to {row.role} on"


def _legend(figure: Any) -> None:
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], color=color, marker=mark, linestyle="none", label=words)
        for words, color, mark in SHOWN.values()
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), frameon=False)
