"""A stopping rule: what is watched, when to stop, what is best; and its words about what happened."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hf_strategies.errors import StrategyError, did_you_mean
from hf_strategies.lengths import Span
from hf_strategies.stopping.condition import Node, Seen, View, calls, names_of, parse, reasons, view_of
from hf_strategies.stopping.criteria.patience import waits
from hf_strategies.stopping.criteria.table import CRITERIA
from hf_strategies.stopping.history import Evaluation, Series, Usage, read_log
from hf_strategies.stopping.improvement import IMPROVEMENT_PARAMETERS, Improvement, best_so_far
from hf_strategies.stopping.metric import Metric
from hf_strategies.stopping.parameters import Duration
from hf_strategies.stopping.smoothing import Smoothing

__all__ = ["Judgement", "StoppingRule", "reason", "record"]


@dataclass(frozen=True)
class Judgement:
    """What a rule says of a history.

    ``history`` are the evaluations of the watched metric; ``stop_index`` is that of the one at which training stops
    (None: go on), ``best_index`` that of the best up to there (None: none is finite yet), ``waited`` how many came
    since the best, ``why`` the reason to stop; ``judged`` the index of the first that could stop it.
    """

    history: tuple[Evaluation, ...]
    stop_index: int | None
    best_index: int | None
    waited: int
    why: str | None = None
    judged: int = 0

    @property
    def stop(self) -> Evaluation | None:
        """The evaluation at which training stops."""
        return None if self.stop_index is None else self.history[self.stop_index]

    @property
    def best(self) -> Evaluation | None:
        """The best evaluation up to there."""
        return None if self.best_index is None else self.history[self.best_index]

    @property
    def last_is_best(self) -> bool:
        """Whether the newest evaluation is the best one."""
        return bool(self.history) and self.best_index == len(self.history) - 1


@dataclass(frozen=True)
class StoppingRule:
    """Stop when a condition on the evaluations holds; see `read` for what it is made of."""

    watched: View
    condition: Node
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
        """Check the settings as a user gives them; raises `StrategyError` for a bad one.

        ``monitor`` is a metric or an expression (`Metric`), ``stop_when`` a condition as `condition.parse` reads it,
        ``mode`` the metric's direction if its name does not tell it. In place of ``stop_when`` a ``patience`` (3 if
        neither is given) and its ``baseline`` are those of the criterion `patience`. ``smoothing`` as
        `Smoothing.read` reads it is applied to the metric before it is judged and the best is chosen. Evaluations
        before ``start_from`` (a number of them, "500 steps", "2ep", a fraction of training) count neither for a stop
        nor for the best. ``min_delta``, ``relative_delta``, ``z``, ``samples``: see `Improvement`.

        >>> print(StoppingRule.read("accuracy", "patience(3) or target(0.95)", min_delta=0.01))
        eval_accuracy, patience(3) or target(0.95), min_delta=0.01
        """
        metric = Metric.read(monitor)
        for name in sorted(improvement.keys() - IMPROVEMENT_PARAMETERS.keys()):
            near = did_you_mean(name, ["patience", "baseline", "smoothing", "start_from", *IMPROVEMENT_PARAMETERS])
            raise StrategyError(f"{name}={improvement[name]!r} is no setting of a stopping rule: {near}")
        watched = View(
            metric,
            metric.direction(mode),
            None if smoothing is None else Smoothing.read(smoothing),
            Improvement.read(**improvement),
        )
        condition = parse(_condition(stop_when, patience, baseline))
        rule = cls(watched, condition, Duration(0, "", low=0).read("start_from", start_from))
        rule._check()
        return rule

    def judge(
        self,
        log_history: Iterable[Mapping[str, Any]],
        *,
        usage: Usage | None = None,
        total_steps: int | None = None,
        after_step: int = 0,
    ) -> Judgement:
        """Judge a Trainer's log, as `trainer_state.json` keeps it.

        ``usage`` is what training had used up, for budgets; what is not recorded spends nothing. ``total_steps`` is
        the planned optimizer steps, for fractions of training. Evaluations up to ``after_step`` cannot stop
        training, and the waiting starts anew there, as for a run that goes on after a stop; they may be the best.

        >>> log = [{"eval_loss": value, "step": step} for step, value in ((10, 0.5), (20, 0.7), (30, 0.6))]
        >>> StoppingRule.read("loss", "patience(2)").judge(log).stop.step
        30
        """
        seen = Seen(read_log(log_history, self.names), usage, total_steps)
        first = self._first(seen)
        judged = max(first, sum(row.step <= after_step for row in seen.rows) if after_step else 0)
        why = [None] * judged + reasons(self.condition, self.watched, seen, judged)
        stop = next((index for index, said in enumerate(why) if said), None)
        end = len(why) if stop is None else stop + 1
        found = best_so_far(self.watched.series(seen, first), self.watched.improvement)[: max(0, end - first)]
        best = first + found[-1] if found and found[-1] is not None else None
        waited = len(found) if best is None else end - 1 - best
        history = View(self.watched.metric, self.watched.mode).series(seen).evaluations
        return Judgement(history, stop, best, waited, None if stop is None else why[stop], judged)

    @property
    def names(self) -> tuple[str, ...]:
        """The metrics, by their names in the log, that an evaluation needs to be judged."""
        return names_of(self.condition, self.watched)

    @property
    def monitor(self) -> str:
        """What is watched, for messages."""
        return self.watched.metric.text

    @property
    def budgets(self) -> list[tuple[str, float]]:
        """All budgets: the resource ("seconds", "flos", "tokens") and how much of it.

        >>> StoppingRule.read("loss", "time_budget('2h') or time_budget(60) and patience(3)").budgets
        [('seconds', 7200.0), ('seconds', 60.0)]
        """
        spending = [(call.criterion.resource, call.parameters) for call in calls(self.condition)]
        return [(resource, float(parameters["limit"])) for resource, parameters in spending if resource]

    @property
    def only_for_safety(self) -> bool:
        """Whether it stops a run for good and never because it has stalled."""
        return all(call.criterion.safety for call in calls(self.condition))

    def progress(self, judgement: Judgement) -> str:
        """Say in a few words how far the first criterion with a patience has come.

        >>> rule = StoppingRule.read("loss", "patience(3)")
        >>> rule.progress(rule.judge([{"eval_loss": 1.0, "step": 1}, {"eval_loss": 2.0, "step": 2}]))
        'no improvement 1/3'
        """
        for call in calls(self.condition):
            span, view = call.parameters.get("patience"), view_of(call, self.watched)
            if isinstance(span, Span) and span.unit == "evaluations" and view.metric == self.watched.metric:
                waited = _waited(judgement, view, call.parameters.get("baseline"))
                return f"no improvement {waited:g}/{span.amount:g}"
        return f"no improvement for {judgement.waited}"

    def __str__(self) -> str:
        watched = self.watched
        parts = [f"{watched.smoothing}[{self.monitor}]" if watched.smoothing else self.monitor, str(self.condition)]
        parts += [str(watched.improvement)] if str(watched.improvement) else []
        parts += [f"start_from={self.start_from!r}"] if self.start_from.amount else []
        return ", ".join(parts)

    def _first(self, seen: Seen) -> int:
        """The number of the first evaluation that is looked at."""
        span = self.start_from
        if span.unit == "of training" and not seen.total_steps:
            raise StrategyError(
                f"start_from={span!r} is a fraction of training, whose planned steps are not known here: give it in"
                " evaluations, steps ('500 steps') or epochs ('2ep')"
            )
        at: dict[str, Sequence[float]] = {
            "evaluations": range(len(seen.rows)),
            "steps": [row.step for row in seen.rows],
            "epochs": [row.epoch + 1e-9 for row in seen.rows],
            "of training": [row.step / (seen.total_steps or 1) for row in seen.rows],
        }
        return sum(position < span.amount for position in at[span.unit])

    def _check(self) -> None:
        """Refuse what would else show at the first evaluation only, by judging an empty history."""
        reasons(self.condition, self.watched, Seen([], total_steps=1))


def _condition(stop_when: object, patience: object, baseline: object) -> object:
    """Return the condition, or the one that a patience and its baseline make."""
    if stop_when is not None:
        for name, value in (("patience", patience), ("baseline", baseline)):
            if value is not None:
                raise StrategyError(
                    f"{name}={value!r} and stop_when={stop_when!r} are both given: write it into stop_when, such as"
                    f" stop_when='patience(3) or ...'"
                )
        return stop_when
    rows = CRITERIA["patience"].parameters
    allowed = rows["patience"].read("patience", 3 if patience is None else patience)
    return f"patience({allowed!r}, baseline={rows['baseline'].read('baseline', baseline)!r})"


def _waited(judgement: Judgement, view: View, baseline: float | None) -> float:
    """For how many evaluations a patience has waited, up to the stop if there is one."""
    end = None if judgement.stop_index is None else judgement.stop_index + 1
    series = Series(judgement.history[judgement.judged : end], view.mode, view.metric.text)
    series = view.smoothing.of(series) if view.smoothing else series
    return (waits(series, view.improvement, "evaluations", baseline) or [0.0])[-1]


def reason(rule: StoppingRule, judgement: Judgement) -> str:
    """Say in one sentence why and where training stopped, or that it has not.

    >>> rule = StoppingRule.read("loss", "patience(1)")
    >>> log = [{"eval_loss": 1.0, "step": 10, "epoch": 1.0}, {"eval_loss": 1.5, "step": 20, "epoch": 2.0}]
    >>> print(reason(rule, rule.judge(log)).partition(";")[0])
    Stopped early at step 20 (epoch 2.00): eval_loss has not improved for 1 evaluation
    """
    stop, best = judgement.stop, judgement.best
    if stop is None:
        return f"Not stopped early: {rule.progress(judgement)}."
    said = f"Stopped early at step {stop.step} (epoch {stop.epoch:.2f}): {judgement.why}"
    if best is None:
        return f"{said}; {rule.monitor} never was finite."
    return f"{said}; best {best.value:.6g} at step {best.step} (epoch {best.epoch:.2f})."


def record(rule: StoppingRule, judgement: Judgement) -> dict[str, Any]:
    """Put what happened into plain JSON values: the settings, the stop, the best, the reason."""
    stop, best = judgement.stop, judgement.best
    watched = rule.watched
    return {
        "monitor": rule.monitor,
        "mode": watched.mode,
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
        "values": [each.value for each in judgement.history],
        "evaluations": len(judgement.history),
        "evaluations_since_best": judgement.waited,
    }
