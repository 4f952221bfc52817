"""Which weights a training has ended with, read from the records of the callbacks in its state."""

from collections.abc import Mapping
from typing import Any

from hf_strategies.stopping.history import training_log
from hf_strategies.stopping.results import EARLY_STOPPING, PLATEAU_COOLDOWN, WEIGHT_AVERAGING, records_of

__all__ = ["final_weights"]


def final_weights(state: Mapping[str, Any], loads_best: bool = False) -> str | None:
    """Return in a few words which weights a training has ended with; None if no step was made.

    ``state`` is the content of `trainer_state.json`. ``loads_best`` is the Trainer's ``load_best_model_at_end``: its
    best checkpoint is the result then, unless one of our callbacks has restored other weights.

    >>> final_weights({"log_history": [{"loss": 0.5, "step": 3}]})
    'the last ones, of step 3'
    """
    last = max((int(entry["step"]) for entry in training_log(state)), default=0)
    if not last:
        return None
    records = state.get("stateful_callbacks") or {}
    average = records.get(WEIGHT_AVERAGING)
    cooldowns = list(records_of(PLATEAU_COOLDOWN, records).values())
    if any(record.get("kept") == "end" for record in cooldowns):
        return f"those of the end of the cooldown, of step {last}"
    for record in (*cooldowns, *records_of(EARLY_STOPPING, records).values()):
        if record.get("restored_best_weights"):
            step, is_average = record["best_step"], record.get("measured_on") or record.get("kept") == "average"
            averaged = f": {_words(average, step)}" if average and is_average else ""
            return f"the best ones, of step {step}{_value(record)}{averaged}"
    if average and average["is_final"]:
        return _words(average, last)
    if loads_best and state.get("best_global_step"):
        return f"those of the best checkpoint, of step {state['best_global_step']}"
    return f"the last ones, of step {last}"


def _value(record: Mapping[str, Any]) -> str:
    value = record.get("best_value")
    return "" if value is None else f" ({record['monitor']} {value:.6g})"


def _words(average: Mapping[str, Any], step: int) -> str:
    return f"the average {average['average']} of the weights of steps {average['start'] + 1} to {step}"
