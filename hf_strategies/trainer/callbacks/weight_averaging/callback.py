"""Averaged weights for the Trainer: their average is evaluated, kept as best, and left in the model at the end."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from hf_strategies.averaging import Average
from hf_strategies.errors import StrategyError, did_you_mean
from hf_strategies.lengths import read_span
from hf_strategies.stopping.results import AveragingResult
from hf_strategies.trainer.callbacks.base import EndedRun, MetricCallback, preemption_folder, save_state
from hf_strategies.trainer.callbacks.context import TrainerContext, find_trainer
from hf_strategies.trainer.callbacks.plateau_cooldown.callback import PlateauCooldown
from hf_strategies.trainer.callbacks.weight_averaging.run import NAME, AveragingRun, refuse_arguments
from hf_strategies.trainer.distributed import from_rank_zero
from hf_strategies.values import switch

__all__ = ["PLACES", "WeightAveraging", "refuse_others"]

PLACES = ("device", "cpu")
"""The values of ``weights_in``: where the average is kept."""

RAW_FOLDER = "raw"
"""The folder in the output folder for the raw weights of ``keep_raw``."""


class WeightAveraging(TrainerCallback):
    """Evaluate, keep and end with an average of the weights, while training goes on with the raw weights.

    After the n-th averaged update, each running average ``a`` follows

        a = a + c_n * (w_n - a)

    where w_n are the weights after that update, and c_n is the coefficient of ``average``: see
    `hf_strategies.averaging`. Averaged is every optimizer step after the step ``start_from``, once per step whatever
    `gradient_accumulation_steps` is, without the steps that fp16 has skipped. The raw weights are bit for bit those
    of a training without this callback.

    During training, `trainer.evaluate()` and `trainer.predict()` put the average into the model, and the raw weights
    back when they return or raise, after the last set of a dict of evaluation sets; so do those that you call by hand
    in a callback. Before the first averaged update, as in `eval_on_start`, they use the raw weights. So
    `EarlyStopping`, `PlateauCooldown` and `ReduceOnPlateau` judge the metric of the average, and the best weights
    that they restore are averaged ones. Without them the model is the last average when training ends, and `evaluate`
    then sees what is in the model, as it does without this callback.

    A checkpoint of the Trainer has the raw weights, and beside them the average in a file, or one file per process
    if the weights are sharded. A resumed run has bit for bit the raw weights and the average of the uninterrupted
    run. From a checkpoint without an average, the average begins where the run is resumed. What `push_to_hub` uploads
    during training is raw, too.

    The callback may stand anywhere among the callbacks. It works under DDP, FSDP 2, DeepSpeed ZeRO-1, 2 and 3,
    `torch.compile` and PEFT. See `AveragedWeights` for which tensors are averaged, the precision, and the cost in
    memory and time.

    Args:
        average: an average as text, such as ``"ema(over='1ep')"`` or ``"tail(over=0.5)"``; `hf_strategies.averaging`
            lists all.
        start_from: the optimizer steps that are left out, as 500, ``"2ep"`` or a fraction of the planned steps; None
            for the steps of the warmup.
        weights_in: where the average is kept: ``"device"`` for beside the weights, ``"cpu"`` for CPU memory, which
            copies the weights there at each step.
        keep_raw: write the last raw weights, at the end of training, as a model into ``<output_dir>/raw``, from where
            `from_pretrained` loads them.

    Raises `StrategyError` for a bad argument; when training starts without a Trainer, with `load_best_model_at_end`
    or ``save_strategy="best"``, which would keep the raw weights of the best average, with an optimizer that is an
    average already (``optim="schedule_free_*"``), beside another `WeightAveraging` or
    ``PlateauCooldown(rewind=...)``, or with best weights on disk; and for a checkpoint with the average of another
    run or of other settings.

    Sources: Polyak & Juditsky 1992; Izmailov et al. 2018, arXiv:1803.05407; Hägele et al. 2024, arXiv:2405.18392.

    The average is recorded in `trainer_state.json` under ``weight_averaging`` in `stateful_callbacks`, and is
    ``result`` in Python, an `AveragingResult`: None before training, and the average so far while training.

    >>> averaging = WeightAveraging("ema(over='1ep')")  # Trainer(..., callbacks=[averaging])
    >>> averaging.result is None  # after train(): averaging.result.updates, .start, .kept
    True
    """

    def __init__(
        self,
        average: str | Average = "ema(over='1ep')",
        *,
        start_from: int | float | str | None = None,
        weights_in: str = "device",
        keep_raw: bool = False,
    ) -> None:
        self.average = Average.read(average)
        if start_from is not None:
            read_span("start_from", start_from)
        if weights_in not in PLACES:
            raise StrategyError(f"weights_in={weights_in!r} is no place for the average: {_places(weights_in)}")
        self.start_from, self.weights_in = start_from, weights_in
        self.keep_raw = switch("keep_raw", keep_raw)

    _run: AveragingRun | None = None  # while training
    _result: AveragingResult | None = None  # of the last training, once it has ended
    _measured_on = ""  # also after training, for the records of other callbacks
    _ended: EndedRun | None = None
    _preempted_at: int | None = None  # the step of a checkpoint that the Trainer has written on SIGTERM

    # --- events ---------------------------------------------------------------------------------------------

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Check the settings and begin the average, or read it if the run is resumed."""
        kwargs = TrainerContext(self).event_of(kwargs)
        self.begin_averaging(args, state, kwargs)
        if 0 < state.max_steps <= state.global_step:
            self._ended = EndedRun(kwargs["model"], state)
            control.should_training_stop = True

    def begin_averaging(self, args: TrainingArguments, state: TrainerState, event: dict[str, Any]) -> None:
        """Begin the average of a training, once; a callback that evaluates in `on_train_begin` calls this first."""
        if self._run and self._run.state is state:
            return
        self._forget()
        self._result = None
        trainer = find_trainer(self)
        if trainer is None:
            raise StrategyError(
                f"{NAME} evaluates the average in a Trainer, and none is calling it: in a loop of your own, use"
                " hf_strategies.pytorch.averaged_weights.AveragedWeights"
            )
        refuse_arguments(args, keep_raw=self.keep_raw)
        refuse_others(trainer.callback_handler.callbacks)
        if self.keep_raw and state.is_hyper_param_search:
            raise StrategyError("keep_raw=True in a hyperparameter search would overwrite raw/: leave it out")
        self._run = AveragingRun(self.average, self.start_from, trainer, event, self.weights_in == "cpu")
        self._measured_on = self._run.words

    def on_step_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Complete the checkpoint that the Trainer writes on SIGTERM."""
        self._join_preemption(args, state, control)

    def on_pre_optimizer_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Complete the checkpoint that the Trainer writes on SIGTERM."""
        self._join_preemption(args, state, control)

    def on_optimizer_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Take in the weights after an optimizer step, before any callback's `on_step_end` can save or evaluate."""
        if self._run and not self._ended and not _undoes_step(find_trainer(self)):
            self._run.stepped(state.global_step + 1)

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Prepare the checkpoint of this step; undo the step if the run had ended before."""
        trainer = find_trainer(self)
        if self._ended:
            self._ended.undo(control, trainer)
        elif self._run and not _undoes_step(trainer):
            self._run.stepped(state.global_step)  # for a Trainer whose own loop does not call `on_optimizer_step`
            if control.should_save:
                self._run.before_save()
            if state.global_step < state.max_steps:
                self._join_preemption(args, state, control)

    def on_epoch_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Prepare the checkpoint of the epoch; cancel it, and the evaluation, if the run had ended before."""
        if self._ended:
            self._ended.skip(control)
        elif self._preempted_at is not None:
            control.should_save = control.should_evaluate = False
        elif self._run and control.should_save:
            self._run.before_save()

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Move the average into the checkpoint that was written."""
        if self._run:
            self._run.saved()

    def on_log(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Leave the average in the model, at the last event before any callback's `on_train_end`."""
        if self._run and "train_runtime" in (kwargs.get("logs") or {}):
            self._run.finish(Path(str(args.output_dir)) / RAW_FOLDER if self.keep_raw else None)

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Drop the run, and write its record."""
        if self._run:
            self._result = self._run.result(has_ended=True)
            self._forget()
            save_state(args, state)

    def __getstate__(self) -> dict[str, Any]:
        """Return the settings alone: a training's average, model and Trainer are no part of a copy or a pickle."""
        return {name: value for name, value in vars(self).items() if not name.startswith("_")}

    # --- parts ----------------------------------------------------------------------------------------------

    @property
    def result(self) -> AveragingResult | None:
        """The average of the training that is going on, or of the last one; None before the first."""
        return self._run.result() if self._run else self._result

    @property
    def measured_on(self) -> str:
        """What the metrics of the training are measured on, in words."""
        return self._measured_on

    def _forget(self) -> None:
        if self._run:
            self._run.close()
        self._run = self._ended = self._preempted_at = None

    def _join_preemption(self, args: TrainingArguments, state: TrainerState, control: TrainerControl) -> None:
        """Add to a checkpoint that the Trainer has written on SIGTERM, which no other event announces."""
        folder = preemption_folder(args, state, control)
        if folder is None or self._run is None or self._ended or self._preempted_at is not None:
            return
        if not _undoes_step(find_trainer(self)) and from_rank_zero(folder.is_dir()):
            self._preempted_at = state.global_step
            self._run.saved()


def refuse_others(callbacks: Iterable[TrainerCallback]) -> None:
    """Raise `StrategyError` if a callback among these makes no sense beside a `WeightAveraging` among them."""
    every = list(callbacks)
    averaging = [each for each in every if isinstance(each, WeightAveraging)]
    if len(averaging) > 1:
        raise StrategyError(f"there are two {NAME} callbacks: leave one out")
    for other in every if averaging else ():
        if isinstance(other, PlateauCooldown) and other.average is not None:
            raise StrategyError(
                f"PlateauCooldown(average={str(other.average)!r}) beside {NAME} would average the weights twice:"
                " leave one of them out"
            )
        if isinstance(other, PlateauCooldown) and other.rewind != "none":
            raise StrategyError(
                f"PlateauCooldown(rewind={other.rewind!r}) beside {NAME} would train on from the average, with the"
                " optimizer's state of the raw weights: set rewind='none', or leave one of them out"
            )
        if getattr(other, "restores", None) and getattr(other, "weights_in", "memory") == "disk":
            raise StrategyError(
                f"{type(other).__name__} with weights_in='disk' beside {NAME} would keep the Trainer's checkpoints,"
                " which have the raw weights: set weights_in='memory'"
            )


def _undoes_step(trainer: Trainer | None) -> bool:
    """Whether the step just made is undone, because another callback has found that the run had ended before."""
    callbacks = trainer.callback_handler.callbacks if trainer else ()
    return any(isinstance(each, MetricCallback) and each.undoes_step for each in callbacks)


def _places(value: object) -> str:
    return did_you_mean(str(value), PLACES)
