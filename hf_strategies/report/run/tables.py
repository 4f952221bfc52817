"""Tables of a run on the console: its evaluations, why it ended, its best one, and the metrics of its test set."""

import sys
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from hf_strategies.errors import visible
from hf_strategies.report.run.recorded_run import RecordedRun

__all__ = ["comparison_table", "evaluation_table", "print_run"]


def evaluation_table(report: RecordedRun) -> Table:
    """Return the table of the evaluations; the last column marks the best, the stop and the cooldown."""
    record, cooldown = report.record or {}, report.cooldown or {"phase": "hold"}
    table = Table(title="Evaluations on the validation set")
    rows = report.evaluations
    metrics = [key for key in (rows[0] if rows else ()) if key.startswith("eval_")]
    for column in ("step", "epoch", *(key.removeprefix("eval_") for key in metrics)):
        table.add_column(_text(column), justify="right")
    table.add_column("")
    for row in rows:
        labels = {"best_step": report.kept_word, "stop_step": "stop"}
        marks = [label for key, label in labels.items() if row["step"] == record.get(key)]
        if cooldown["phase"] != "hold" and row["step"] >= cooldown["cooldown_start"]:
            marks.append("cooldown starts" if row["step"] == cooldown["cooldown_start"] else "cooldown")
        values = (_number(row.get(key)) for key in metrics)
        table.add_row(str(row["step"]), f"{row.get('epoch', 0):.2f}", *values, ", ".join(marks))
    return table


def comparison_table(title: str, rows: Mapping[str, Mapping[str, float]]) -> Table:
    """Return a table of metrics with a line for each name in ``rows``."""
    table = Table(title=_text(title))
    metrics = list(dict.fromkeys(key for values in rows.values() for key in values))
    table.add_column("")
    for metric in metrics:
        table.add_column(_text(metric), justify="right")
    for name, values in rows.items():
        table.add_row(_text(name), *(_number(values.get(metric)) for metric in metrics))
    return table


def print_run(
    report: RecordedRun,
    test: Mapping[str, Mapping[str, float]],
    console: Console | None = None,
    *,
    weights: str | None = None,
    has_table: bool = False,
) -> None:
    """Print the evaluations, the reason why training ended, the best step, the final weights and the test metrics.

    With ``has_table`` the evaluations are left out, because they were printed while training.
    """
    console = console or Console(width=None if sys.stdout.isatty() else 100)
    if report.evaluations and not has_table:
        console.print(evaluation_table(report))
    if report.log_history:
        console.print(_text(report.ending), style="bold")
    if report.record and report.record["best_step"] is not None:
        best = report.record
        line = f"{report.kept_word.capitalize()}: {best['monitor']} = {best['best_value']:.4f}"
        console.print(_text(f"{line} at step {best['best_step']} (epoch {best['best_epoch']:.2f})."))
    if weights:
        console.print(_text(f"Final weights: {weights}."))
    if test:
        console.print(comparison_table("Test set", test))


def _text(line: str) -> Text:
    """Return a line as text without markup: in a bare str, rich takes brackets such as ``[b]`` for markup."""
    return Text(visible(line))


def _number(value: Any) -> str:
    return "-" if value is None else f"{value:.4f}"
