"""Access from a callback to its Trainer: the progress bar, the experiment trackers and the model card."""

import sys
from collections.abc import Mapping
from types import FrameType
from typing import Any, Protocol, cast
from weakref import ref

from torch import nn
from transformers import Trainer, TrainerCallback, TrainerState

from hf_strategies.errors import visible
from hf_strategies.stopping.results import records_of
from hf_strategies.trainer.callbacks.card import put_on_card
from hf_strategies.trainer.callbacks.tracking import send, send_event

__all__ = ["TrainerContext", "find_trainer", "record_key", "records", "take_record"]


def records(state: TrainerState) -> dict[str, Any]:
    """Return the dict of the callbacks' records in the Trainer's state, which `trainer_state.json` includes.

    `hf_strategies.stopping.results` lists what is in them.
    """
    return cast("dict[str, Any]", state.stateful_callbacks)


class Recording(Protocol):
    """A callback with a record in the Trainer's state, of which a Trainer may have several."""

    record_name: str
    """The key of the first such callback's record, which is the same for all callbacks of the class."""

    @property
    def record_settings(self) -> str:
        """The settings as text, which the record has as ``settings``."""


def record_key(callback: Recording, trainer: Trainer | None) -> str:
    """Return the key of a callback's record: the name of its class, with a number from the second callback on."""
    place = next((place for place, each in enumerate(_same_class(callback, trainer)) if each is callback), 0)
    return f"{callback.record_name}_{place + 1}" if place else callback.record_name


def take_record(state: TrainerState, callback: Recording, trainer: Trainer | None) -> dict[str, Any] | None:
    """Remove the record of a callback from the state and return it; None if there is none.

    The records of the other callbacks of its class stay. A record belongs to the callback with its settings, also if
    the callbacks of a resumed run come in another order. Without one of the same settings, the result is the last
    record that belongs to no other callback. The callback then writes a new record.
    """
    all_records = records(state)
    saved: dict[str, Any] = {key: all_records.pop(key) for key in records_of(callback.record_name, all_records)}
    for other in _same_class(callback, trainer):
        key = record_key(other, trainer)
        if other is not callback and (own := _of_settings(saved, other.record_settings, key)):
            all_records[key] = saved.pop(own)
    if state.global_step == 0 or not saved:  # at the start a record is one of an earlier training
        return None
    mine = _of_settings(saved, callback.record_settings, record_key(callback, trainer))
    return dict(saved[mine or list(saved)[-1]])


def _of_settings(saved: Mapping[str, Any], settings: str, likely: str) -> str | None:
    """Return the key of the record with the ``settings``; that is ``likely`` if several have them."""
    keys = [key for key, record in saved.items() if record.get("settings") == settings]
    return likely if likely in keys else next(iter(keys), None)


def _same_class(callback: Recording, trainer: Trainer | None) -> list[Recording]:
    callbacks: list[Any] = list(trainer.callback_handler.callbacks) if trainer else []
    return [each for each in callbacks if getattr(each, "record_name", None) == callback.record_name]


def find_trainer(callback: TrainerCallback) -> Trainer | None:
    """Return the Trainer that is calling an event of ``callback``, or None if no Trainer is.

    The Trainer does not pass itself to its callbacks, so that this searches the calling frames for it.
    """
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        caller = frame.f_locals.get("self")
        if isinstance(caller, Trainer) and any(each is callback for each in caller.callback_handler.callbacks):
            return caller
        frame = frame.f_back
    return None


class TrainerContext:
    """The Trainer that calls ``callback``, if there is one; create this in one of the callback's events.

    In a loop that calls the events itself there is no Trainer, and the methods do nothing.
    """

    def __init__(self, callback: TrainerCallback) -> None:
        trainer = find_trainer(callback)
        self._trainer = ref(trainer) if trainer else None

    @property
    def trainer(self) -> Trainer | None:
        """The Trainer; None if there is none, or if it no longer exists."""
        return self._trainer() if self._trainer else None

    def event_of(self, event: dict[str, Any]) -> dict[str, Any]:
        """Return an event's keywords with the module that is trained as ``model``.

        SetFit passes a `SetFitModel` to callbacks, which is no module, and trains the module that its Trainer has.
        """
        trainer = self.trainer
        if isinstance(event.get("model"), nn.Module) or trainer is None:
            return event
        return {**event, "model": trainer.model}

    @property
    def averaging(self) -> Any:
        """The `WeightAveraging` among the Trainer's callbacks; None if there is none."""
        return next((each for each in self._callbacks() if hasattr(each, "begin_averaging")), None)

    def measured(self, result: dict[str, Any]) -> dict[str, Any]:
        """Return the record ``result``; it and its reason say so if the metrics are those of averaged weights."""
        averaging = self.averaging
        if averaging is None:
            return result
        reason = {"reason": f"{result['reason']} Measured on {averaging.measured_on}."} if "reason" in result else {}
        return result | reason | {"measured_on": averaging.measured_on}

    def show(self, text: str) -> None:
        """Show a short text behind the progress bar."""
        for callback in self._callbacks():
            bar: Any = getattr(callback, "training_bar", None)
            if hasattr(bar, "set_postfix_str"):
                bar.set_postfix_str(visible(text))

    def track(self, numbers: Mapping[str, float | None], texts: Mapping[str, str]) -> None:
        """Send the numbers (without None) and the texts to the trackers of `report_to`, with the prefix ``eval_``."""
        if self.trainer:
            named = {f"eval_{name}": value for name, value in numbers.items()}
            send(self.trainer, named, {f"eval_{name}": text for name, text in texts.items()})

    def tell_event(self, event: str, value: float, text: str) -> None:
        """Send an event of the present step to the trackers of `report_to`; see `send_event`."""
        if self.trainer:
            send_event(self.trainer, event, value, text)

    def put_on_card(self, key: str, line: str) -> None:
        """Add a line to each model card that the Trainer writes from now on; see `put_on_card`."""
        if self.trainer:
            put_on_card(self.trainer, key, line)

    def _callbacks(self) -> list[TrainerCallback]:
        return list(self.trainer.callback_handler.callbacks) if self.trainer else []
