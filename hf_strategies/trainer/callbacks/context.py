"""What a callback of the Trainer can do beyond its events: progress bar, trackers, model card."""

import sys
from collections.abc import Mapping
from pathlib import Path
from types import FrameType
from typing import Any, cast
from weakref import ref

from transformers import Trainer, TrainerCallback, TrainerState
from transformers.integrations import integration_utils

__all__ = ["TrainerContext", "find_trainer", "put_on_card", "records"]


_TAKE_TEXT = {"tensorboard", "wandb"}


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


class TrainerContext:
    """The Trainer that calls a callback, if it can be found; to be made in one of the callback's events.

    Without a Trainer, in a loop that calls the events by itself, nothing is shown, and nothing fails.
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
        """Add a line to each model card that the Trainer writes from now on; see `put_on_card`."""
        if self.trainer:
            put_on_card(self.trainer, key, line)

    def _callbacks(self) -> list[TrainerCallback]:
        return list(self.trainer.callback_handler.callbacks) if self.trainer else []


def _tracker(callback: TrainerCallback) -> str | None:
    kinds = integration_utils.INTEGRATION_TO_CALLBACK.items()
    return next((name for name, kind in kinds if isinstance(callback, kind)), None)


def put_on_card(trainer: Trainer, key: str, line: str) -> None:
    """Add a line to the section on the strategy that each model card of the Trainer ends with from now on.

    A second line under the same ``key`` takes the place of the first; the same text under two keys is written once.
    The lines are those of one training: the next one begins with none.
    """
    if not isinstance(trainer.create_model_card, _StrategyCard):
        trainer.create_model_card = _StrategyCard(trainer)  # type: ignore[method-assign]
    trainer.create_model_card.put(key, line)


class _StrategyCard:
    """Takes the place of one Trainer's `create_model_card`: the card ends with a section on the strategy.

    The Trainer writes its card from scratch, and uploads it, in `push_to_hub` and `create_model_card`, and calls no
    event in which a callback could add to it.
    """

    def __init__(self, trainer: Trainer) -> None:
        self._trainer, self._write = trainer, trainer.create_model_card
        self._state: TrainerState | None = None
        self._lines: dict[str, str] = {}

    def put(self, key: str, line: str) -> None:
        """Add a line for the training that the Trainer is in, or has just done."""
        self._lines = {**self._current_lines(), key: line}
        self._state = self._trainer.state

    def __call__(self, *args: Any, **kwargs: Any) -> None:
        """Write the Trainer's card, and the section below it."""
        self._write(*args, **kwargs)
        file = Path(str(self._trainer.args.output_dir)) / "README.md"
        lines = dict.fromkeys(self._current_lines().values())
        if lines and self._trainer.is_world_process_zero() and file.is_file():
            section = ["", "## Training strategy", "", *(f"- {line}" for line in lines), ""]
            file.write_text("\n".join([file.read_text(encoding="utf-8").rstrip(), *section]), encoding="utf-8")

    def _current_lines(self) -> dict[str, str]:
        # `train` begins with a new state: lines of another one are of an earlier training.
        return self._lines if self._state is self._trainer.state else {}
