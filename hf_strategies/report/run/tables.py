"""Tables of a run for the console."""

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

from hf_strategies.report.run.report import RunReport

__all__ = ["comparison_table", "evaluation_table", "print_run"]


def evaluation_table(report: RunReport) -> Table:
    """Return the table of the evaluations; the last column marks the best, the stop and the cooldown."""
    record, cooldown = report.record or {}, report.cooldown or {"phase": "hold"}
    table = Table(title="Evaluations on the validation set")
    rows = report.evaluations
    metrics = [key for key in (rows[0] if rows else ()) if key.startswith("eval_")]
    for column in ("step", "epoch", *(key.removeprefix("eval_") for key in metrics)):
        table.add_column(column, justify="right")
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
    table = Table(title=title)
    metrics = list(dict.fromkeys(key for values in rows.values() for key in values))
    table.add_column("")
    for metric in metrics:
        table.add_column(metric, justify="right")
    for name, values in rows.items():
        table.add_row(name, *(_number(values.get(metric)) for metric in metrics))
    return table


def print_run(report: RunReport, test: Mapping[str, Mapping[str, float]], console: Console | None = None) -> None:
    """Print the evaluations, the reason why training ended, the best step and the test metrics."""
    console = console or Console(width=100)
    if report.evaluations:
        console.print(evaluation_table(report))
    if report.log_history:
        console.print(report.ending, style="bold", highlight=False)
    if report.record and report.record["best_step"] is not None:
        best, restored = report.record, report.record["restored_best_weights"]
        console.print(
            f"{report.kept_word.capitalize()}: {best['monitor']} = {best['best_value']:.4f}"
            f" at step {best['best_step']} (epoch {best['best_epoch']:.2f}),"
            f" {'restored' if restored else 'not restored'}.",
            highlight=False,
        )
    if test:
        console.print(comparison_table("Test set", test))


def _number(value: Any) -> str:
    return "-" if value is None else f"{value:.4f}"
