"""Early stopping for the Trainer: the decision is `stopping.patience` over the Trainer's own log."""

import hashlib
import json
import logging
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote

from accelerate.state import AcceleratorState
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer import TRAINER_STATE_NAME
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

import hf_strategies.auto  # noqa: F401  importing the callback is the one line that registers the schedules
from hf_strategies.errors import StrategyError
from hf_strategies.stopping import Evaluation, Judgement, PatienceRule
from hf_strategies.trainer.best_weights import BestWeights
from hf_strategies.trainer.ranks import from_rank_zero
from hf_strategies.trainer.watch import SHARDED, MetricWatch

__all__ = ["EarlyStopping"]

# Its lines go out at warning level: that is what a script shows which configures no logging.
logger = logging.getLogger(__name__)


class EarlyStopping(TrainerCallback):
    """Stop training when a validation metric has stopped improving, and keep the best weights.

    Training stops at the evaluation that is the ``patience``-th in a row without an improvement; a value v
    improves on the best b when v < b - ``min_delta`` (``mode="min"``) or v > b + ``min_delta`` (``"max"``).
    NaN and infinities never improve. Several evaluations at one step count once.

    The decision is a pure function of the Trainer's `log_history`, which every checkpoint holds: a resumed run
    decides as the uninterrupted one would, and one that had stopped does not train on. (Both must make the same
    evaluations: on resume `eval_on_start` adds one, and a checkpoint that `save_strategy="steps"` writes at the
    very end of an epoch lacks the evaluation of that epoch.) It needs neither
    `load_best_model_at_end` nor `metric_for_best_model` nor any `save_strategy`. On several processes all follow
    rank 0. What happened is in `trainer_state.json` under `stateful_callbacks`.

    Args:
        monitor: a metric of `evaluate()`, with or without ``eval_`` in front.
        patience: evaluations without improvement that are allowed, at least 1.
        min_delta: smallest change that is an improvement, in the metric's unit, at least 0.
        mode: ``"min"`` or ``"max"``; None when ``monitor`` is a metric whose direction is known.
        restore_best_weights: keep the weights of the best evaluation in CPU memory (see `BestWeights`) and put
            them back at the end of training, whether it was stopped or its budget ended (not on an exception).
            Each checkpoint that is not itself the best then holds them too, in one more file of the size of the
            weights, so that a resumed run has them.

    Raises `StrategyError` for a bad argument, when training starts without an `eval_strategy` or with sharded
    weights to restore, and at the first evaluation that lacks the metric.

    >>> from transformers import Trainer, TrainingArguments
    >>> args = TrainingArguments("out", eval_strategy="epoch", lr_scheduler_type="linear_warmup_cosine_decay")
    >>> callbacks = [EarlyStopping(monitor="accuracy", patience=3)]  # Trainer(..., callbacks=callbacks)
    """

    def __init__(
        self,
        monitor: str = "loss",
        patience: int = 3,
        min_delta: float = 0.0,
        mode: str | None = None,
        restore_best_weights: bool = True,
    ) -> None:
        self.rule = PatienceRule.read(monitor, patience, min_delta, mode)
        self.restore_best_weights = restore_best_weights
        self._weights: BestWeights | None = None
        self._watch: MetricWatch | None = None  # while training
        self._stopped_before = False

    # --- events ---------------------------------------------------------------------------------------------

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Check the settings, and take up where a resumed run left off."""
        self._watch = MetricWatch("EarlyStopping", self.rule.monitor, args)
        self._refuse_sharded()
        self._weights = BestWeights(kwargs["model"]) if self.restore_best_weights else None
        self._stopped_before = False
        # Those of this training are written again; an earlier one's, of other settings, would be out of date.
        for key in [key for key in _records(state) if key.startswith("EarlyStopping(")]:
            del _records(state)[key]
        if state.global_step > 0:
            self._resume(args, state, control)

    def on_evaluate(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Decide, and keep the weights when they are the best so far."""
        if self._watch is None or not self._watch.finds(kwargs["metrics"]) or self._stopped_before:
            return
        judgement = self._judge(state)
        if self._weights and judgement.last_is_best:
            self._weights.keep()
        self._record(state, judgement)
        if judgement.stop:
            control.should_training_stop = True
            _say(state, self.rule.reason(judgement))

    def on_step_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Fail if the evaluations since the last step, of whatever sets, had no such metric."""
        if self._watch:
            self._watch.refuse_unknown()

    def on_pre_optimizer_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Take the force out of the one step that the Trainer's loop cannot be kept from making."""
        if self._stopped_before:
            for group in kwargs["optimizer"].param_groups:
                group["lr"] = 0.0

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Neither save nor evaluate after that one step."""
        if self._stopped_before:
            control.should_save = control.should_evaluate = False

    def on_epoch_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Neither save nor evaluate after that one step."""
        self.on_step_end(args, state, control, **kwargs)

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Put the best weights beside a checkpoint that is not itself the best."""
        best = self._judge(state).best
        if not (best and self._weights and self._weights.is_kept and args.should_save):
            return
        folder = _checkpoint(args.output_dir, state)
        # A hyperparameter search saves elsewhere, and its trials are not resumed.
        if best.step != state.global_step and folder.is_dir() and not state.is_hyper_param_search:
            self._weights.save(folder / self._weights_file, {"log": _fingerprint(state)})

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Restore the best weights and write down how it ended."""
        watch, self._watch = self._watch, None
        if watch:
            watch.refuse_unknown()
        judgement = self._judge(state)
        restored = False
        if self._weights and judgement.best and self._weights.is_kept:
            self._weights.restore()
            restored = True
            _say(state, f"Restored the best weights, of step {judgement.best.step}.")
        self._record(state, judgement, restored)
        if args.should_save and not state.is_hyper_param_search:
            state.save_to_json(str(Path(str(args.output_dir)) / TRAINER_STATE_NAME))

    # --- parts ----------------------------------------------------------------------------------------------

    def _refuse_sharded(self) -> None:
        kind = AcceleratorState().distributed_type
        if self.restore_best_weights and kind in SHARDED:
            raise StrategyError(
                f"restore_best_weights=True cannot keep weights that {kind.value} shards: set"
                " restore_best_weights=False and use load_best_model_at_end=True"
            )

    def _judge(self, state: TrainerState) -> Judgement:
        return from_rank_zero(self.rule.judge(state.log_history))

    def _resume(self, args: TrainingArguments, state: TrainerState, control: TrainerControl) -> None:
        judgement = self._judge(state)
        if self._weights and judgement.best:
            self._find_weights(self._weights, args, state, judgement.best)
        if judgement.stop:
            self._stopped_before = control.should_training_stop = True
            _say(state, f"This run has stopped already and does not train on. {self.rule.reason(judgement)}")

    def _find_weights(
        self, weights: BestWeights, args: TrainingArguments, state: TrainerState, best: Evaluation
    ) -> None:
        """Take the best weights so far from the model, when they are what was loaded, or from the checkpoint."""
        if best.step == state.global_step:
            weights.keep()
            return
        # The Trainer does not tell where it resumes from; another run's checkpoint may lie in the first place.
        for folder in (_checkpoint(args.output_dir, state), Path(str(args.resume_from_checkpoint))):
            file = folder / self._weights_file
            if file.is_file() and BestWeights.note_of(file).get("log") == _fingerprint(state):
                weights.load(file)
                return
        _say(
            state,
            f"The best weights so far ({self.rule.monitor}={best.value:.6g} at step {best.step}) are lost: no"
            f" {self._weights_file!r} of this run lies in {str(_checkpoint(args.output_dir, state))!r}. What is"
            " restored is the best from here on, if it is better than that.",
        )

    @property
    def _weights_file(self) -> str:
        rule = self.rule
        return f"best_weights-{quote(rule.monitor, safe='')}-{rule.mode}-{rule.min_delta:g}.safetensors"

    def _record(self, state: TrainerState, judgement: Judgement, restored: bool = False) -> None:
        # Not through ExportableState: the Trainer raises KeyError for such a callback that is new on resume.
        rule = self.rule
        key = f"EarlyStopping({rule.monitor}, patience={rule.patience}, min_delta={rule.min_delta:g})"
        _records(state)[key] = rule.record(judgement) | {"restored_best_weights": restored}


def _say(state: TrainerState, line: str) -> None:
    if state.is_world_process_zero:
        logger.warning(line)


def _records(state: TrainerState) -> dict[str, Any]:
    return cast("dict[str, Any]", state.stateful_callbacks)


def _checkpoint(output_dir: str | None, state: TrainerState) -> Path:
    return Path(str(output_dir)) / f"{PREFIX_CHECKPOINT_DIR}-{state.global_step}"


def _fingerprint(state: TrainerState) -> str:
    """Tell this run, up to this step, from all others: its losses are in the log."""
    return hashlib.sha256(json.dumps(state.log_history, sort_keys=True).encode()).hexdigest()
