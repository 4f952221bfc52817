"""The settings of a run as far as its state tells them, for a comparison of runs."""

from collections.abc import Mapping, Sequence
from typing import Any

from hf_strategies.report.run.ending import stock_patience
from hf_strategies.report.run.logged_run import LoggedRun
from hf_strategies.schedules.resume import SavedPlan
from hf_strategies.stopping.results import (
    EARLY_STOPPING,
    PLATEAU_COOLDOWN,
    REDUCE_ON_PLATEAU,
    WEIGHT_AVERAGING,
    records_of,
)

__all__ = ["differing_settings", "recorded_settings"]


def differing_settings(runs: Sequence[LoggedRun]) -> dict[str, list[str]]:
    """Return the settings that differ between runs, each with its value in each run; "-" where it is not known."""
    found = [recorded_settings(run) for run in runs]
    names = dict.fromkeys(name for settings in found for name in settings)
    rows = {name: [settings.get(name, "-") for settings in found] for name in names}
    return {name: values for name, values in rows.items() if len(set(values)) > 1}


def recorded_settings(run: LoggedRun) -> dict[str, str]:
    """Return what is known of the settings of a run, by name: what its state tells, and what it wrote beside it."""
    state, callbacks = run.state, run.state.get("stateful_callbacks") or {}
    found: dict[str, Any] = {"peak rate": None if run.peak is None else f"{run.peak:.3g}"}
    found["planned steps"] = run.past.planned_steps
    found |= {"epochs planned": state.get("num_train_epochs"), "batch size": state.get("train_batch_size")}
    found["evaluated every"] = state.get("eval_steps") or None
    found |= _schedule_settings(callbacks)
    for name in (EARLY_STOPPING, PLATEAU_COOLDOWN, REDUCE_ON_PLATEAU):
        found[name] = "; ".join(str(each.get("settings")) for each in records_of(name, callbacks).values())
    found[WEIGHT_AVERAGING] = "; ".join(
        str(e.get("average")) for e in records_of(WEIGHT_AVERAGING, callbacks).values()
    )
    found["EarlyStoppingCallback"] = stock_patience(callbacks)
    trial = state.get("trial_params")
    found |= trial if isinstance(trial, Mapping) else {}
    known = {name: str(value) for name, value in found.items() if value not in (None, "")}
    return {**known, **run.settings}


def _schedule_settings(callbacks: Mapping[str, Any]) -> dict[str, Any]:
    """Return the schedule and its parameters from the record of the scheduler, as far as it can be read."""
    try:
        plan = SavedPlan.of_json(callbacks["hf_strategies_schedule"]["plan"])
    except (KeyError, TypeError, ValueError):  # StrategyError is a ValueError
        return {}
    return {"schedule": plan.name, "warmup": plan.warmup_steps, **plan.parameters}
