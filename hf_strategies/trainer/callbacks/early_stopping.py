"""Early stopping for the Trainer: a `StoppingRule` decides from the Trainer's own log."""

from dataclasses import replace
from typing import Any

from transformers import TrainerControl, TrainerState, TrainingArguments

from hf_strategies.stopping import Judgement, StoppingRule, reason, record
from hf_strategies.stopping.evaluation_log import History, Prefix
from hf_strategies.stopping.history import Usage
from hf_strategies.stopping.log_judge import LogJudge
from hf_strategies.stopping.results import EARLY_STOPPING, StoppingResult
from hf_strategies.trainer.best_weights.keeper import BestKeeper, read_where
from hf_strategies.trainer.callbacks.base import MetricCallback, MetricRun, best_weights_name, save_state
from hf_strategies.trainer.callbacks.checks import check_needs, refuse_idle, refuse_other_restorer
from hf_strategies.trainer.callbacks.context import TrainerContext, record_key, records, take_record
from hf_strategies.trainer.callbacks.usage import UsageLog
from hf_strategies.trainer.distributed import from_rank_zero, say
from hf_strategies.values import switch

__all__ = ["EarlyStopping"]

# In the Trainer's state: for each rule, the step up to which evaluations do not stop the run, because the run has
# trained on after a stop, or had other settings until then.
_TRAINED_ON = "hf_strategies_trained_on"


class EarlyStopping(MetricCallback):
    """Stop training when a validation metric no longer improves, and restore the best weights.

    Training stops at the first evaluation at which ``stop_when`` holds; by default that is the ``patience``-th
    evaluation in a row without an improvement. A value v improves on the best value b if v < b - margin
    (``mode="min"``) or v > b + margin (``"max"``), where margin = max(``min_delta``, ``relative_delta`` * abs(b),
    ``z`` * standard error). NaN and infinities never improve. Several evaluations at one step count once.

    The decision is a pure function of the Trainer's `log_history`, which every checkpoint contains. So a resumed run
    decides as the uninterrupted run would, and a run that had stopped does not train on. An evaluation that the
    checkpoint lacks is made on resume, and the one of `eval_on_start` does not count there. If the callback is new on
    resume, or has other settings than before, earlier evaluations cannot stop training: a new callback begins to wait
    where the run is resumed, and so does one whose new settings would have stopped the run before. The best
    evaluation so far stays the best. The callback needs neither
    `load_best_model_at_end` nor `metric_for_best_model` nor any `save_strategy`. On several processes, all follow the
    decision of rank 0. The result is recorded in `trainer_state.json` under ``early_stopping`` in
    `stateful_callbacks`, printed on the console, sent to the trackers of `report_to`, and added to the model card. In
    Python it is ``result``, a `StoppingResult`: the best step and value, whether and why training was stopped, and
    which weights the model has. It is None before training, and has the evaluations so far while training.

    Args:
        monitor: a metric of `evaluate()`, with or without the prefix ``eval_``, or an expression of several metrics,
            such as ``"mean(books_loss, web_loss)"`` for evaluation sets named books and web; see `Metric`.
        patience: how long training goes on without an improvement: 3 (evaluations, at least 1), ``"500 steps"``,
            ``"2ep"``, or 0.1 (of the planned steps). The default is 3 if ``stop_when`` is not given either.
        min_delta: the smallest change that is an improvement, in the metric's unit, at least 0.
        mode: ``"min"`` or ``"max"``; None if ``monitor`` is a metric whose direction is known.
        restore_best_weights: save the weights of the best evaluation and restore them at the end of training, whether
            it was stopped or its budget ended (not on an exception).
        stop_when: criteria joined by ``or`` and ``and``, in place of ``patience``, such as
            ``"patience(5) or target(0.95) or divergence(factor=3)"``. `stopping.CRITERIA` lists all criteria. Each
            takes ``monitor=`` and ``mode=``, for another metric.
        relative_delta: the smallest change that is an improvement, as a fraction of the best value, in [0, 1].
        z: the smallest change that is an improvement, in standard errors of the metric. ``compute_metrics`` returns
            the standard error as ``<metric>_stderr`` (see `standard_error`); for a proportion such as accuracy,
            ``samples`` is enough.
        samples: the number of evaluation examples.
        baseline: an improvement resets the patience only if it also beats this value, as in Keras; with ``patience``.
        smoothing: smooth the metric before it is judged: ``"ema(0.3)"``, ``"median(3)"``, ``"mean(3)"``; see
            `Smoothing`.
        start_from: ignore earlier evaluations, both for the stop and for the best; a number of evaluations,
            ``"500 steps"``, ``"2ep"`` or a fraction of the planned steps.
        weights_in: where the best weights are saved, ``"memory"`` or ``"disk"``; see `BestKeeper` for the cost.
        train_on: let a run that has stopped train on when it is resumed; only later evaluations can stop it again.

    Raises `StrategyError` for a bad argument; when training starts without an `eval_strategy`, or without what a
    criterion needs; and at the first evaluation that lacks the metric.

    >>> from transformers import Trainer, TrainingArguments
    >>> args = TrainingArguments("out", eval_strategy="epoch", lr_scheduler_type="linear_warmup_cosine_decay")
    >>> stopping = EarlyStopping(monitor="accuracy", patience=3)  # Trainer(..., callbacks=[stopping])
    >>> stopping.result is None  # after train(): stopping.result.best_step, .best_value, .stopped, .reason, .kept
    True
    """

    record_name = EARLY_STOPPING

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
        self.rule: StoppingRule = StoppingRule.read(
            monitor,
            stop_when,
            mode,
            patience=patience,
            baseline=baseline,
            smoothing=smoothing,
            start_from=start_from,
            min_delta=min_delta,
            relative_delta=relative_delta,
            z=z,
            samples=samples,
        )
        self.names = self.rule.names
        self.asks_for_evaluations = bool(self.rule.budgets)
        self.train_on = switch("train_on", train_on)
        restores = switch("restore_best_weights", restore_best_weights)
        self.restores = best_weights_name(self.rule) if restores else None
        self.weights_in = read_where("weights_in", weights_in)
        if not restores:
            refuse_idle("weights_in", weights_in, "memory", "with restore_best_weights=False: leave one of them out")
        if not self.rule.watched.improvement.z:
            refuse_idle("samples", samples, None, "without z: set that too, such as z=1, or leave it out")

    @property
    def record_settings(self) -> str:
        """The rule as text, as in the record."""
        return str(self.rule)

    @property
    def result(self) -> StoppingResult | None:
        """What happened in the training that is going on, or in the last one; None before the first."""
        result: StoppingResult | None = super().result
        return result

    def start(
        self, context: TrainerContext, args: TrainingArguments, state: TrainerState, event: dict[str, Any]
    ) -> MetricRun:
        """Check that the training has what the rule needs, and return its run, which may be a resumed one."""
        check_needs(self.rule, args, state, event, context.trainer)
        refuse_other_restorer(context.trainer, self, EarlyStopping)
        averaged = context.averaging is not None
        keeper = (
            BestKeeper(event["model"], args, self.restores, self.weights_in, averaged=averaged)
            if self.restores
            else None
        )
        return _StoppingRun(self, context, args, state, keeper)


class _StoppingRun(MetricRun):
    """Early stopping in one training; every judgement follows from the log and the planned steps."""

    def __init__(
        self,
        callback: EarlyStopping,
        context: TrainerContext,
        args: TrainingArguments,
        state: TrainerState,
        keeper: BestKeeper | None,
    ) -> None:
        self._rule, self._context, self._args, self._keeper = callback.rule, context, args, keeper
        self._usage = UsageLog(state, callback.rule.budgets, context.trainer)
        self._key = record_key(callback, context.trainer)
        self._judgements = _SharedJudge(callback.rule)
        self._tracked = False
        resumed = state.global_step > 0
        # A stop up to this step is ignored.
        self._after = int(records(state).get(_TRAINED_ON, {}).get(str(self._rule), 0)) if resumed else 0
        before = take_record(state, callback, context.trainer)
        if resumed:
            self._resume(state, callback.train_on, before)
        else:
            self._record(state, self._judge(state), 0.0)

    def evaluated(self, state: TrainerState, control: TrainerControl) -> None:
        """Save the weights if they are the best so far, and stop training if the rule decides so."""
        seconds = self._usage.evaluated(state)
        judgement = self._judge(state)
        if self._keeper:
            self._keeper.evaluated(state, control, judgement.last_is_best)
        result = self._record(state, judgement, seconds)
        self._context.show(self._rule.progress(judgement))
        if judgement.last_is_best and judgement.best:
            self._context.tell_event("best", judgement.best.value, f"{self._rule.monitor}={judgement.best.value:.6g}")
        if judgement.stop:
            self._context.tell_event("stop", state.global_step, result["reason"])
            control.should_training_stop = True
            say(state, result["reason"])
            self._track(result)

    def stepped(self, state: TrainerState, control: TrainerControl) -> None:
        """Ask for an evaluation when a budget is spent."""
        self._usage.stepped(state)
        if self._usage.spent(state):
            control.should_evaluate = True
        self.before_save(state, control)

    def before_save(self, state: TrainerState, control: TrainerControl) -> None:
        """Write the best weights for the checkpoint of this step, if there is one."""
        if self._keeper:
            self._keeper.before_save(state, control)

    def saved(self, state: TrainerState) -> None:
        """Put the best weights into the checkpoint, or protect the checkpoint that holds them."""
        if self._keeper:
            self._keeper.on_save(state)

    def track(self, state: TrainerState) -> None:
        """Send the result to the trackers, unless it was sent at the stop."""
        if not self._tracked:
            self._track(self._record(state, self._judge(state), from_rank_zero(self._usage.seconds)))

    def finish(self, state: TrainerState) -> None:
        """Restore the best weights and record how training ended."""
        judgement = self._judge(state)
        restored = bool(self._keeper and self._keeper.restore())
        if self._keeper and restored:
            say(state, f"Restored the best weights, of step {self._keeper.step}.")
        result = self._record(state, judgement, from_rank_zero(self._usage.seconds), restored)
        self._context.put_on_card(self._key, ("end of training: " if judgement.stop else "") + result["reason"])
        save_state(self._args, state)

    def _judge(self, state: TrainerState) -> Judgement:
        return self._judgements.judge(state, self._usage.usage(state), self._after)

    def _resume(self, state: TrainerState, train_on: bool, before: dict[str, Any] | None) -> None:
        """Read the best weights again, and decide whether the run is over; ``before`` is its record, if any."""
        judgement = self._judge(state)
        had_stopped = before is not None and before["settings"] == str(self._rule) and before["stopped"]
        if before is None or (judgement.stop and not had_stopped):
            self._ignore_stops(state)
        elif judgement.stop and train_on:
            self._ignore_stops(state)
            say(state, f"This run had stopped and trains on from step {state.global_step}, as train_on=True asks.")
        elif judgement.stop:
            self.was_over = True
            say(state, f"This run has stopped already and does not train on. {reason(self._rule, judgement)}")
        judgement = self._judge(state)
        if self._keeper and judgement.best:
            best = judgement.best
            self._keeper.resume(state, best.step, f"{self._rule.monitor}={best.value:.6g}")
        self._record(state, judgement, from_rank_zero(self._usage.seconds))

    def _ignore_stops(self, state: TrainerState) -> None:
        """Ignore stops up to the present step, in this run and in runs that are resumed from it."""
        self._after = records(state).setdefault(_TRAINED_ON, {})[str(self._rule)] = state.global_step

    def _record(
        self, state: TrainerState, judgement: Judgement, seconds: float, restored: bool | None = None
    ) -> dict[str, Any]:
        """Write the record into the state and return it; ``restored`` is None while training."""
        # ExportableState is not used: with it the Trainer raises KeyError if a run is resumed with a new callback.
        result = record(self._rule, judgement)
        result |= {"wall_seconds": round(seconds, 3), "restored_best_weights": bool(restored)}
        result |= {"trained_on_after": self._after} if self._after else {}
        result = records(state)[self._key] = self._context.measured(result)
        self.result = StoppingResult.of(result)
        if restored is not None:
            step = self._keeper.step if self._keeper and restored else state.global_step
            self.result = StoppingResult.of(result, "best" if restored else "end", step)
        return result

    def _track(self, result: dict[str, Any]) -> None:
        self._tracked = True
        numbers = ("stopped", "stop_step", "best_step", "best_value", "evaluations_since_best", "wall_seconds")
        self._context.track(
            {f"early_stopping_{name}": result[name] for name in numbers}, {"early_stopping_reason": result["reason"]}
        )


class _SharedJudge:
    """Judges the log of one training by a rule, in the same way on every process, and reads each entry of it once.

    Rank 0 sends what it has decided and the evaluations that are new, because some metrics are in its log only.
    """

    def __init__(self, rule: StoppingRule) -> None:
        self._judge, self._history = LogJudge(rule), History()
        self._sent: History | None = None  # the history that was sent last, on rank 0

    def judge(self, state: TrainerState, usage: Usage, after_step: int) -> Judgement:
        """Return the judgement of rank 0; every process has to call this."""
        own = self._judge.judge(state.log_history, usage=usage, total_steps=state.max_steps, after_step=after_step)
        history = own.history.growing if isinstance(own.history, Prefix) else None
        known = len(self._history.evaluations) if history is self._sent else 0
        self._sent = history
        known, new, decision = from_rank_zero((known, own.history[known:], replace(own, history=())))
        if not known:
            self._history = History()
        for evaluation in new:
            self._history.add(evaluation)
        return replace(decision, history=Prefix(self._history, len(self._history.evaluations)))
