"""The checkpoint from which a Trainer is resuming: where it lies, and what it lacks."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from types import FrameType

from transformers import Trainer, TrainingArguments
from transformers.trainer import OPTIMIZER_NAME, OPTIMIZER_NAME_BIN, SCHEDULER_NAME

__all__ = ["Checkpoint", "Training", "current_training", "resumed_folder"]


@dataclass(frozen=True)
class Checkpoint:
    """The folder of a checkpoint from which training resumes."""

    folder: Path

    @property
    def has_scheduler(self) -> bool:
        """Whether the state of the scheduler is there."""
        return (self.folder / SCHEDULER_NAME).is_file()

    @property
    def has_optimizer(self) -> bool:
        """Whether the Trainer sees the state of the optimizer, in a file or in a folder of shards."""
        names = (OPTIMIZER_NAME, OPTIMIZER_NAME_BIN)
        return any(
            "optimizer" in entry.name if entry.is_dir() else entry.name.endswith(names) for entry in self._entries()
        )

    @property
    def has_random_state(self) -> bool:
        """Whether the states of the random number generators are there."""
        return any(entry.name.startswith("rng_state") for entry in self._entries())

    @property
    def is_loaded(self) -> bool:
        """Whether the Trainer loads the states of optimizer and scheduler; it loads both or neither."""
        return self.has_scheduler and self.has_optimizer

    @property
    def missing(self) -> list[str]:
        """The names of the files that are not there, out of those that hold these states."""
        names = {OPTIMIZER_NAME: self.has_optimizer, SCHEDULER_NAME: self.has_scheduler}
        names["rng_state.pth"] = self.has_random_state
        return [name for name, is_there in names.items() if not is_there]

    def _entries(self) -> list[Path]:
        return list(self.folder.iterdir()) if self.folder.is_dir() else []


@dataclass(frozen=True)
class Training:
    """A call of `Trainer.train` that is in progress, and the checkpoint from which it resumes, if any.

    ``ignored_keys`` is the argument `ignore_keys_for_eval` of that call.
    """

    trainer: Trainer
    checkpoint: Checkpoint | None
    ignored_keys: list[str] | None = None


def current_training() -> Training | None:
    """Return the training in which this is called, or None.

    The Trainer passes neither itself nor the path that `train` was given to its callbacks and schedulers, and keeps
    that path nowhere. So this searches the calling frames for it.
    """
    for frame in _frames():
        caller = frame.f_locals.get("self")
        if isinstance(caller, Trainer) and "resume_from_checkpoint" in frame.f_locals:
            path = frame.f_locals["resume_from_checkpoint"]
            checkpoint = Checkpoint(Path(path)) if isinstance(path, str | PathLike) else None
            return Training(caller, checkpoint, frame.f_locals.get("ignore_keys_for_eval"))
    return None


def resumed_folder(args: TrainingArguments) -> Path | None:
    """Return the folder of the checkpoint from which the current training resumes, or None.

    Outside of a training, it is the one that the Trainer's arguments name.
    """
    training = current_training()
    if training and training.checkpoint:
        return training.checkpoint.folder
    given = args.resume_from_checkpoint
    return Path(given) if isinstance(given, str) else None


def _frames() -> Iterator[FrameType]:
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        yield frame
        frame = frame.f_back
