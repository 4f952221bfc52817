"""A replay with everything that its tables and figures show; as CSV and JSON for other programs."""

import csv
import io
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from hf_strategies.stopping.replay.runs import Outcome, PastRun
from hf_strategies.stopping.replay.settings import Setting, varying
from hf_strategies.stopping.replay.summary import Suggestion, Summary

__all__ = ["ReplayReport", "as_csv", "as_json"]


@dataclass(frozen=True)
class ReplayReport:
    """The runs, the settings, the outcome of each setting on each run, and the means over the runs.

    ``outcomes`` has the outcomes of the first run under each setting, then those of the second, as `replay` returns
    them; ``summaries`` is in the order of the settings. ``secondary`` is a second metric to show, if any.
    """

    runs: Sequence[PastRun]
    settings: Sequence[Setting]
    outcomes: Sequence[Outcome]
    summaries: Sequence[Summary]
    suggestion: Suggestion | None
    secondary: str | None = None

    def of_run(self, run: PastRun) -> list[Outcome]:
        """The outcomes of one run, in the order of the settings."""
        return [outcome for outcome in self.outcomes if outcome.run is run]

    @cached_property
    def monitor(self) -> str:
        """The metric that is watched."""
        return self.settings[0].rule.monitor

    @cached_property
    def better(self) -> str:
        """The direction in which the metric improves, lower or higher."""
        return "lower" if self.settings[0].rule.watched.mode == "min" else "higher"

    @cached_property
    def names(self) -> list[str]:
        """The names of the values in which the settings differ."""
        return varying(self.settings)

    @cached_property
    def shared(self) -> dict[str, str]:
        """The values that all settings have in common."""
        return {name: value for name, value in self.settings[0].values.items() if name not in self.names}

    @cached_property
    def labels(self) -> list[str]:
        """A short name of each setting: its value where only one differs, else its number from 1."""
        if len(self.names) == 1 and self.names != ["stop_when"]:
            return [setting.values[self.names[0]] for setting in self.settings]
        return [f"#{index}" for index in range(1, len(self.settings) + 1)]

    @cached_property
    def label_name(self) -> str:
        """What the labels show: the name of a value, or the number of the setting."""
        return "number" if self.labels[0].startswith("#") else self.names[0]


def as_csv(report: ReplayReport) -> str:
    """Return a header and a line for each run and setting; unknown values are empty."""
    rows = [_outcome_row(report, outcome) for outcome in report.outcomes]
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().rstrip("\n")


def as_json(report: ReplayReport) -> str:
    """Return the outcomes, the means over runs, and the suggestion; unknown values are null."""
    suggestion = report.suggestion
    content = {
        "monitor": report.monitor,
        "mode": report.settings[0].rule.watched.mode,
        "runs": [
            {"run": run.name, "steps": run.steps, "planned_steps": run.planned_steps, "complete": run.complete}
            for run in report.runs
        ],
        "outcomes": [_outcome_row(report, outcome) for outcome in report.outcomes],
        "means": [_means_row(report, summary) for summary in report.summaries],
        "suggestion": suggestion
        and {
            **suggestion.summary.setting.values,
            "tolerance": suggestion.tolerance,
            "within": suggestion.within,
        },
    }
    return json.dumps(content, indent=2, allow_nan=False)


def _outcome_row(report: ReplayReport, outcome: Outcome) -> dict[str, Any]:
    stop, kept, best = outcome.stop, outcome.kept, outcome.best_of_run
    secondary = {f"kept_{report.secondary}": _finite(outcome.secondary)} if report.secondary else {}
    return {
        "run": outcome.run.name,
        **outcome.setting.values,
        "ended": "stopped" if stop else "ran on" if outcome.ran_on else "no stop",
        "stop_step": stop and stop.step,
        "stop_epoch": stop and stop.epoch,
        "reason": outcome.judgement.why,
        "best_step": kept and kept.step,
        "kept": kept and kept.value,
        **secondary,
        "best_of_run": best and best.value,
        "regret": outcome.regret,
        "given_up": outcome.given_up,
        "saved": outcome.saved,
    }


def _means_row(report: ReplayReport, summary: Summary) -> dict[str, Any]:
    secondary = {f"kept_{report.secondary}": _finite(summary.secondary)} if report.secondary else {}
    return {
        **summary.setting.values,
        "runs": summary.runs,
        "stopped": summary.stopped,
        "ran_on": summary.ran_on,
        "kept": summary.kept,
        **secondary,
        "given_up": summary.given_up,
        "given_up_standard_error": summary.given_up_error,
        "saved": summary.saved,
    }


def _finite(value: float | None) -> float | None:
    """Return None for NaN and infinities, which JSON does not have."""
    return value if value is not None and math.isfinite(value) else None
