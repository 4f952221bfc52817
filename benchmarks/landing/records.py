"""The records of the landing study, as the analysis reads them: cells, curves and the rows of the test sets."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from hf_strategies.errors import StrategyError

__all__ = ["RAW", "Cell", "Point", "Rows", "metric_of", "read_cells"]

RAW = "raw"
"""The name of the curve of the weights themselves; all others are averages."""


class Point(NamedTuple):
    """One evaluation of some weights: metrics in points, the loss, and the index of the weights among the rows."""

    step: int
    validation: float
    loss: float
    test: float
    id: int


@dataclass(frozen=True)
class Cell:
    """All trainings of a task, a seed and a peak rate."""

    record: Mapping[str, Any]

    @property
    def task(self) -> str:
        """The name of the task."""
        return str(self.record["task"])

    @property
    def data(self) -> str:
        """The name of the data set; tasks that share one are left out together."""
        return str(self.record["data"])

    @property
    def key(self) -> str:
        """The name of its arrays of rows."""
        return f"{self.task}/{self.record['seed']}/{self.record['lr']:g}"

    @property
    def averages(self) -> list[str]:
        """The names of the averages of the hold."""
        return list(self.record["averages"])

    def curve(self, name: str) -> list[Point]:
        """Return the evaluations of the hold: of the weights themselves, or of an average."""
        return self._curves.setdefault(name, _points(self.record["hold"], name))

    def decay(self, name: str) -> list[Point]:
        """Return the evaluations of the linear or the cosine decay."""
        return _points(self.record[name], RAW)

    def cooldown(self, start: int, length: float) -> tuple[list[Point], bool]:
        """Return the evaluations of the cooldown from ``start``, and whether it is there.

        If it is not, it is the one from the nearest start.
        """
        starts = [branch for branch in self.record["cooled"] if branch["length"] == length]
        branch = min(starts, key=lambda each: (abs(each["start"] - start), each["start"]))
        return _points(branch["evaluations"], RAW), branch["start"] == start

    @cached_property
    def _curves(self) -> dict[str, list[Point]]:
        return {}


class Rows:
    """What each row of a test set adds to the metric, for every evaluation."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._files = [np.load(path) for path in paths]
        self._places = {name: file for file in self._files for name in file.files}
        self._loaded: dict[str, np.ndarray] = {}

    def statistics(self, cell: Cell, weights: int) -> np.ndarray:
        """Return an array (statistics, rows) whose weighted sums give the metric, see `metric_of`."""
        count = int(cell.record["test"])
        if cell.record["metric"] == "accuracy":
            return np.unpackbits(self._array(cell.key)[weights], count=count)[None].astype(np.float64)
        if cell.record["metric"] == "micro_f1":
            return np.stack([self._array(f"{cell.key}/{part}")[weights] for part in ("tp", "fp", "fn")]).astype(float)
        labels = self._array(f"{cell.task}/{cell.record['seed']}/labels")
        return np.stack([_ranks(self._array(cell.key)[weights]), _ranks(labels)])

    def _array(self, name: str) -> np.ndarray:
        if name not in self._loaded:
            self._loaded[name] = self._places[name][name]
        return self._loaded[name]


def metric_of(name: str, statistics: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Return the metric in points for each draw of the rows; ``counts`` (draws, rows) is how often each was drawn.

    The rank correlation is that of the ranks in the whole test set, which a draw leaves as they are.
    """
    sums = counts @ statistics.T
    if name == "accuracy":
        return 100 * sums[:, 0] / counts.sum(1)
    if name == "micro_f1":
        tp, fp, fn = sums.T
        return 200 * tp / np.maximum(2 * tp + fp + fn, 1)
    centred = statistics - statistics.mean(1, keepdims=True)
    x, y = centred
    n = counts.sum(1)
    mx, my = (counts @ centred.T / n[:, None]).T
    sxx, syy, sxy = (counts @ np.stack([x * x, y * y, x * y]).T / n[:, None]).T
    return 100 * (sxy - mx * my) / np.sqrt(np.maximum((sxx - mx * mx) * (syy - my * my), 1e-12))


def read_cells(path: Path) -> list[Cell]:
    """Return the cells of a file, sorted; raise `StrategyError` if there are none."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    cells = [Cell(json.loads(line)) for line in lines]
    if not cells:
        raise StrategyError(f"{path} has no records: run `python -m benchmarks.landing prepare` and `run` first")
    return sorted(cells, key=lambda cell: (cell.task, cell.record["seed"], cell.record["lr"]))


def _points(evaluations: Sequence[Mapping[str, Any]], name: str) -> list[Point]:
    return [Point(each["step"], *each[name]) for each in evaluations]


def _ranks(values: np.ndarray) -> np.ndarray:
    from scipy.stats import rankdata

    return np.asarray(rankdata(values), dtype=np.float64)
