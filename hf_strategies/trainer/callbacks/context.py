"""What a callback of the Trainer can do beyond its events: progress bar, trackers, model card."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Any, cast
from weakref import ref

from transformers import Trainer, TrainerCallback, TrainerState
from transformers.integrations import integration_utils

__all__ = ["TrainerContext", "add_to_card", "find_trainer", "put_on_card", "records"]


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
        """Have a line in each model card that the Trainer writes from now on."""
        if self.trainer:
            put_on_card(self.trainer, key, line)

    def _callbacks(self) -> list[TrainerCallback]:
        return list(self.trainer.callback_handler.callbacks) if self.trainer else []


def _tracker(callback: TrainerCallback) -> str | None:
    kinds = integration_utils.INTEGRATION_TO_CALLBACK.items()
    return next((name for name, kind in kinds if isinstance(callback, kind)), None)


_TITLE = "## Training strategy"


def put_on_card(trainer: Trainer, key: str, line: str) -> None:
    """Have each model card that the Trainer writes from now on end with ``line``.

    The Trainer writes it anew, and uploads it, in `push_to_hub` and `create_model_card`, where no event is left to
    add to it: so that method of this one Trainer is wrapped, whichever subclass it comes from. A second line under
    the same ``key``, that of a record in `state.stateful_callbacks`, takes the place of the first.
    """
    lines = getattr(trainer.create_model_card, "strategy_lines", None)
    if lines is None:
        lines = _wrap(trainer)
    lines[key] = line


def add_to_card(file: Path, lines: Sequence[str]) -> None:
    """Add lines to the strategy section at the end of a model card, which is begun if there is none."""
    text = file.read_text(encoding="utf-8").rstrip()
    begun = text if _TITLE in text else f"{text}\n\n{_TITLE}\n"
    file.write_text("\n".join([begun, *(f"- {line}" for line in lines), ""]), encoding="utf-8")


def _wrap(trainer: Trainer) -> dict[str, str]:
    write, lines = trainer.create_model_card, dict[str, str]()

    def create_model_card(*args: Any, **kwargs: Any) -> None:
        write(*args, **kwargs)
        file = Path(str(trainer.args.output_dir)) / "README.md"
        # What has no record in the state is of an earlier training, by a callback that is gone.
        records: Any = trainer.state.stateful_callbacks
        said = [line for key, line in lines.items() if key in records]
        if trainer.is_world_process_zero() and said and file.is_file():
            add_to_card(file, said)

    create_model_card.strategy_lines = lines  # type: ignore[attr-defined]
    trainer.create_model_card = create_model_card  # type: ignore[method-assign]
    return lines
