"""The base classes of the callbacks that watch a metric.

A callback is a `MetricCallback` with its settings. When a training begins, it makes a `MetricRun`, which acts on the
events of that training only. So no state of an earlier training remains.
"""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import torch
from torch import nn
from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer import TRAINER_STATE_NAME
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR, IntervalStrategy

from hf_strategies.files import replacing
from hf_strategies.pytorch.best_weights import BestWeights
from hf_strategies.stopping import StoppingRule
from hf_strategies.trainer.callbacks.context import TrainerContext, find_trainer
from hf_strategies.trainer.callbacks.metric_watch import MetricWatch
from hf_strategies.trainer.callbacks.resumption import Resumption, at_end_of_epoch, is_ignored
from hf_strategies.trainer.callbacks.search import Pruning, settle_objective
from hf_strategies.trainer.distributed import from_rank_zero

__all__ = ["EndedRun", "MetricCallback", "MetricRun", "best_weights_name", "preemption_folder", "save_state"]


class MetricRun:
    """The work of a callback in one training; a subclass overrides the methods of the events that it needs.

    Every method is called on every process.
    """

    was_over = False
    """Whether this is a resumed run that had ended before, which makes no further steps."""

    result: Any = None
    """What the callback has done in this training so far, as `MetricCallback.result`."""

    def evaluated(self, state: TrainerState, control: TrainerControl) -> None:
        """Act after an evaluation that has all watched metrics."""

    def stepped(self, state: TrainerState, control: TrainerControl) -> None:
        """Act after an optimizer step, before the Trainer saves and evaluates."""

    def before_save(self, state: TrainerState, control: TrainerControl) -> None:
        """Write the files that the checkpoint at the end of an epoch needs."""

    def saved(self, state: TrainerState) -> None:
        """Act after a checkpoint was written."""

    def track(self, state: TrainerState) -> None:
        """Send the result to the experiment trackers, before they are closed."""

    def finish(self, state: TrainerState) -> None:
        """Act at the end of training."""


class MetricCallback(TrainerCallback, ABC):
    """A callback that watches the metrics ``names``: it makes a `MetricRun` for each training and calls its methods.

    Raises `StrategyError` when training starts without evaluations, when an evaluation lacks a metric, and when an
    evaluation is not in the log. A copy of the callback has the same settings, and takes part in no training.
    """

    names: Sequence[str]
    """The watched metrics, by their names in the log."""

    optional_names: Sequence[str] = ()
    """The names in ``names`` that are dropped if the first evaluation of a training lacks them."""

    asks_for_evaluations = False
    """Whether the callback makes the Trainer evaluate at other steps than those of its schedule."""

    changes_rates = False
    """Whether the callback changes the learning rates of the schedule."""

    _run: MetricRun | None = None  # while training
    _result: Any = None  # of the last training, once it has ended
    _watch: MetricWatch | None = None
    _ended: "EndedRun | None" = None
    _resumption: Resumption | None = None  # until the first step of a resumed training, in its first callback
    _begun_at = 0  # the step at which the training was begun or resumed
    _pruning: Pruning | None = None  # while training, in its last callback
    _postponed = False  # whether a save waits for the evaluation at the end of the epoch
    _preempted_at: int | None = None  # the step of a checkpoint that the Trainer has written on SIGTERM

    @abstractmethod
    def start(
        self, context: TrainerContext, args: TrainingArguments, state: TrainerState, event: dict[str, Any]
    ) -> MetricRun:
        """Check the settings against the training and return its run; ``event`` has `on_train_begin`'s keywords."""

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Start the run; end the training if it is a resumed run that had ended before."""
        self._run = self._result = self._ended = self._preempted_at = None
        self._begun_at, self._postponed = state.global_step, False
        context = TrainerContext(self)
        kwargs = context.event_of(kwargs)
        if context.averaging:  # an evaluation before its own `on_train_begin` is one of the average too
            context.averaging.begin_averaging(args, state, kwargs)
        first, last = _first_and_last(self, context.trainer)
        self._resumption = Resumption.of(args, state, kwargs) if first is self else None
        self._pruning = Pruning() if last is self else None
        self._watch = MetricWatch(type(self).__name__, self.names, args, self.optional_names)
        self._watch.resume(state)
        if not self.asks_for_evaluations:
            self._watch.check_schedule(context.trainer, state, kwargs.get("train_dataloader"))
        self._run = self.start(context, args, state, kwargs)
        if self._run.was_over or 0 < state.max_steps <= state.global_step:
            self._ended = EndedRun(kwargs["model"], state)
            control.should_training_stop = True
        # The evaluation that a checkpoint lacks is made when all callbacks have started.
        resumption = first._resumption
        if last is self and resumption and resumption.has_no_epoch_left():
            resumption.begin(control, was_over=True)

    def on_evaluate(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Act once the evaluations of this step have reported all watched metrics."""
        if self._resumption:
            self._resumption.ignore_extra_evaluation()
        if self._run is None or self._watch is None or is_ignored(state):
            return
        if self._ended and state.global_step != self._begun_at:
            return
        if self._watch.completes(kwargs["metrics"], state):
            self._run.evaluated(state, control)
            if self._pruning:
                self._pruning.evaluated(find_trainer(self), state, control)

    def on_epoch_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Make the evaluation that the checkpoint of a resumed run lacks, if any; it may end the training."""
        resumption, self._resumption = self._resumption, None
        if resumption and resumption.begin(control, control.should_training_stop):
            self._ended = EndedRun(TrainerContext(self).event_of(kwargs)["model"], state)

    def on_step_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Raise `StrategyError` if the evaluations so far lack a watched metric."""
        if self._run and self._watch:
            self._watch.check(state)
        self._join_preemption(args, state, control)

    def on_pre_optimizer_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Complete the checkpoint that the Trainer writes on SIGTERM."""
        self._join_preemption(args, state, control)

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Act after an optimizer step; undo the step if the run had ended before."""
        if self._ended:
            self._ended.undo(control, find_trainer(self))
        elif self._run:
            self._postpone_save(args, state, control)
            self._run.stepped(state, control)
            self._postpone_save(args, state, control)
            self._tell_warmup_end(args, state)
            if state.global_step < state.max_steps:
                self._join_preemption(args, state, control)
            self._expect_evaluation(state, control)

    def on_epoch_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Prepare the checkpoint of the epoch; cancel it, and the evaluation, if the run had ended before."""
        postponed, self._postponed = self._postponed, False
        if self._ended:
            self._ended.skip(control)
        elif self._preempted_at is not None:
            control.should_save = control.should_evaluate = False
        elif self._run:
            control.should_save |= postponed
            self._run.before_save(state, control)
            self._expect_evaluation(state, control)

    def on_log(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Send the result to the experiment trackers, at the last event before they are closed."""
        if self._run and "train_runtime" in (kwargs.get("logs") or {}):
            self._run.track(state)

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Act after a checkpoint was written."""
        if self._run:
            self._run.saved(state)

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Finish the run and drop it."""
        run, watch = self._run, self._watch
        self._run = self._watch = self._ended = self._resumption = None
        if run is None:
            return
        if watch and not run.was_over:
            watch.finish(state)
        run.finish(state)
        self._result = run.result
        trainer = find_trainer(self)
        settle_objective(trainer, state, getattr(run.result, "kept_step", None))
        pruning, self._pruning = self._pruning, None
        if pruning:
            pruning.finish(trainer)

    @property
    def result(self) -> Any:
        """What the callback has done in the training that is going on, or in the last one; None before the first.

        A copy of the callback, which takes part in no training, has none.
        """
        return self._run.result if self._run else self._result

    @property
    def undoes_step(self) -> bool:
        """Whether the step that is being made is undone, because the run had ended before it was resumed."""
        return self._ended is not None

    def __getstate__(self) -> dict[str, Any]:
        """Return the settings alone: a training's model, weights and Trainer are no part of a copy or a pickle."""
        of_training = {name for name in vars(MetricCallback) if name.startswith("_")}
        return {name: value for name, value in vars(self).items() if name not in of_training}

    def _tell_warmup_end(self, args: TrainingArguments, state: TrainerState) -> None:
        """Tell the trackers that the warmup has ended, by the first of the callbacks."""
        warmup = args.get_warmup_steps(state.max_steps)
        if 0 < warmup == state.global_step:
            context = TrainerContext(self)
            if _first_and_last(self, context.trainer)[0] is self:
                context.tell_event("warmup_end", warmup, f"after {warmup} steps")

    def _postpone_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl) -> None:
        """Let a checkpoint at the very end of an epoch wait for the evaluation of that epoch.

        A checkpoint without that evaluation would not be the state from which the uninterrupted run goes on.
        """
        evaluates = args.eval_strategy == IntervalStrategy.EPOCH and args.eval_delay <= float(state.epoch or 0.0)
        if control.should_save and evaluates and at_end_of_epoch(state):
            control.should_save, self._postponed = False, True

    def _join_preemption(self, args: TrainingArguments, state: TrainerState, control: TrainerControl) -> None:
        """Add to a checkpoint that the Trainer has written on SIGTERM, which no other event announces."""
        folder = preemption_folder(args, state, control)
        if folder is None or self._run is None or self._ended:
            return
        if self._preempted_at is None and from_rank_zero(folder.is_dir()):
            self._preempted_at = state.global_step
            self._run.saved(state)

    def _expect_evaluation(self, state: TrainerState, control: TrainerControl) -> None:
        if control.should_evaluate and self._watch:
            self._watch.expect(state.global_step)


def _first_and_last(callback: MetricCallback, trainer: Trainer | None) -> tuple[MetricCallback, MetricCallback]:
    """Return the first and the last of the Trainer's callbacks that watch a metric."""
    callbacks = trainer.callback_handler.callbacks if trainer else []
    every = [each for each in callbacks if isinstance(each, MetricCallback)]
    return (every[0], every[-1]) if every else (callback, callback)


class EndedRun:
    """A resumed run that had ended before: the single step that the Trainer makes before it stops is undone.

    Create it before that step: it copies the parameters and buffers then, and takes note of the step.
    """

    def __init__(self, model: nn.Module, state: TrainerState) -> None:
        self._loaded = BestWeights(model)
        self._loaded.keep()
        self._state, self._ended_at = state, (state.global_step, state.epoch)

    def undo(self, control: TrainerControl, trainer: Trainer | None) -> None:
        """Restore the parameters and buffers, and the number of steps; for `on_step_end`."""
        self._loaded.restore()
        self._state.global_step, self._state.epoch = self._ended_at
        # The Trainer divides the sum of the losses by the number of steps, which is 0 now. In earlier releases of
        # transformers 5 the sum is no attribute, and the number is at least 0.001.
        if trainer and hasattr(trainer, "_tr_loss"):
            trainer._tr_loss = torch.zeros_like(trainer._tr_loss)
        self.skip(control)

    def skip(self, control: TrainerControl) -> None:
        """Cancel a checkpoint and an evaluation; for `on_epoch_end`."""
        control.should_save = control.should_evaluate = False


def preemption_folder(args: TrainingArguments, state: TrainerState, control: TrainerControl) -> Path | None:
    """Return the folder of the checkpoint that the Trainer may have just written on SIGTERM; None if it has not."""
    if not getattr(args, "enable_jit_checkpoint", False) or not control.should_training_stop or control.should_save:
        return None
    return Path(str(args.output_dir)) / f"{PREFIX_CHECKPOINT_DIR}-{state.global_step}"


def best_weights_name(rule: StoppingRule) -> str:
    """Return the name of the files of best weights, which differs between definitions of the best evaluation."""
    watched = rule.watched
    definition = f"{watched.metric.text} {watched.mode} {watched.smoothing} {watched.improvement} {rule.start_from}"
    digest = hashlib.sha256(definition.encode()).hexdigest()[:8]
    return f"best_weights-{quote(rule.monitor, safe='')[:60]}-{digest}"


def save_state(args: TrainingArguments, state: TrainerState) -> None:
    """Write `trainer_state.json` into the output folder; it includes the callbacks' records of how training ended."""
    if args.should_save and not state.is_hyper_param_search:
        with replacing(Path(str(args.output_dir)) / TRAINER_STATE_NAME) as file:
            state.save_to_json(str(file))
