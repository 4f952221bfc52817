"""The place of a scheduler in a training that is resumed, also where the checkpoint lacks its state."""

import pickle
from typing import Any

import torch
from torch.optim.lr_scheduler import LambdaLR
from transformers import TrainerState
from transformers.trainer import SCHEDULER_NAME

from hf_strategies.pytorch.lambda_lr import set_rates
from hf_strategies.pytorch.lr_scheduler import ScheduleLR
from hf_strategies.trainer.checkpoint import Checkpoint, Training
from hf_strategies.trainer.distributed import say

__all__ = ["place_in_training", "place_other_scheduler"]

_KEY = "hf_strategies_schedule"  # of the scheduler's record in the Trainer's state


def place_in_training(scheduler: ScheduleLR, training: Training) -> None:
    """Connect a new scheduler with the training for which it is created.

    The Trainer's state, and so every `trainer_state.json`, gets the scheduler's record. In a resumed run the
    scheduler goes on at the step of the checkpoint. If the Trainer loads the scheduler's state later, that holds.
    """
    state, checkpoint = training.trainer.state, training.checkpoint
    callbacks = training.trainer.callback_handler.callbacks
    scheduler.changed_by_callbacks = any(getattr(each, "changes_rates", False) for each in callbacks)
    records: dict[str, Any] = state.stateful_callbacks  # type: ignore[assignment]
    before = records.get(_KEY)
    if state.global_step > 0 and checkpoint:
        if checkpoint.is_loaded or training.trainer.is_deepspeed_enabled:
            scheduler.start_at(state.global_step)
        elif not _load(scheduler, checkpoint):
            scheduler.start_at(state.global_step, before)
        _report_lost_state(state, checkpoint, training.trainer.is_deepspeed_enabled)
    records[_KEY] = scheduler.record


def place_other_scheduler(scheduler: Any, state: TrainerState, training: Training) -> None:
    """Set a scheduler that the Trainer has not created by `place_in_training` to the step of the checkpoint.

    This is needed only if the Trainer could not load its state.
    """
    checkpoint = training.checkpoint
    if checkpoint is None or training.trainer.is_deepspeed_enabled:
        return
    if isinstance(scheduler, ScheduleLR):
        # One that was given as `optimizers` was created before the training.
        records: dict[str, Any] = state.stateful_callbacks  # type: ignore[assignment]
        was_placed = records.get(_KEY) is scheduler.record
        if not (was_placed or checkpoint.is_loaded):
            place_in_training(scheduler, training)
        return
    _report_lost_state(state, checkpoint, is_deepspeed=False)
    if checkpoint.is_loaded:
        return
    if isinstance(scheduler, LambdaLR):
        scheduler.last_epoch = state.global_step
        set_rates(scheduler)
    else:
        say(
            state,
            f"{str(checkpoint.folder)!r} has no state of {type(scheduler).__name__}, which starts anew: take a"
            " schedule that is a function of the step, or save without save_only_model.",
        )


def _load(scheduler: ScheduleLR, checkpoint: Checkpoint) -> bool:
    """Load the scheduler's state where the Trainer would not, because the optimizer's state is missing."""
    if not checkpoint.has_scheduler:
        return False
    try:
        state = torch.load(checkpoint.folder / SCHEDULER_NAME, weights_only=True)
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError):  # damaged
        return False
    scheduler.load_state_dict(state)
    for group, rate in zip(scheduler.optimizer.param_groups, scheduler.get_last_lr(), strict=True):
        group["lr"] = rate
    return True


def _report_lost_state(state: TrainerState, checkpoint: Checkpoint, is_deepspeed: bool) -> None:
    """Print what the resumed run has lost because the checkpoint lacks files, as with `save_only_model`."""
    lost = [] if checkpoint.has_random_state else ["the state of the random numbers"]
    if not is_deepspeed and not checkpoint.is_loaded:  # DeepSpeed saves the optimizer's state in files of its own
        lost.insert(0, "the optimizer's moments")
    if lost:
        say(
            state,
            f"{str(checkpoint.folder)!r} has no {', '.join(checkpoint.missing)}, as after save_only_model=True:"
            f" {' and '.join(lost)} are lost. The learning rate goes on at step {state.global_step}.",
        )
