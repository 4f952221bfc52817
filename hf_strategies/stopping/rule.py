"""A stopping rule, its judgement of a history, and the reason and the record of that judgement for users.

The rule has the watched metric, the condition to stop, and the evaluation from which on both apply.
"""

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from hf_strategies.errors import StrategyError, did_you_mean
from hf_strategies.lengths import Span
from hf_strategies.stopping.condition import (
    Condition,
    CountedPatience,
    WatchedMetric,
    calls,
    check_parameters,
    metric_names,
    parse,
    patience_in_evaluations,
)
from hf_strategies.stopping.criteria.patience import waits
from hf_strategies.stopping.criteria.table import CRITERIA
from hf_strategies.stopping.evaluation_log import EvaluationLog
from hf_strategies.stopping.history import Series, Usage, with_value
from hf_strategies.stopping.improvement import IMPROVEMENT_PARAMETERS, Improvement
from hf_strategies.stopping.judge import Judgement, RowJudge
from hf_strategies.stopping.metric import Metric
from hf_strategies.stopping.parameters import Duration
from hf_strategies.stopping.smoothing import Smoothing

__all__ = ["Judgement", "StoppingRule", "reason", "record"]


@dataclass(frozen=True)
class StoppingRule:
    """Stop training when a condition on the evaluations holds.

    ``watched`` is the metric whose best evaluation is reported, ``condition`` when to stop, and ``start_from`` the
    length of training before which evaluations are ignored. `read` makes a rule of settings as users write them.
    """

    watched: WatchedMetric
    condition: Condition
    start_from: Span

    @classmethod
    def read(
        cls,
        monitor: object = "loss",
        stop_when: object = None,
        mode: str | None = None,
        *,
        patience: object = None,
        baseline: object = None,
        smoothing: object = None,
        start_from: object = 0,
        **improvement: object,
    ) -> "StoppingRule":
        """Return the rule that a user's settings describe; raise `StrategyError` for a bad setting.

        ``monitor`` is a metric or an expression of metrics (`Metric`), and ``mode`` its direction if that is not
        known from the name. ``stop_when`` is a condition, see `condition.parse`. Without it, ``patience`` (3 by
        default) and ``baseline`` are the parameters of the criterion `patience`. ``smoothing`` (`Smoothing.read`) is
        applied to the metric before it is judged and before the best is chosen. Evaluations before ``start_from`` (a
        number of evaluations, "500 steps", "2ep" or a fraction of training) count neither for a stop nor for the
        best. ``improvement`` has the settings ``min_delta``, ``relative_delta``, ``z``, ``samples``: `Improvement`.

        >>> print(StoppingRule.read("accuracy", "patience(3) or target(0.95)", min_delta=0.01))
        eval_accuracy, patience(3) or target(0.95), min_delta=0.01
        """
        metric = Metric.read(monitor)
        if unknown := sorted(improvement.keys() - IMPROVEMENT_PARAMETERS.keys()):
            name, known = unknown[0], ["patience", "baseline", "smoothing", "start_from", *IMPROVEMENT_PARAMETERS]
            raise StrategyError(
                f"{name}={improvement[name]!r} is no setting of a stopping rule: {did_you_mean(name, known)}"
            )
        watched = WatchedMetric(
            metric,
            metric.direction(mode),
            None if smoothing is None else Smoothing.read(smoothing),
            Improvement.read(**improvement),
        )
        condition = parse(_condition_text(stop_when, patience, baseline))
        rule = cls(watched, condition, Duration(0, "", low=0).read("start_from", start_from))
        check_parameters(condition, watched)
        return rule

    def judge(
        self,
        log_history: Iterable[Mapping[str, Any]],
        *,
        usage: Usage | None = None,
        total_steps: int | None = None,
        after_step: int = 0,
    ) -> Judgement:
        """Judge the log of a Trainer, the ``log_history`` of `trainer_state.json`.

        ``usage`` is what training had used up, for budgets; a resource that was not recorded spends no budget.
        ``total_steps`` is the planned number of optimizer steps, for fractions of training. Evaluations up to
        ``after_step`` cannot stop training, but may be the best; the waiting starts anew at ``after_step``, as in a
        run that goes on after a stop.

        >>> log = [{"eval_loss": value, "step": step} for step, value in ((10, 0.5), (20, 0.7), (30, 0.6))]
        >>> StoppingRule.read("loss", "patience(2)").judge(log).stop.step
        30
        """
        log = EvaluationLog(self.names, usage, total_steps)
        log.read(list(log_history))
        judgement = self.judge_evaluations(log, after_step)
        return replace(judgement, history=tuple(judgement.history))

    def judge_evaluations(self, log: EvaluationLog, after_step: int = 0) -> Judgement:
        """Judge the evaluations of a log; several rules can judge one log, which is then read once."""
        return RowJudge(self, log, after_step).judgement()

    @property
    def names(self) -> tuple[str, ...]:
        """The names, as in the Trainer's log, of all metrics that an evaluation needs to be judged."""
        return metric_names(self.condition, self.watched)

    @property
    def monitor(self) -> str:
        """The name or the expression of the watched metric, for messages."""
        return self.watched.metric.text

    @property
    def budgets(self) -> list[tuple[str, float]]:
        """Each budget in the condition: its resource ("seconds", "flos" or "tokens") and its limit.

        >>> StoppingRule.read("loss", "time_budget('2h') or time_budget(60) and patience(3)").budgets
        [('seconds', 7200.0), ('seconds', 60.0)]
        """
        spending = [(call.criterion.resource, call.parameters) for call in calls(self.condition)]
        return [(resource, float(parameters["limit"])) for resource, parameters in spending if resource]

    @property
    def only_for_safety(self) -> bool:
        """Whether all criteria end a run for good, and none because the metric has stalled (`Criterion.safety`)."""
        return all(call.criterion.safety for call in calls(self.condition))

    def progress(self, judgement: Judgement) -> str:
        """Return in a few words how far the first criterion with a patience in evaluations has come.

        >>> rule = StoppingRule.read("loss", "patience(3)")
        >>> rule.progress(rule.judge([{"eval_loss": 1.0, "step": 1}, {"eval_loss": 2.0, "step": 2}]))
        'no improvement 1/3'
        """
        counted = patience_in_evaluations(self.condition, self.watched)
        if counted is None:
            return f"no improvement for {judgement.waited}"
        used = _waited(judgement, counted) if judgement.patience_used is None else judgement.patience_used
        return f"no improvement {used:g}/{counted.amount:g}"

    def __str__(self) -> str:
        watched = self.watched
        parts = [str(watched), str(self.condition)]
        parts += [str(watched.improvement)] if str(watched.improvement) else []
        parts += [f"start_from={self.start_from!r}"] if self.start_from.amount else []
        return ", ".join(parts)


def reason(rule: StoppingRule, judgement: Judgement) -> str:
    """Return in one sentence where and why training stopped, or that it has not stopped.

    >>> rule = StoppingRule.read("loss", "patience(1)")
    >>> log = [{"eval_loss": 1.0, "step": 10, "epoch": 1.0}, {"eval_loss": 1.5, "step": 20, "epoch": 2.0}]
    >>> print(reason(rule, rule.judge(log)).partition(";")[0])
    Stopped early at step 20 (epoch 2.00): eval_loss has not improved for 1 evaluation
    """
    stop, best = judgement.stop, judgement.best
    if stop is None:
        return f"Not stopped early: {rule.progress(judgement)}."
    stopped = f"Stopped early at step {stop.step} (epoch {stop.epoch:.2f}): {judgement.why}"
    if best is None:
        return f"{stopped}; {rule.monitor} never was finite."
    return f"{stopped}; best {best.value:.6g} at step {best.step} (epoch {best.epoch:.2f})."


def record(rule: StoppingRule, judgement: Judgement) -> dict[str, Any]:
    """Return a judgement as plain JSON values: the settings, the stop, the reason, the best and all values."""
    stop, best = judgement.stop, judgement.best
    return {
        "monitor": rule.monitor,
        "mode": rule.watched.mode,
        "criterion": str(rule.condition),
        "settings": str(rule),
        "stopped": stop is not None,
        "reason": reason(rule, judgement),
        "stop_step": stop and stop.step,
        "stop_epoch": stop and stop.epoch,
        "stop_value": stop and stop.value,
        "best_step": best and best.step,
        "best_epoch": best and best.epoch,
        "best_value": best and best.value,
        "values": judgement.values,
        "evaluations": len(judgement.history),
        "evaluations_since_best": judgement.waited,
    }


def _condition_text(stop_when: object, patience: object, baseline: object) -> object:
    """Return ``stop_when``, or in its absence the condition that a patience and its baseline stand for."""
    if stop_when is not None:
        for name, value in (("patience", patience), ("baseline", baseline)):
            if value is not None:
                raise StrategyError(
                    f"{name}={value!r} and stop_when={stop_when!r} are both given: write it into stop_when, such as"
                    f" stop_when='patience(3) or ...'"
                )
        return stop_when
    rows = CRITERIA["patience"].parameters
    length = rows["patience"].read("patience", 3 if patience is None else patience)
    return f"patience({length!r}, baseline={rows['baseline'].read('baseline', baseline)!r})"


def _waited(judgement: Judgement, counted: CountedPatience) -> float:
    """Return for how many evaluations a criterion with a patience has waited, up to the stop if there is one."""
    end = None if judgement.stop_index is None else judgement.stop_index + 1
    judged, smoothing = judgement.history[judgement.first_judged : end], counted.watched.smoothing
    values = [evaluation.value for evaluation in judged]
    smoothed = smoothing.apply(values) if smoothing else values
    series = Series(tuple(map(with_value, judged, smoothed)), counted.watched.mode, str(counted.watched))
    waiting = waits(series, counted.watched.improvement, "evaluations", counted.baseline)
    return max(deque(waiting, maxlen=1), default=(False, 0.0))[1]
