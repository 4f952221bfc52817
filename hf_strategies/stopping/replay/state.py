"""The check of a `trainer_state.json` before it is replayed, with an error of one line for a damaged file."""

import math
from collections.abc import Mapping
from typing import Any

from hf_strategies.errors import StrategyError, short
from hf_strategies.stopping.history import RESOURCES
from hf_strategies.values import is_number

__all__ = ["check_state"]

# Beyond it a float cannot hold each whole number.
_MOST_STEPS = 2**53
_REMEDY = "give a trainer_state.json as the Trainer writes it"


def check_state(name: str, state: Any) -> list[Mapping[str, Any]]:
    """Return the log in the content of a `trainer_state.json`; raise `StrategyError` for what a Trainer never writes.

    Checked are the steps, which are whole numbers that never fall, the epochs and training losses, and the records
    of what training had used up. Metrics may be of any type, because a run may log others than the one replayed; a
    run that diverged has metrics and losses that are not finite. ``name`` is that of the run.
    """
    log = state.get("log_history") if isinstance(state, Mapping) else None
    if not isinstance(log, list) or not all(isinstance(entry, Mapping) for entry in log):
        raise StrategyError(f"{name} has no log_history: {_REMEDY}")
    for key in ("global_step", "max_steps"):
        _step(name, state, key)
    _check_log(name, log)
    _check_usage(name, state.get("stateful_callbacks"))
    return log


def _check_log(name: str, log: list[Mapping[str, Any]]) -> None:
    last = 0
    for entry in log:
        step = _step(name, entry, "step")
        if step < last:
            raise StrategyError(f"{name} has step={step} after step={last}, and steps never fall: {_REMEDY}")
        last = step
        for key in ("epoch", "loss"):
            value = entry.get(key)
            if value is not None and not (is_number(value) and (key == "loss" or 0 <= value < math.inf)):
                raise _odd(name, key, value, f"at step {step}, no {'number' if key == 'loss' else 'count of epochs'}")


def _check_usage(name: str, callbacks: object) -> None:
    """Check the records of the callbacks, of which a replay reads what training had used up by each step."""
    if callbacks is None:
        return
    if not isinstance(callbacks, Mapping):
        raise _odd(name, "stateful_callbacks", callbacks, "no mapping")
    for record in callbacks.values():
        usage = record.get("usage") if isinstance(record, Mapping) else None
        if usage is None:
            continue
        if not isinstance(usage, Mapping) or not all(_is_usage(*item) for item in usage.items()):
            raise _odd(name, "usage", usage, "no record of what training had used up")


def _is_usage(resource: object, used: object) -> bool:
    return resource in RESOURCES and isinstance(used, Mapping) and all(map(is_number, used.values()))


def _step(name: str, mapping: Mapping[str, Any], key: str) -> int:
    """Return a number of steps, 0 where there is none; raise `StrategyError` for anything else."""
    steps = mapping.get(key, 0)
    if isinstance(steps, bool) or not isinstance(steps, int) or not 0 <= steps < _MOST_STEPS:
        raise _odd(name, key, steps, "no number of steps")
    return steps


def _odd(name: str, key: str, value: object, what: str) -> StrategyError:
    digits = isinstance(value, int) and abs(value) >= _MOST_STEPS
    shown = "a number of too many digits" if digits else short(repr(value))
    return StrategyError(f"{name} has {key}={shown}, {what}: {_REMEDY}")
