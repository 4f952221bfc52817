"""The figure of the landing study: the arms with their intervals, and the curves of two settings."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.landing.arms import BASELINE
from benchmarks.landing.records import RAW, Cell

if TYPE_CHECKING:
    from benchmarks.landing.table import Result

__all__ = ["draw"]

SHOWN = "ema(over='1ep')"
LONG = 0.5

# They differ in greyscale, too, and for people with any colour vision.
BLUE, ORANGE = "#0072b2", "#d55e00"


def draw(cells: Sequence[Cell], found: Sequence["Result"], path: Path) -> None:
    """Draw the arms beside the curves of the setting where the default cooldown is worst, and of the median one."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    # A page shows about 900 pixels, and wider figures get smaller letters.
    places = [["arms", "arms"], ["median", "worst"]]
    figure, axes = plt.subplot_mosaic(places, figsize=(9, 10), height_ratios=[1.5, 1], layout="constrained")
    _arms(axes["arms"], [each for each in found if each.name != BASELINE])
    of_default = next(each for each in found if each.name == "cooldown, as it is").tasks
    order = sorted(of_default, key=lambda task: of_default[task].mean)
    for axis, task, what in (
        (axes["median"], order[len(order) // 2], "the median setting"),
        (axes["worst"], order[0], "the worst"),
    ):
        _curves(axis, [cell for cell in cells if cell.task == task])
        axis.set_title(f"{task}: {what} of the default cooldown", fontsize=10)
    figure.savefig(path, dpi=90)
    plt.close(figure)


def _arms(axis: Any, found: Sequence["Result"]) -> None:
    for place, each in enumerate(reversed(found)):
        dots = [difference.mean for difference in each.tasks.values()]
        axis.plot(dots, [place] * len(dots), ".", color="0.7", zorder=1)
        low, high = each.difference.mean - each.difference.low, each.difference.high - each.difference.mean
        color, marker = (BLUE, "o") if each.name.endswith("as it is") else (ORANGE, "s")
        axis.errorbar(each.difference.mean, place, xerr=[[low], [high]], fmt=marker, color=color, capsize=3)
    axis.axvline(0, color="0.4", linewidth=0.8)
    axis.set_yticks(range(len(found)), [each.name for each in reversed(found)])
    axis.set_xlabel(f"points over {BASELINE}")
    axis.set_title(
        "circles: as it is; squares: options chosen on other data sets; grey dots: settings; bars: 95 %", fontsize=10
    )
    axis.grid(axis="x", alpha=0.3)


def _curves(axis: Any, cells: Sequence[Cell]) -> None:
    epochs = cells[0].record["steps_per_epoch"]
    for name, style, label in (
        (RAW, {"color": ORANGE, "linestyle": "--"}, "held rate"),
        (SHOWN, {"color": BLUE}, "its average over an epoch"),
    ):
        curves = [cell.curve(name) for cell in cells]
        steps = np.array([point.step for point in curves[0]]) / epochs
        axis.plot(steps, np.mean([[point.test for point in curve] for curve in curves], axis=0), **style, label=label)
    starts, levels = _ends(cells)
    axis.plot(starts, levels, "D", color="black", markersize=4, label="end of a cooldown from there")
    axis.set_xlabel("epochs at the held rate")
    axis.set_ylabel("test metric, mean of seeds and rates")
    axis.grid(alpha=0.3)
    axis.legend(fontsize=9)


def _ends(cells: Sequence[Cell]) -> tuple[list[float], list[float]]:
    """Return the starts of cooldowns in epochs, and the level that they end at.

    Not every cell has a cooldown from every start: the level is the held rate's mean there plus the mean gain of
    those that have one.
    """
    gains: dict[int, list[float]] = {}
    held: dict[int, list[float]] = {}
    for cell in cells:
        tests = {point.step: point.test for point in cell.curve(RAW)}
        for step, test in tests.items():
            held.setdefault(step, []).append(test)
        for branch in cell.record["cooled"]:
            if branch["length"] == LONG:
                end = branch["evaluations"][-1][RAW][2]
                gains.setdefault(branch["start"], []).append(end - tests[branch["start"]])
    starts = sorted(gains)
    epoch = cells[0].record["steps_per_epoch"]
    levels = [float(np.mean(held[start]) + np.mean(gains[start])) for start in starts]
    return [start / epoch for start in starts], levels
