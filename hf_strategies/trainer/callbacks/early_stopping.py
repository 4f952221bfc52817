"""Early stopping for the Trainer: the decision is a `StoppingRule` over the Trainer's own log."""

from pathlib import Path
from typing import Any

from torch import nn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer import TRAINER_STATE_NAME

from hf_strategies.stopping import Judgement, StoppingRule, reason, record
from hf_strategies.trainer.best_weights.keeper import BestKeeper
from hf_strategies.trainer.callbacks.checks import (
    check_logged,
    check_needs,
    keeper_name,
    read_place,
    read_rule,
    read_switch,
    refuse_other_restorer,
)
from hf_strategies.trainer.callbacks.context import Host, records, say
from hf_strategies.trainer.callbacks.ended_run import IdleStep
from hf_strategies.trainer.callbacks.metric_watch import MetricWatch
from hf_strategies.trainer.callbacks.usage import MeterBook
from hf_strategies.trainer.distributed import from_rank_zero

__all__ = ["EarlyStopping"]

_TRAINED_ON = "hf_strategies_trained_on"  # in the Trainer's state: record -> the step from which it trained on


class EarlyStopping(TrainerCallback):
    """Stop training when validation says that it is done, and keep the best weights.

    Training stops at the first evaluation at which ``stop_when`` holds. By default that is the ``patience``-th in a
    row without an improvement; a value v improves on the best b when v < b - margin (``mode="min"``) or
    v > b + margin (``"max"``), margin = max(``min_delta``, ``relative_delta`` * abs(b), ``z`` * standard error).
    NaN and infinities never improve. Several evaluations at one step count once.

    The decision is a pure function of the Trainer's `log_history`, which every checkpoint holds: a resumed run
    decides as the uninterrupted one would, and one that had stopped does not train on. (Both must make the same
    evaluations: on resume `eval_on_start` adds one, and a checkpoint that `save_strategy="steps"` writes at the
    very end of an epoch lacks the evaluation of that epoch.) It needs neither
    `load_best_model_at_end` nor `metric_for_best_model` nor any `save_strategy`. On several processes all follow
    rank 0. What happened is in `trainer_state.json` under `stateful_callbacks`, on the console, with the trackers
    of `report_to` and in the model card.

    Args:
        monitor: a metric of `evaluate()`, with or without ``eval_`` in front, or an expression of several, such as
            ``"mean(books_loss, web_loss)"`` for evaluation sets named books and web; see `Metric`.
        patience: what is allowed without an improvement: 3 (evaluations, at least 1), ``"500 steps"``, ``"2ep"``, or
            0.1 (of the planned steps); 3 if neither this nor ``stop_when`` is given.
        min_delta: smallest change that is an improvement, in the metric's unit, at least 0.
        mode: ``"min"`` or ``"max"``; None when ``monitor`` is a metric whose direction is known.
        restore_best_weights: keep the weights of the best evaluation and put them back at the end of training,
            whether it was stopped or its budget ended (not on an exception).
        stop_when: criteria joined by ``or`` and ``and`` in place of ``patience``, such as
            ``"patience(5) or target(0.95) or divergence(factor=3)"``; `stopping.CRITERIA` has them all. Each takes
            ``monitor=`` and ``mode=`` when it looks at another metric.
        relative_delta: smallest change that is an improvement, as a share of the best value, in [0, 1].
        z: smallest change that is an improvement, in standard errors of the metric, which ``compute_metrics``
            returns as ``<metric>_stderr`` (see `standard_error`); a proportion such as accuracy needs only
            ``samples``.
        samples: the number of evaluation examples.
        baseline: an improvement ends the wait only if it beats this value too, as in Keras; with ``patience``.
        smoothing: judge the metric smoothed: ``"ema(0.3)"``, ``"median(3)"``, ``"mean(3)"``; see `Smoothing`.
        start_from: evaluations before this are not looked at, neither for a stop nor for the best; a number of
            them, ``"500 steps"``, ``"2ep"`` or a fraction of the planned steps.
        weights_in: ``"memory"`` or ``"disk"``: where the best weights are kept; see `BestKeeper` for the cost.
        train_on: let a run that has stopped train on when it is resumed; evaluations from there on are judged anew.

    Raises `StrategyError` for a bad argument, when training starts without an `eval_strategy` or without what a
    criterion needs, and at the first evaluation that lacks the metric.

    >>> from transformers import Trainer, TrainingArguments
    >>> args = TrainingArguments("out", eval_strategy="epoch", lr_scheduler_type="linear_warmup_cosine_decay")
    >>> callbacks = [EarlyStopping(monitor="accuracy", patience=3)]  # Trainer(..., callbacks=callbacks)
    """

    def __init__(
        self,
        monitor: str = "loss",
        patience: int | float | str | None = None,
        min_delta: float = 0.0,
        mode: str | None = None,
        restore_best_weights: bool = True,
        *,
        stop_when: str | None = None,
        relative_delta: float = 0.0,
        z: float = 0.0,
        samples: float | None = None,
        baseline: float | None = None,
        smoothing: str | None = None,
        start_from: int | float | str = 0,
        weights_in: str = "memory",
        train_on: bool = False,
    ) -> None:
        improvement = {"min_delta": min_delta, "relative_delta": relative_delta, "z": z, "samples": samples}
        self.rule: StoppingRule = read_rule(
            monitor, stop_when, patience, baseline, mode, smoothing=smoothing, start_from=start_from, **improvement
        )
        self.names = self.rule.names
        self.train_on = read_switch("train_on", train_on)
        restores = read_switch("restore_best_weights", restore_best_weights)
        self.restores = keeper_name(self.rule) if restores else None
        self.weights_in = read_place("weights_in", weights_in)
        self._keeper: BestKeeper | None = None
        self._watch: MetricWatch | None = None  # while training
        self._told = False
        self._idle: IdleStep | None = None  # of a run that had stopped
        self._after = 0  # the step up to which a stop is past and gone

    # --- events ---------------------------------------------------------------------------------------------

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Check the settings, and take up where a resumed run left off."""
        self._watch = MetricWatch("EarlyStopping", self.rule.names, args)
        self._host = Host(self)
        check_needs(self.rule, args, state, kwargs["model"], self._host.trainer)
        refuse_other_restorer(self._host.trainer, self, EarlyStopping)
        self._book = MeterBook(state, self.rule.budgets, self._host.trainer)
        self._keeper = BestKeeper(kwargs["model"], args, self.restores, self.weights_in) if self.restores else None
        self._idle, self._told = None, False
        self._after = int(records(state).get(_TRAINED_ON, {}).get(self._key, 0)) if state.global_step else 0
        # Those of this training are written again; an earlier one's, of other settings, would be out of date.
        for key in [key for key in records(state) if key.startswith("EarlyStopping(")]:
            del records(state)[key]
        if state.global_step > 0:
            self._resume(state, control, kwargs["model"])

    def on_evaluate(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Decide, and keep the weights when they are the best so far."""
        if self._watch is None or self._idle:
            return
        if not self._watch.completes(kwargs["metrics"], state.global_step):
            return
        seconds = self._book.stamp(state)
        judgement = self._judge(state)
        check_logged(judgement, state)
        if self._keeper:
            self._keeper.evaluated(state, control, judgement.last_is_best)
        found = self._record(state, judgement, seconds)
        self._host.show(self.rule.progress(judgement))
        if judgement.stop:
            control.should_training_stop = True
            say(state, found["reason"])
            self._tell(found)

    def on_step_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Fail if the evaluations since the last step, of whatever sets, had no such metric."""
        if self._watch:
            self._watch.refuse_unknown(state)

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Ask for an evaluation when a budget is spent; undo the step that a stopped run cannot be kept from."""
        if self._idle:
            self._idle.undo(control)
        elif self._watch:
            self._book.on_step_end(state)
            if self._book.spent(state):
                control.should_evaluate = True
            if self._keeper:
                self._keeper.before_save(state, control)

    def on_epoch_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Neither save nor evaluate after that one step."""
        if self._idle:
            self._idle.skip(control)
        elif self._keeper:
            self._keeper.before_save(state, control)

    def on_log(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Tell the trackers how training ended: this is the last event before they are closed."""
        if self._watch and not self._told and "train_runtime" in (kwargs.get("logs") or {}):
            self._tell(self._record(state, self._judge(state), from_rank_zero(self._book.seconds)))

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Make the best weights safe from a crash."""
        if self._keeper:
            self._keeper.on_save(state)

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Restore the best weights and write down how it ended."""
        watch, self._watch = self._watch, None
        if watch:
            watch.refuse_unknown(state)
        judgement = self._judge(state)
        restored = bool(self._keeper and self._keeper.restore())
        if self._keeper and restored:
            say(state, f"Restored the best weights, of step {self._keeper.step}.")
        found = self._record(state, judgement, from_rank_zero(self._book.seconds), restored)
        self._host.put_on_card(self._key, ("end of training: " if judgement.stop else "") + found["reason"])
        if args.should_save and not state.is_hyper_param_search:
            state.save_to_json(str(Path(str(args.output_dir)) / TRAINER_STATE_NAME))

    # --- parts ----------------------------------------------------------------------------------------------

    def _judge(self, state: TrainerState) -> Judgement:
        meters = self._book.meters(state)
        judgement = self.rule.judge(
            state.log_history, meters=meters, total_steps=state.max_steps, after_step=self._after
        )
        return from_rank_zero(judgement)

    def _resume(self, state: TrainerState, control: TrainerControl, model: nn.Module) -> None:
        judgement = self._judge(state)
        if self._keeper and judgement.best:
            best = judgement.best
            self._keeper.find(state, best.step, f"{self.rule.monitor}={best.value:.6g}")
        if judgement.stop and self.train_on:
            self._after = records(state).setdefault(_TRAINED_ON, {})[self._key] = state.global_step
            say(state, f"This run had stopped and trains on from step {state.global_step}, as train_on=True asks.")
        elif judgement.stop:
            control.should_training_stop = True
            self._idle = IdleStep(model)
            say(state, f"This run has stopped already and does not train on. {reason(self.rule, judgement)}")

    @property
    def _key(self) -> str:
        return f"EarlyStopping({self.rule})"

    def _record(
        self, state: TrainerState, judgement: Judgement, seconds: float, restored: bool = False
    ) -> dict[str, Any]:
        # Not through ExportableState: the Trainer raises KeyError for such a callback that is new on resume.
        found = record(self.rule, judgement)
        found |= {"wall_seconds": round(seconds, 3), "restored_best_weights": restored}
        found |= {"trained_on_after": self._after} if self._after else {}
        records(state)[self._key] = found
        return found

    def _tell(self, found: dict[str, Any]) -> None:
        self._told = True
        numbers = ("stopped", "stop_step", "best_step", "best_value", "evaluations_since_best", "wall_seconds")
        self._host.track(
            {f"early_stopping_{name}": found[name] for name in numbers}, {"early_stopping_reason": found["reason"]}
        )
