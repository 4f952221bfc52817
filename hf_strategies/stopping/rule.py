"""A stopping rule, its judgement of a history, and the reason and the record of that judgement for users.

The rule has the watched metric, the condition to stop, and the evaluation from which on both apply.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hf_strategies.errors import StrategyError, did_you_mean
from hf_strategies.lengths import Span
from hf_strategies.stopping.condition import (
    Condition,
    WatchedMetric,
    calls,
    metric_names,
    parse,
    reasons,
    watched_by,
)
from hf_strategies.stopping.criteria.patience import waits
from hf_strategies.stopping.criteria.table import CRITERIA
from hf_strategies.stopping.history import Evaluation, EvaluationLog, Series, Usage, read_log
from hf_strategies.stopping.improvement import IMPROVEMENT_PARAMETERS, Improvement, best_so_far
from hf_strategies.stopping.metric import Metric
from hf_strategies.stopping.parameters import Duration
from hf_strategies.stopping.smoothing import Smoothing

__all__ = ["Judgement", "StoppingRule", "reason", "record"]

_ROUNDING = 1e-9  # epochs are fractions that the Trainer computes by division


@dataclass(frozen=True)
class Judgement:
    """What a rule decides about a history.

    ``history`` has all evaluations of the watched metric, not smoothed. ``stop_index`` is the index of the evaluation
    at which training stops (None: it goes on), and ``why`` the reason. ``best_index`` is the index of the best
    evaluation up to the stop (None: no value was finite), and ``waited`` the number of evaluations from the best to
    the stop, or to the newest without a stop. ``first_judged`` is the index of the first evaluation that may stop
    training.
    """

    history: tuple[Evaluation, ...]
    stop_index: int | None
    best_index: int | None
    waited: int
    why: str | None = None
    first_judged: int = 0

    @property
    def stop(self) -> Evaluation | None:
        """The evaluation at which training stops, if any."""
        return None if self.stop_index is None else self.history[self.stop_index]

    @property
    def best(self) -> Evaluation | None:
        """The best evaluation up to the stop, if any."""
        return None if self.best_index is None else self.history[self.best_index]

    @property
    def last_is_best(self) -> bool:
        """Whether the newest evaluation is the best one."""
        return bool(self.history) and self.best_index == len(self.history) - 1


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
        rule._check_judges()
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
        log = EvaluationLog(read_log(log_history, self.names), usage, total_steps)
        first = self._first_counted(log)
        first_judged = max(first, sum(row.step <= after_step for row in log.rows) if after_step else 0)
        why = [None] * first_judged + reasons(self.condition, self.watched, log, first_judged)
        stop = next((index for index, reason in enumerate(why) if reason), None)
        end = len(why) if stop is None else stop + 1
        best_indices = best_so_far(self.watched.series(log, first), self.watched.improvement)[: max(0, end - first)]
        best = first + best_indices[-1] if best_indices and best_indices[-1] is not None else None
        waited = len(best_indices) if best is None else end - 1 - best
        history = log.series(self.watched.metric, self.watched.mode).evaluations
        return Judgement(history, stop, best, waited, None if stop is None else why[stop], first_judged)

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
        for call in calls(self.condition):
            patience, judged = call.parameters.get("patience"), watched_by(call, self.watched)
            if isinstance(patience, Span) and patience.unit == "evaluations" and judged.metric == self.watched.metric:
                waited = _waited(judgement, judged, call.parameters.get("baseline"))
                return f"no improvement {waited:g}/{patience.amount:g}"
        return f"no improvement for {judgement.waited}"

    def __str__(self) -> str:
        watched = self.watched
        parts = [f"{watched.smoothing}[{self.monitor}]" if watched.smoothing else self.monitor, str(self.condition)]
        parts += [str(watched.improvement)] if str(watched.improvement) else []
        parts += [f"start_from={self.start_from!r}"] if self.start_from.amount else []
        return ", ".join(parts)

    def _first_counted(self, log: EvaluationLog) -> int:
        """Return the index of the first evaluation that is not before ``start_from``."""
        start = self.start_from
        if start.unit == "of training" and not log.total_steps:
            raise StrategyError(
                f"start_from={start!r} is a fraction of training, whose planned steps are not known here: give it in"
                " evaluations, steps ('500 steps') or epochs ('2ep')"
            )
        positions: dict[str, Sequence[float]] = {
            "evaluations": range(len(log.rows)),
            "steps": [row.step for row in log.rows],
            "epochs": [row.epoch + _ROUNDING for row in log.rows],
            "of training": [row.step / (log.total_steps or 1) for row in log.rows],
        }
        return sum(position < start.amount for position in positions[start.unit])

    def _check_judges(self) -> None:
        """Judge an empty history, to raise now what would otherwise be raised at the first evaluation."""
        reasons(self.condition, self.watched, EvaluationLog([], total_steps=1))


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
        "values": [evaluation.value for evaluation in judgement.history],
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


def _waited(judgement: Judgement, judged: WatchedMetric, baseline: float | None) -> float:
    """Return for how many evaluations a criterion with a patience has waited, up to the stop if there is one."""
    end = None if judgement.stop_index is None else judgement.stop_index + 1
    series = Series(judgement.history[judgement.first_judged : end], judged.mode, judged.metric.text)
    series = judged.smoothing.apply(series) if judged.smoothing else series
    return (waits(series, judged.improvement, "evaluations", baseline) or [0.0])[-1]
