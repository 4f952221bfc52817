"""The report of a run as data: what `strategy_report.json` holds, for programs that read it."""

import math
from collections.abc import Mapping
from typing import Any

from hf_strategies.errors import visible
from hf_strategies.report.run.advice import advice
from hf_strategies.report.run.logged_run import LoggedRun
from hf_strategies.report.run.runs_figure import run_marks
from hf_strategies.report.run.settings import recorded_settings
from hf_strategies.values import is_number

__all__ = ["REPORT_NAME", "SCHEMA_VERSION", "report_document", "settings_of"]

REPORT_NAME = "strategy_report.json"
"""The name of the file in the output folder of a run."""

SCHEMA_VERSION = 1
"""Grows when a key changes its meaning or goes; new keys leave it as it is."""


def report_document(
    run: LoggedRun, *, schedule: str | None = None, weights: str | None = None, figure: str | None = None
) -> dict[str, Any]:
    """Return the content of `strategy_report.json`, in which a number that is not finite is null.

    ``schedule`` names the schedule that the run was asked for, ``weights`` tells which weights are the result, and
    ``figure`` is the name of the figure beside the file; each is null where it is not known.

    >>> log = [{"eval_loss": 0.5, "step": 3, "epoch": 1.0}]
    >>> document = report_document(LoggedRun.of_state("a", {"log_history": log, "max_steps": 3}))
    >>> document["monitor"], document["metrics"]["eval_loss"]["best"]
    ('eval_loss', {'step': 3, 'epoch': 1.0, 'value': 0.5})
    """
    return {
        "schema_version": SCHEMA_VERSION,
        "steps": run.steps,
        "planned_steps": run.past.planned_steps,
        "epochs": _number(run.epochs),
        "seconds": _number(run.seconds),
        "flops": _number(run.flops),
        "schedule": schedule,
        "warmup_steps": run.warmup_steps,
        "peak_learning_rate": _number(run.peak),
        "monitor": run.monitor,
        "mode": run.mode,
        "metrics": {name: _metric(run, name) for name in run.metrics},
        "end": {"kind": run.end.word, "reason": run.end.sentence, "step": run.stop_step},
        "weights": weights,
        "events": [{"step": mark.step, "event": mark.text} for mark in run_marks(run)],
        "settings": recorded_settings(run),
        "advice": advice(run),
        "figure": figure,
    }


def settings_of(document: object) -> dict[str, str] | None:
    """Return the settings of a run from the content of its `strategy_report.json`; None if it is no such report.

    >>> settings_of({"schema_version": 1, "settings": {"seed": "7"}}), settings_of([])
    ({'seed': '7'}, None)
    """
    if not isinstance(document, Mapping) or document.get("schema_version") != SCHEMA_VERSION:
        return None
    settings = document.get("settings")
    if not isinstance(settings, Mapping):
        return None
    return {visible(name): str(value) for name, value in settings.items()}


def _metric(run: LoggedRun, name: str) -> dict[str, Any]:
    """Return a metric's direction, its best and last finite evaluation, and how many evaluations there are."""
    found, best = run.evaluations(name), run.best(name)
    finite = [each for each in found if math.isfinite(each.value)]
    last = finite[-1] if finite else None
    return {
        "mode": run.direction(name),
        "best": {"step": best.step, "epoch": best.epoch, "value": best.value} if best else None,
        "last": {"step": last.step, "epoch": last.epoch, "value": last.value} if last else None,
        "evaluations": len(found),
    }


def _number(value: float | None) -> float | None:
    return value if value is not None and is_number(value) and math.isfinite(value) else None
