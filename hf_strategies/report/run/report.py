"""A finished run, read from the Trainer's state: its evaluations, why it ended, its best one, and tables of these."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from hf_strategies.errors import visible
from hf_strategies.report.run.rates import PlannedRates, RateCurve, planned_rates, rate_curves
from hf_strategies.schedules import Schedule
from hf_strategies.stopping.history import training_log
from hf_strategies.stopping.results import EARLY_STOPPING, PLATEAU_COOLDOWN, records_of

__all__ = ["RunReport", "comparison_table", "evaluation_table", "print_run"]


_NOT_METRICS = ("_runtime", "_per_second", "_preparation_time")


@dataclass(frozen=True)
class RunReport:
    """The log of a run with the record of the callback that ended it, `EarlyStopping` or `PlateauCooldown`.

    ``log_history`` and ``record`` are as in `trainer_state.json`, and ``record_key`` is the record's name there.
    ``cooldown`` is the record of `PlateauCooldown`, whether or not that callback ended the run. ``planned`` are the
    learning rates by the records of the schedule and of the callbacks, where those are complete.
    """

    log_history: Sequence[Mapping[str, Any]]
    record: Mapping[str, Any] | None
    cooldown: Mapping[str, Any] | None = None
    planned: PlannedRates | None = None
    record_key: str | None = None

    @classmethod
    def of_state(cls, state: Mapping[str, Any], asked: tuple[Schedule, float] | None = None) -> "RunReport":
        """Read the content of `trainer_state.json`; of its log, only the part of the training (see `training_log`).

        ``asked`` is the schedule that the run was asked for, with its peak, where that is known; the state has only
        the schedules of this package.

        >>> RunReport.of_state({"log_history": [{"eval_loss": 0.5, "step": 3}]}).evaluations
        [{'eval_loss': 0.5, 'step': 3}]
        """
        key, stopping = _record_of(EARLY_STOPPING, state)
        other, cooldown = _record_of(PLATEAU_COOLDOWN, state)
        planned = planned_rates(state, asked)
        if stopping and (stopping["stopped"] or not cooldown):
            return cls(training_log(state), stopping, cooldown, planned, key)
        return cls(training_log(state), cooldown, cooldown, planned, other)

    @property
    def monitor(self) -> str:
        """The metric that was watched; the validation loss if none was."""
        return str(self.record["monitor"]) if self.record else "eval_loss"

    @cached_property
    def evaluations(self) -> list[dict[str, Any]]:
        """The metrics of the evaluations, without timings; of several at one step, the first."""
        by_step: dict[int, dict[str, Any]] = {}
        for entry in self.log_history:
            if any(key.startswith("eval_") for key in entry):
                metrics = {key: value for key, value in entry.items() if not key.endswith(_NOT_METRICS)}
                by_step.setdefault(int(entry["step"]), metrics)
        return list(by_step.values())

    @property
    def learning_rates(self) -> list[tuple[int, float]]:
        """The logged learning rates with their steps."""
        return [(entry["step"], entry["learning_rate"]) for entry in self.log_history if "learning_rate" in entry]

    @cached_property
    def rate_curves(self) -> list[RateCurve]:
        """The learning rate at every step, as far as the records and the log tell it."""
        return rate_curves(self.learning_rates, self.planned, self.last_step)

    @property
    def ending(self) -> str:
        """Why training ended, in one sentence."""
        if self.record and self.record["stopped"]:
            return str(self.record["reason"])
        if not self.trained:
            return "Not trained."
        if self.cooldown:
            return str(self.cooldown["reason"])
        end = f"Trained to the end of the budget, at step {self.last_step}."
        return f"{end} {self.record['reason']}" if self.record else end

    @property
    def trained(self) -> bool:
        """Whether any step was taken; the log of a run that only evaluates has step 0."""
        return self.last_step > 0

    @property
    def kept_word(self) -> str:
        """The name of the evaluation whose weights were kept: "best", or "kept" at the end of a cooldown."""
        record = self.record or {}
        ends, best = record.get("cooldown_end"), record.get("best_step")
        return "kept" if ends is not None and best is not None and best >= ends else "best"

    @cached_property
    def last_step(self) -> int:
        """The number of optimizer steps of the run."""
        return max((int(entry["step"]) for entry in self.log_history), default=0)


def _record_of(callback: str, state: Mapping[str, Any]) -> tuple[str | None, Mapping[str, Any] | None]:
    return next(iter(records_of(callback, state.get("stateful_callbacks")).items()), (None, None))


def evaluation_table(report: RunReport) -> Table:
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
    report: RunReport,
    test: Mapping[str, Mapping[str, float]],
    console: Console | None = None,
    *,
    weights: str | None = None,
) -> None:
    """Print the evaluations, the reason why training ended, the best step, the final weights and the test metrics."""
    console = console or Console(width=None if sys.stdout.isatty() else 100)
    if report.evaluations:
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
