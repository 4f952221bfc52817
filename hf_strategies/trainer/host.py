"""What a callback of the Trainer can do beyond its events: progress bar, trackers, model card."""

import logging
import sys
from collections.abc import Mapping
from types import FrameType
from typing import Any, cast
from weakref import ref

from transformers import Trainer, TrainerCallback, TrainerState
from transformers.integrations import integration_utils

from hf_strategies.trainer.model_card import put_on_card

__all__ = ["Host", "find_trainer", "records", "say"]

# Its lines go out at warning level: that is what a script shows which configures no logging.
logger = logging.getLogger(__name__)

_TAKE_TEXT = {"tensorboard", "wandb"}


def say(state: TrainerState, line: str) -> None:
    """Say one line on the console, in the main process."""
    if state.is_world_process_zero:
        logger.warning(line)


def records(state: TrainerState) -> dict[str, Any]:
    """What callbacks have put down in the state, and so in `trainer_state.json`."""
    return cast("dict[str, Any]", state.stateful_callbacks)


def find_trainer(callback: TrainerCallback) -> Trainer | None:
    """Return the Trainer that is calling an event of ``callback``, None when none is.

    The Trainer gives its callbacks no way to each other nor to itself; it stands in the calling frames.
    """
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        found = frame.f_locals.get("self")
        if isinstance(found, Trainer) and any(each is callback for each in found.callback_handler.callbacks):
            return found
        frame = frame.f_back
    return None


class Host:
    """The Trainer that a callback works in, as far as it can be found; to be made in one of the callback's events.

    Without one (a loop that calls the events by itself) nothing is shown, and nothing fails.
    """

    def __init__(self, callback: TrainerCallback) -> None:
        trainer = find_trainer(callback)
        self._trainer = ref(trainer) if trainer else None

    @property
    def trainer(self) -> Trainer | None:
        """The Trainer."""
        return self._trainer() if self._trainer else None

    def show(self, words: str) -> None:
        """Show a few words behind the progress bar."""
        for callback in self._callbacks():
            bar: Any = getattr(callback, "training_bar", None)
            if hasattr(bar, "set_postfix_str"):
                bar.set_postfix_str(words)

    def track(self, numbers: Mapping[str, float | None], text: Mapping[str, str]) -> None:
        """Send numbers to every tracker in use (`report_to`), and texts to those that take them."""
        known: dict[str, float | str] = {
            f"eval_{name}": float(value) for name, value in numbers.items() if value is not None
        }
        for callback in self._callbacks():
            name = _tracker(callback)
            said = {f"eval_{key}": value for key, value in text.items()} if name in _TAKE_TEXT else {}
            if name and self.trainer:
                at = self.trainer
                callback.on_log(at.args, at.state, at.control, model=at.model, logs=known | said)

    def put_on_card(self, key: str, line: str) -> None:
        """Have a line in each model card that the Trainer writes from now on."""
        if self.trainer:
            put_on_card(self.trainer, key, line)

    def _callbacks(self) -> list[TrainerCallback]:
        return list(self.trainer.callback_handler.callbacks) if self.trainer else []


def _tracker(callback: TrainerCallback) -> str | None:
    kinds = integration_utils.INTEGRATION_TO_CALLBACK.items()
    return next((name for name, kind in kinds if isinstance(callback, kind)), None)
