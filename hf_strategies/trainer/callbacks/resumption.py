"""What a resumed training needs before its first step, whichever callbacks it has.

Missing states are replaced, an evaluation that the checkpoint lacks is made, and a jump of the learning rate is
reported. The first of the callbacks does this for all.
"""

import math
from typing import Any

from torch.optim.lr_scheduler import LambdaLR
from transformers import Trainer, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_utils import IntervalStrategy

from hf_strategies.pytorch.lambda_lr import inner_scheduler
from hf_strategies.stopping.history import IGNORED
from hf_strategies.trainer.checkpoint import Training, current_training
from hf_strategies.trainer.distributed import say
from hf_strategies.trainer.lr.position import place_other_scheduler
from hf_strategies.trainer.lr.trainer_snapshot import random_state_restorers

__all__ = ["Resumption", "at_end_of_epoch", "is_ignored"]


class Resumption:
    """The beginning of a resumed training; create it in the first callback's `on_train_begin`, with `of`."""

    def __init__(
        self, training: Training, args: TrainingArguments, state: TrainerState, event: dict[str, Any]
    ) -> None:
        self._training, self._args, self._state = training, args, state
        self._step = state.global_step
        self._evaluates = False  # while the missing evaluation is made
        self._scheduler = inner_scheduler(event["lr_scheduler"])
        self._optimizer = event["optimizer"]
        place_other_scheduler(self._scheduler, state, training)
        self._loaded_rates = self._rates()

    @classmethod
    def of(cls, args: TrainingArguments, state: TrainerState, event: dict[str, Any]) -> "Resumption | None":
        """Return the resumption of the training that calls this; None if it begins from the start."""
        training = current_training()
        if state.global_step == 0 or training is None or training.checkpoint is None:
            return None
        return cls(training, args, state, event)

    def ignore_extra_evaluation(self) -> None:
        """Mark the evaluation just logged if `eval_on_start` has made it.

        The uninterrupted run does not make this evaluation, so that it counts for nothing.
        """
        if not self._evaluates and self._args.eval_on_start and self._state.log_history:
            self._state.log_history[-1][IGNORED] = True

    def begin(self, control: TrainerControl, was_over: bool) -> bool:
        """Make the evaluation that the checkpoint lacks, if any, and return whether it ends the training.

        ``was_over`` is whether the run had ended before. Call this once, when all callbacks have started.
        """
        self._report_jump()
        if not self._lacks_evaluation(was_over):
            return False
        say(self._state, f"The checkpoint lacks the evaluation of step {self._step}: it is made now.")
        self._evaluate(control)
        return control.should_training_stop and not was_over

    def has_no_epoch_left(self) -> bool:
        """Whether the Trainer will make no further step, and so begin no epoch."""
        return self._state.epoch >= self._state.num_train_epochs

    def _lacks_evaluation(self, was_over: bool) -> bool:
        """Whether the Trainer would have evaluated at this step, and the log has no such evaluation.

        A checkpoint lacks it if the Trainer saves before it evaluates, as at the very end of an epoch with
        `eval_strategy="epoch"` and `save_strategy="steps"`.
        """
        args, state, step = self._args, self._state, self._step
        if any(entry.get("step") == step and _is_evaluation(entry) for entry in state.log_history):
            return False
        is_last = was_over or step >= state.max_steps
        if args.eval_strategy == IntervalStrategy.EPOCH:
            return (is_last or at_end_of_epoch(state)) and args.eval_delay <= state.epoch
        is_due = is_last or step % state.eval_steps == 0
        return args.eval_strategy == IntervalStrategy.STEPS and is_due and args.eval_delay <= step

    def _evaluate(self, control: TrainerControl) -> None:
        """Evaluate as the Trainer does in training, with the random numbers that the uninterrupted run had then."""
        trainer: Any = self._training.trainer
        checkpoint = self._training.checkpoint
        trainer._load_rng_state(str(checkpoint.folder) if checkpoint else None)
        control.should_log, control.should_evaluate, control.should_save = False, True, False
        self._evaluates = True
        # Without a loss and a gradient norm, because nothing is logged here.
        trainer._maybe_log_save_evaluate(
            None, None, trainer.model_wrapped, None, self._state.epoch, self._training.ignored_keys, 0.0
        )
        self._evaluates = False
        if not self.has_no_epoch_left():
            _keep_random_state(trainer)

    def _report_jump(self) -> None:
        """Print the jump of the rate, if there is one, between the checkpoint and the next update."""
        before, after = self._loaded_rates, self._rates(of_scheduler=True)
        checkpoint, accepts = self._training.checkpoint, getattr(self._scheduler, "on_extend", "") == "jump"
        if not (checkpoint and checkpoint.is_loaded and after and len(before) == len(after)) or accepts:
            return
        if not all(
            math.isclose(old, new, rel_tol=1e-6, abs_tol=1e-30) for old, new in zip(before, after, strict=True)
        ):
            say(
                self._state,
                f"The learning rate jumps from {before[0]:.4g} to {after[0]:.4g} at step {self._step}: the checkpoint"
                " was made with another schedule or with other callbacks. Resume with those to go on as before.",
            )

    def _rates(self, of_scheduler: bool = False) -> list[float]:
        """Return the rates of the optimizer, or those that the scheduler has for this step; empty if not known."""
        scheduler = self._scheduler
        if not of_scheduler:
            return [float(group["lr"]) for group in self._optimizer.param_groups]
        if not isinstance(scheduler, LambdaLR):
            return []
        pairs = zip(scheduler.base_lrs, scheduler.lr_lambdas, strict=True)
        return [float(peak * ratio(scheduler.last_epoch)) for peak, ratio in pairs]


def is_ignored(state: TrainerState) -> bool:
    """Whether the entry that was logged last counts for nothing."""
    return bool(state.log_history and state.log_history[-1].get(IGNORED))


def at_end_of_epoch(state: TrainerState) -> bool:
    """Whether the last step of an epoch has been made."""
    epoch = float(state.epoch or 0.0)
    return epoch > 0 and abs(epoch - round(epoch)) < 1e-9


def _is_evaluation(entry: dict[str, Any]) -> bool:
    return not entry.get(IGNORED) and any(key.startswith("eval_") for key in entry)


def _keep_random_state(trainer: Trainer) -> None:
    """Keep the random numbers of now, where the Trainer would load those of the checkpoint again."""
    restorers, load, state = random_state_restorers(), trainer._load_rng_state, trainer.state

    def load_once(checkpoint: str | None) -> None:
        vars(trainer).pop("_load_rng_state", None)
        if trainer.state is not state:  # of a later training
            load(checkpoint)
        else:
            for restore in restorers:
                restore()

    trainer._load_rng_state = load_once  # type: ignore[method-assign]
