"""The options of an arm, chosen on the other data sets: what is reported for a task has never seen its data."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.landing.arms import ARMS, BASELINE, Arm, Outcome
from benchmarks.landing.records import Cell

__all__ = ["HeldOut", "by_validation", "default", "held_out", "outcomes"]

Outcomes = dict[str, Outcome]
"""What an arm ends with in each cell, by the cell's key."""


@dataclass(frozen=True)
class HeldOut:
    """An arm with the options that were chosen for each data set on all others, and what it ends with."""

    arm: Arm
    chosen: Mapping[str, Mapping[str, Any]]
    outcomes: Outcomes


def outcomes(cells: Iterable[Cell], arm: Arm, options: Mapping[str, Any]) -> Outcomes:
    """Return what an arm ends with in each cell."""
    return {cell.key: arm.outcome(cell, **options) for cell in cells}


def default(cells: Sequence[Cell], arm: Arm) -> Outcomes:
    """Return what an arm ends with where nothing is chosen."""
    return outcomes(cells, arm, arm.variants()[0])


def held_out(cells: Sequence[Cell], arm: Arm) -> HeldOut:
    """Choose the options for each data set by the mean difference from the baseline on the tasks of all others."""
    base = default(cells, ARMS[BASELINE])
    variants = [(options, outcomes(cells, arm, options)) for options in arm.variants()]
    gains = [
        task_means(cells, {key: found[key].kept.test - base[key].kept.test for key in found}) for _, found in variants
    ]
    chosen, result = {}, {}
    for data in sorted({cell.data for cell in cells}):
        others = sorted({cell.task for cell in cells if cell.data != data})
        best = max(range(len(variants)), key=lambda k: float(np.mean([gains[k][task] for task in others])))
        chosen[data] = variants[best][0]
        result |= {cell.key: variants[best][1][cell.key] for cell in cells if cell.data == data}
    return HeldOut(arm, chosen, result)


def gain(found: Outcomes, base: Outcomes) -> dict[str, float]:
    """Return the difference of the test metric in each cell."""
    return {key: found[key].kept.test - base[key].kept.test for key in found}


def task_means(cells: Iterable[Cell], values: Mapping[str, float]) -> dict[str, float]:
    """Return the mean over the cells of each task."""
    tasks: dict[str, list[float]] = {}
    for cell in cells:
        tasks.setdefault(cell.task, []).append(values[cell.key])
    return {task: float(np.mean(each)) for task, each in tasks.items()}


def by_validation(cells: Iterable[Cell], found: Outcomes) -> dict[str, Cell]:
    """Return for each task and seed the cell of the rate whose kept weights measured best."""
    best: dict[str, Cell] = {}
    for cell in cells:
        name = f"{cell.task}/{cell.record['seed']}"
        if name not in best or found[cell.key].kept.validation > found[best[name].key].kept.validation:
            best[name] = cell
    return best
