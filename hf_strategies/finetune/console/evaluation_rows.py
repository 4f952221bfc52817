"""The rows of the table that grows while a recipe trains: which columns fit into the width, and their cells."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hf_strategies.errors import visible
from hf_strategies.report.run.looks import shortened

__all__ = ["EvaluationRows", "Progress"]

_WIDEST_NAME = 12
_NUMBER = 8
_NOTE = 20  # there is room for as much, such as "no improvement 12/20"; what is longer ends where the terminal does
_GAP = 2


@dataclass(frozen=True)
class Progress:
    """What a row tells of an evaluation: where it was, at which rate, the values, and a note such as "best".

    ``train_loss`` is the last training loss that was logged. ``values`` are the metrics by their names in the log.
    """

    step: int
    epoch: float
    rate: float | None
    train_loss: float | None
    values: Mapping[str, float]
    note: str = ""


class EvaluationRows:
    """A table whose columns are settled before its first row, so that each row can be written when it is known.

    The columns are the step, the epoch, the learning rate, the training loss, the metrics and a note. Where the
    ``width`` has not room for all, the step, the first metric and the note stay longest.

    >>> rows = EvaluationRows(["eval_loss", "eval_f1"], 80)
    >>> for line in (rows.head, rows.row(Progress(100, 1.0, 5e-5, 0.7, {"eval_loss": 0.5, "eval_f1": 0.75}, "best"))):
    ...     print(line)
      step   epoch      rate     train      loss        f1
       100    1.00  5.00e-05    0.7000    0.5000    0.7500  best
    """

    def __init__(self, metrics: Sequence[str], width: int) -> None:
        self.width = width
        self._columns = _fitting(metrics, width)

    @property
    def head(self) -> str:
        """The names of the columns, as a line."""
        cells = [_name(column).rjust(_width(column)) for column in self._columns]
        return self._line(cells, "")

    def row(self, progress: Progress) -> str:
        """Return an evaluation as a line."""
        first = {
            "step": str(progress.step),
            "epoch": f"{progress.epoch:.2f}",
            "rate": "-" if progress.rate is None else f"{progress.rate:.2e}",
            "train": _number(progress.train_loss),
        }
        cells = [first[name] if name in first else _number(progress.values.get(name)) for name in self._columns]
        widths = [_width(column) for column in self._columns]
        return self._line([cell.rjust(width) for cell, width in zip(cells, widths, strict=True)], progress.note)

    def _line(self, cells: Sequence[str], note: str) -> str:
        line = (" " * _GAP).join([*cells, visible(note)])
        return (line if len(line) <= self.width else f"{line[: self.width - 1]}…").rstrip()


def _fitting(metrics: Sequence[str], width: int) -> list[str]:
    """Return the columns for which there is room beside the note, in their order in the table.

    The step and the first metric are always there. The second metric comes before the rate, the epoch and the
    training loss, and these before further metrics.
    """
    wanted = [*metrics[1:2], "rate", "epoch", "train", *metrics[2:]]
    found = ["step", *metrics[:1]]
    left = width - _NOTE - sum(_width(name) + _GAP for name in found)
    for name in wanted:
        left -= _width(name) + _GAP
        if left < 0:
            break
        found.append(name)
    return [name for name in ("step", "epoch", "rate", "train", *metrics) if name in found]


def _width(column: str) -> int:
    return {"step": 6, "epoch": 6}.get(column, max(_NUMBER, len(_name(column))))


def _name(column: str) -> str:
    return shortened(visible(column.removeprefix("eval_")), _WIDEST_NAME)


def _number(value: float | None) -> str:
    """Return a number in eight characters at most."""
    if value is None:
        return "-"
    if not math.isfinite(value):
        return str(value)
    return f"{value:.4f}" if abs(value) < 100 else f"{value:.2e}"
