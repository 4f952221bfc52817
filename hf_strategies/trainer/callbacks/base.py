"""The base classes of the callbacks that watch a metric.

A callback is a `MetricCallback` with its settings. When a training begins, it makes a `MetricRun`, which acts on the
events of that training only. So no state of an earlier training remains.
"""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from torch import nn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer import TRAINER_STATE_NAME
from transformers.trainer_utils import IntervalStrategy

from hf_strategies.errors import StrategyError, did_you_mean
from hf_strategies.files import replacing
from hf_strategies.pytorch.best_weights import BestWeights
from hf_strategies.stopping import StoppingRule
from hf_strategies.trainer.callbacks.context import TrainerContext
from hf_strategies.trainer.distributed import from_rank_zero

__all__ = ["MetricCallback", "MetricRun", "MetricWatch", "best_weights_name", "save_state"]


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

    Raises `StrategyError` when training starts without evaluations, and when an evaluation lacks a metric.
    """

    names: Sequence[str]
    """The watched metrics, by their names in the log."""

    _run: MetricRun | None = None  # while training
    _watch: "MetricWatch | None" = None
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
        self._watch = MetricWatch(type(self).__name__, self.names, args)
        self._run = self.start(TrainerContext(self), args, state, kwargs)
        if self._run.was_over:
            self._ended = EndedRun(kwargs["model"])
            control.should_training_stop = True

    def on_evaluate(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Act once the evaluations of this step have reported all watched metrics."""
        if self._run is None or self._watch is None or self._ended:
            return
        if self._watch.completes(kwargs["metrics"], state.global_step):
            self._run.evaluated(state, control)

    def on_step_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Raise `StrategyError` if the evaluations so far lack a watched metric."""
        if self._run and self._watch:
            self._watch.refuse_unknown(state)

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Act after an optimizer step; undo the step if the run had ended before."""
        if self._ended:
            self._ended.undo(control)
        elif self._run:
            self._run.stepped(state, control)

    def on_epoch_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Prepare the checkpoint of the epoch; cancel it, and the evaluation, if the run had ended before."""
        if self._ended:
            self._ended.skip(control)
        elif self._run:
            self._run.before_save(state, control)

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
        run, self._run = self._run, None
        if run is None:
            return
        if self._watch:
            self._watch.refuse_unknown(state)
        run.finish(state)


class MetricWatch:
    """The metrics that the evaluations of one training have reported, compared with the watched ``names``.

    ``owner`` is the callback's name in error messages. Raises `StrategyError` if the training makes no evaluations.
    """

    def __init__(self, owner: str, names: Sequence[str], args: TrainingArguments) -> None:
        if args.eval_strategy == IntervalStrategy.NO:
            raise StrategyError(
                f"{owner}(monitor={names[0]!r}) with eval_strategy='no' has nothing to watch: set"
                " eval_strategy='epoch', or 'steps' with eval_steps"
            )
        self._names, self._args = list(names), args
        self._step, self._reported_at_step = -1, set[str]()
        self._reported: set[str] = set()  # at any step

    def completes(self, metrics: Mapping[str, Any], step: int) -> bool:
        """Return whether all names are reported at ``step`` with these ``metrics``, and were not before.

        With a dict of evaluation sets there is one call for each set. The result is True for at most one call per
        step. Every process has to call this.
        """
        if step != self._step:
            self._step, self._reported_at_step = step, set()
        was_complete = set(self._names) <= self._reported_at_step
        # Only numbers count, because the log is judged by the same rule. Some metrics exist on one process only.
        numbers = from_rank_zero({key for key, value in metrics.items() if _is_number(value)})
        self._reported_at_step |= numbers
        self._reported |= {key for key in numbers if key.startswith("eval_")}
        return not was_complete and set(self._names) <= self._reported_at_step

    def refuse_unknown(self, state: TrainerState) -> None:
        """Raise `StrategyError` if the Trainer has evaluated, and no evaluation so far reported one of the names.

        This is called between steps and not after each evaluation: with a dict of evaluation sets, every set reports
        only its own metrics. Nothing is raised before the Trainer's first evaluation is due, because a user may have
        evaluated on other data.
        """
        if not self._is_evaluation_due(state):
            return
        for name in self._names:
            if self._reported and name not in self._reported:
                near = did_you_mean(name, self._reported)
                raise StrategyError(f"monitor={name!r} is not among the numbers that evaluate() returns: {near}")

    def _is_evaluation_due(self, state: TrainerState) -> bool:
        """Whether the Trainer's first evaluation is due by now."""
        if self._args.eval_on_start:
            return True
        delay = self._args.eval_delay or 0
        if self._args.eval_strategy == IntervalStrategy.EPOCH:
            return float(state.epoch or 0.0) >= max(1.0, delay) - 1e-9
        return state.global_step >= max(state.eval_steps, delay)


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


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
