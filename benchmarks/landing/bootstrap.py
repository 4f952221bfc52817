"""Intervals of paired differences, over seeds and over the rows of the test sets."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.landing.choose import Outcomes
from benchmarks.landing.records import Cell, Rows, metric_of

__all__ = ["Difference", "Draws"]


@dataclass(frozen=True)
class Difference:
    """A mean difference in points, and its 95 % interval."""

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.mean:+.2f} [{self.low:+.2f}, {self.high:+.2f}]"

    @classmethod
    def of(cls, mean: float, draws: np.ndarray) -> "Difference":
        """Return the mean with the 2.5 % and 97.5 % quantiles of the draws."""
        low, high = np.quantile(draws, [0.025, 0.975])
        return cls(mean, float(low), float(high))


class Draws:
    """The draws of a hierarchical bootstrap, the same for all arms: seeds of a task, then rows of each test set.

    Both rates of a seed see the same rows, and their difference is the mean over them.
    """

    def __init__(self, cells: Sequence[Cell], rows: Rows, draws: int = 1000, seed: int = 0) -> None:
        self._rows, self._draws = rows, draws
        self._seeds: dict[str, dict[int, list[Cell]]] = {}
        for cell in cells:
            self._seeds.setdefault(cell.task, {}).setdefault(cell.record["seed"], []).append(cell)
        self._generator = np.random.default_rng(seed)
        self._counts: dict[tuple[str, int], np.ndarray] = {}
        self._picks = {task: self._pick(len(seeds)) for task, seeds in self._seeds.items()}

    def _pick(self, seeds: int) -> np.ndarray:
        """Return how often each seed is drawn, (draws, seeds), as shares."""
        return self._generator.multinomial(seeds, [1 / seeds] * seeds, size=self._draws) / seeds

    def _drawn(self, cell: Cell) -> np.ndarray:
        place = (cell.task, cell.record["seed"])
        if place not in self._counts:
            n = int(cell.record["test"])
            drawn = self._generator.multinomial(n, [1 / n] * n, size=self._draws)
            self._counts[place] = drawn.astype(np.float32)
        return self._counts[place]

    def differences(self, arm: Outcomes, base: Outcomes) -> tuple[Difference, Mapping[str, Difference]]:
        """Return the difference of two arms, its mean over the tasks, and that of each task."""
        means, draws = {}, {}
        for task, seeds in self._seeds.items():
            each = [
                [arm[cell.key].kept.test - base[cell.key].kept.test for cell in cells] for cells in seeds.values()
            ]
            means[task] = float(np.mean([np.mean(values) for values in each]))
            drawn = np.stack([self._seed_draws(cells, arm, base) for cells in seeds.values()], axis=1)
            draws[task] = (drawn * self._picks[task]).sum(1)
        overall = Difference.of(float(np.mean(list(means.values()))), np.mean(list(draws.values()), axis=0))
        return overall, {task: Difference.of(means[task], draws[task]) for task in means}

    def _seed_draws(self, cells: Sequence[Cell], arm: Outcomes, base: Outcomes) -> np.ndarray:
        parts = []
        for cell in cells:
            name, counts = cell.record["metric"], self._drawn(cell)
            ours, theirs = (
                metric_of(name, self._rows.statistics(cell, outcomes[cell.key].kept.id), counts)
                for outcomes in (arm, base)
            )
            parts.append(ours - theirs)
        return np.mean(parts, axis=0)
