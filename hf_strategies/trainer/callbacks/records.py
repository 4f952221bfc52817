"""The records of the callbacks of a resumed run, as the checkpoint has them."""

from typing import Any

from transformers import Trainer, TrainerCallback, TrainerState

from hf_strategies.trainer.callbacks.context import records

__all__ = ["take_records"]


def take_records(
    state: TrainerState, key: str, callback: TrainerCallback, trainer: Trainer | None
) -> dict[str, Any] | None:
    """Remove the record of a callback from the state and return it; None if there is none.

    ``key`` is the record's key, which begins with the name of the callback's class and contains its settings. If the
    state has no record under it, the result is the record of other settings, which no other callback of ``trainer``
    has. The callback then writes a new record.
    """
    kind = type(callback)
    others = trainer.callback_handler.callbacks if trainer else ()
    in_use = {getattr(each, "record_key", "") for each in others if isinstance(each, kind) and each is not callback}
    begins = key.partition("(")[0] + "("
    found = {name: records(state)[name] for name in list(records(state)) if name.startswith(begins)}
    old = [name for name in found if name not in in_use]
    for name in old:
        del records(state)[name]
    if state.global_step == 0:  # a record of an earlier training
        return None
    own = found.get(key)
    return own if own is not None else found[old[-1]] if old else None
