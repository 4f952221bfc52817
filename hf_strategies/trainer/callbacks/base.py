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

from torch import nn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer import TRAINER_STATE_NAME

from hf_strategies.files import replacing
from hf_strategies.pytorch.best_weights import BestWeights
from hf_strategies.stopping import StoppingRule
from hf_strategies.trainer.callbacks.context import TrainerContext
from hf_strategies.trainer.callbacks.metric_watch import MetricWatch

__all__ = ["MetricCallback", "MetricRun", "best_weights_name", "save_state"]


class MetricRun:
    """The work of a callback in one training; a subclass overrides the methods of the events that it needs.

    Every method is called on every process.
    """

    was_over = False
    """Whether this is a resumed run that had ended before, which makes no further steps."""

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
    """Those of ``names`` that the evaluations of a training may lack from the first one on."""

    asks_for_evaluations = False
    """Whether the callback makes the Trainer evaluate at other steps than those of its schedule."""

    _run: MetricRun | None = None  # while training
    _watch: MetricWatch | None = None
    _ended: "EndedRun | None" = None

    @abstractmethod
    def start(
        self, context: TrainerContext, args: TrainingArguments, state: TrainerState, event: dict[str, Any]
    ) -> MetricRun:
        """Check the settings against the training and return its run; ``event`` has `on_train_begin`'s keywords."""

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Start the run; end the training if it is a resumed run that had ended before."""
        self._run = self._ended = None
        context = TrainerContext(self)
        self._watch = MetricWatch(type(self).__name__, self.names, args, self.optional_names)
        if not self.asks_for_evaluations:
            self._watch.check_schedule(context.trainer, state, kwargs.get("train_dataloader"))
        self._run = self.start(context, args, state, kwargs)
        if self._run.was_over:
            self._ended = EndedRun(kwargs["model"])
            control.should_training_stop = True

    def on_evaluate(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Act once the evaluations of this step have reported all watched metrics."""
        if self._run is None or self._watch is None or self._ended:
            return
        if self._watch.completes(kwargs["metrics"], state):
            self._run.evaluated(state, control)

    def on_step_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Raise `StrategyError` if the evaluations so far lack a watched metric."""
        if self._run and self._watch:
            self._watch.check(state)

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Act after an optimizer step; undo the step if the run had ended before."""
        if self._ended:
            self._ended.undo(control)
        elif self._run:
            self._run.stepped(state, control)
            self._expect_evaluation(state, control)

    def on_epoch_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Prepare the checkpoint of the epoch; cancel it, and the evaluation, if the run had ended before."""
        if self._ended:
            self._ended.skip(control)
        elif self._run:
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
        self._run = self._watch = self._ended = None
        if run is None:
            return
        if watch and not run.was_over:
            watch.finish(state)
        run.finish(state)

    def __getstate__(self) -> dict[str, Any]:
        """Return the settings alone: a training's model, weights and Trainer are no part of a copy or a pickle."""
        return {key: value for key, value in vars(self).items() if key not in ("_run", "_watch", "_ended")}

    def _expect_evaluation(self, state: TrainerState, control: TrainerControl) -> None:
        if control.should_evaluate and self._watch:
            self._watch.expect(state.global_step)


class EndedRun:
    """A resumed run that had ended before: the single step that the Trainer makes before it stops is undone.

    Create it in `on_train_begin`: it copies the parameters and buffers then.
    """

    def __init__(self, model: nn.Module) -> None:
        self._loaded = BestWeights(model)
        self._loaded.keep()

    def undo(self, control: TrainerControl) -> None:
        """Restore the parameters and buffers; for `on_step_end`."""
        self._loaded.restore()
        self.skip(control)

    def skip(self, control: TrainerControl) -> None:
        """Cancel a checkpoint and an evaluation; for `on_epoch_end`."""
        control.should_save = control.should_evaluate = False


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
