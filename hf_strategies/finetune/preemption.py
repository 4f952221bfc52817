"""SIGTERM: during training a checkpoint after the running step, and always an end that a later run goes on from."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from accelerate import Accelerator
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from hf_strategies.trainer.callbacks.resumption import at_end_of_epoch

__all__ = ["EXIT_CODE", "Preemption", "Terminated", "ending_on_sigterm", "undisturbed"]

EXIT_CODE = 128 + signal.SIGTERM
"""The exit code of a run that SIGTERM has ended, the one that a shell reports for this signal."""


class Terminated(SystemExit):
    """SIGTERM has arrived outside of training, where there is no step to wait for."""


@contextmanager
def ending_on_sigterm(*, wanted: bool) -> Iterator[None]:
    """Raise `Terminated` where SIGTERM arrives; a second one ends the process at once.

    A thread other than the first cannot take signals, and takes none.
    """
    if not wanted or threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, _terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def undisturbed() -> Iterator[None]:
    """Ignore Ctrl-C: a second one, from an impatient user, must not cut off what the first one leads to."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _terminate(number: int, frame: FrameType | None) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    raise Terminated(EXIT_CODE)


class Preemption(TrainerCallback):
    """Saves a checkpoint and stops after the step in which SIGTERM arrives.

    The recipes use it for `enable_jit_checkpoint` in place of the Trainer's own callback. That callback saves in the
    middle of a step, when the random numbers of the step are used up, and each process saves at a step of its own. It
    calls no `on_save`, in which the best weights are added. This callback saves between two steps.
    """

    def __init__(self) -> None:
        self.has_stopped = False
        self._is_requested = False
        self._accelerator: Accelerator | None = None

    @contextmanager
    def listening(self, accelerator: Accelerator) -> Iterator[None]:
        """Take SIGTERM while training; a thread other than the first cannot, and takes none."""
        self.has_stopped = self._is_requested = False
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = signal.signal(signal.SIGTERM, self._request)
        self._accelerator = accelerator
        try:
            yield
        finally:
            self._accelerator = None
            signal.signal(signal.SIGTERM, before)

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Stop if any process has received the signal; save now, or in `on_epoch_end` if this step ends the epoch."""
        if self._is_requested_anywhere(args):
            self.has_stopped = control.should_training_stop = True
            control.should_save = control.should_save or not at_end_of_epoch(state)

    def on_epoch_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Save at the real end of an epoch; in the middle of one, cancel what is due only at its end."""
        if self.has_stopped:
            control.should_save = at_end_of_epoch(state)
            control.should_evaluate = control.should_evaluate and control.should_save
            control.should_log = control.should_log and control.should_save

    def _request(self, number: int, frame: FrameType | None) -> None:
        self._is_requested = True

    def _is_requested_anywhere(self, args: TrainingArguments) -> bool:
        if self._accelerator is None or args.world_size == 1:
            return self._is_requested
        if self._is_requested:
            self._accelerator.set_trigger()
        return bool(self._accelerator.check_trigger())
