"""A replay as CSV and as JSON, for other programs."""

import csv
import io
import json
import math
from typing import Any

from hf_strategies.report.replay.report import ReplayReport
from hf_strategies.stopping.replay.runs import Outcome
from hf_strategies.stopping.replay.summary import Summary

__all__ = ["as_csv", "as_json"]


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
