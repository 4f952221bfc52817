"""Whether the content of a `trainer_state.json` is a state that training can go on from."""

from collections.abc import Iterable
from dataclasses import fields
from typing import Any

from transformers import TrainerState

__all__ = ["fault_of_state"]

_FLAGS = {field.name for field in fields(TrainerState) if isinstance(field.default, bool)}
_NUMBERS = {field.name for field in fields(TrainerState) if isinstance(field.default, int | float)} - _FLAGS
_KNOWN = {field.name for field in fields(TrainerState)}


def fault_of_state(content: Any) -> str | None:
    """Return what is wrong with a state, as the end of "its trainer_state.json ..."; None if nothing is.

    Entries may be missing: the Trainer has a default for each.

    >>> fault_of_state({"global_step": 4, "log_history": [{"loss": 1.0, "step": 4}]}) is None
    True
    >>> fault_of_state({"global_step": "4", "log_history": []})
    'is no state of a Trainer'
    >>> fault_of_state({"global_step": 4, "log_history": [], "mood": "good"})
    "has 'mood', which this version of transformers does not know"
    """
    if not isinstance(content, dict):
        return "is no JSON"
    if not (type(content.get("global_step")) is int and _is_log(content.get("log_history"))):
        return "is no state of a Trainer"
    if unknown := sorted(content.keys() - _KNOWN):
        return f"has {unknown[0]!r}, which this version of transformers does not know"
    wrong = (
        *(name for name in sorted(_NUMBERS & content.keys()) if not _is_number(content[name])),
        *(name for name in ("train_batch_size",) if not _is_number(content.get(name, 1))),
        *(name for name in ("stateful_callbacks",) if not _are_callbacks(content.get(name))),
    )
    return f"has no {wrong[0]} that can be used" if wrong else None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_log(entries: Any) -> bool:
    return isinstance(entries, list) and all(
        isinstance(entry, dict) and _is_number(entry.get("step", 0)) for entry in entries
    )


def _are_callbacks(states: Any) -> bool:
    """Whether these are states of callbacks, with that of the Trainer's own control, which it writes again."""
    if states is None:
        return True
    if not isinstance(states, dict) or "TrainerControl" not in states:
        return False
    return all(_is_state(state) for saved in states.values() for state in _as_list(saved))


def _as_list(saved: Any) -> Iterable[Any]:
    """Return the states of the callbacks of one class: several are saved as a list."""
    return saved if isinstance(saved, list) else [saved]


def _is_state(state: Any) -> bool:
    return isinstance(state, dict) and all(isinstance(state.get(name, {}), dict) for name in ("args", "attributes"))
