"""The part of a past run's log that is of training."""

from collections.abc import Mapping
from typing import Any

__all__ = ["last_step", "training_log"]

_ENDING = ("EarlyStopping(", "PlateauCooldown(")  # how the records of callbacks begin that end training


def training_log(state: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the entries of the log in a Trainer's state that are of training.

    Not those of an evaluation after it: such as of the final model, whose best weights may be restored. They follow
    an entry that has "train_runtime" and are at no later step; what is at a later one is of training that was
    resumed. Nor those of a step after `last_step`.

    >>> log = [{"eval_loss": 0.5, "step": 4}, {"train_runtime": 1.0, "step": 6}, {"eval_loss": 0.5, "step": 6}]
    >>> training_log({"log_history": log}) == log[:2]
    True
    """
    found, ended, last = [], -1, last_step(state)
    for entry in state["log_history"]:
        step = int(entry.get("step") or 0)
        if ended < step <= last:
            found.append(entry)
        if "train_runtime" in entry:
            ended = step
    return found


def last_step(state: Mapping[str, Any]) -> int:
    """Return the step at which training ended.

    That is not the one step more that a run makes which had ended and is resumed: the Trainer's loop looks only
    after it whether to stop. A callback that ended training has recorded where.

    >>> last_step({"log_history": [], "global_step": 6})
    6
    """
    made = max([state.get("global_step") or 0, *(entry.get("step") or 0 for entry in state["log_history"])])
    records = (state.get("stateful_callbacks") or {}).items()
    ends = [_end(record) for key, record in records if key.startswith(_ENDING) and isinstance(record, Mapping)]
    return int(made) - (made - 1 in ends)


def _end(record: Mapping[str, Any]) -> Any:
    """Where the callback ended training; None if it did not."""
    if record.get("stopped"):
        return record.get("stop_step")
    return record.get("cooldown_end") if record.get("phase") == "over" else None
