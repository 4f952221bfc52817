"""The judgement of the evaluations in a log by a rule, of which each evaluation is judged once.

What is kept between two judgements follows from the log alone: whether a log is judged at once, or each time that it
has grown, the judgement is the same.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Protocol

from hf_strategies.errors import StrategyError
from hf_strategies.lengths import Span
from hf_strategies.stopping.condition import Condition, WatchedMetric, patience_in_evaluations, reasons
from hf_strategies.stopping.criteria.patience import waits
from hf_strategies.stopping.evaluation_log import EvaluationLog, GrowingSeries, Prefix, Results
from hf_strategies.stopping.history import Evaluation, LogRow, Stream

__all__ = ["Judgement", "RowJudge"]

_ROUNDING = 1e-9  # epochs are fractions that the Trainer computes by division


@dataclass(frozen=True)
class Judgement:
    """What a rule decides about a history.

    ``history`` has all evaluations of the watched metric, not smoothed. ``stop_index`` is the index of the evaluation
    at which training stops (None: it goes on), and ``why`` the reason. ``best_index`` is the index of the best
    evaluation up to the stop (None: no value was finite), and ``waited`` the number of evaluations from the best to
    the stop, or to the newest without a stop. ``first_judged`` is the index of the first evaluation that may stop
    training. ``patience_used`` is how much of the first patience in evaluations is used up, if it is known already.
    """

    history: Sequence[Evaluation]
    stop_index: int | None
    best_index: int | None
    waited: int
    why: str | None = None
    first_judged: int = 0
    patience_used: float | None = field(default=None, compare=False)

    @property
    def stop(self) -> Evaluation | None:
        """The evaluation at which training stops, if any."""
        return None if self.stop_index is None else self.history[self.stop_index]

    @property
    def best(self) -> Evaluation | None:
        """The best evaluation up to the stop, if any."""
        return None if self.best_index is None else self.history[self.best_index]

    @property
    def values(self) -> list[float]:
        """The values of the history; where that grows, this list may be its own, which is not to be changed."""
        history = self.history
        return history.values if isinstance(history, Prefix) else [evaluation.value for evaluation in history]

    @property
    def last_is_best(self) -> bool:
        """Whether the newest evaluation is the best one."""
        return bool(self.history) and self.best_index == len(self.history) - 1


class Rule(Protocol):
    """What a `StoppingRule` consists of."""

    @property
    def watched(self) -> WatchedMetric:
        """The metric whose best evaluation is reported."""

    @property
    def condition(self) -> Condition:
        """When to stop."""

    @property
    def start_from(self) -> Span:
        """The length of training before which evaluations are ignored."""


class RowJudge:
    """Judges the evaluations of a log by a rule; `judgement` reads only those that have come since the last time.

    Evaluations up to the step ``after_step`` cannot stop training.
    """

    def __init__(self, rule: Rule, log: EvaluationLog, after_step: int = 0) -> None:
        self._rule, self._log, self._after_step = rule, log, after_step
        self.history = log.series(rule.watched.metric, rule.watched.mode)  # not smoothed
        self._in_use: list[GrowingSeries] = []  # by the condition
        self._counted = self._before_start = self._not_after = 0  # numbers of evaluations
        self._starts = (-1, -1)  # the first evaluation that may be the best, and the first that may stop training
        self._judged = -1
        self._stop: int | None = None
        self._why: str | None = None

    def judgement(self) -> Judgement:
        """Return what the rule decides about the evaluations that the log has by now."""
        self.grow()
        first, first_judged = self._starts
        self._judge_new()
        end = len(self._log.rows) if self._stop is None else self._stop + 1
        best = self._best.after(end - first)
        waited = max(0, end - first) if best is None else end - 1 - first - best
        best_index = None if best is None else first + best
        history = Prefix(self.history, len(self._log.rows))
        return Judgement(history, self._stop, best_index, waited, self._why, first_judged)

    def best_of_first(self, count: int) -> int | None:
        """Return the index of the best of the first ``count`` evaluations, whether or not training stops before."""
        self.grow()
        first = self._starts[0]
        best = self._best.after(count - first)
        return None if best is None else first + best

    def patience_used(self) -> float | None:
        """Return for how many evaluations the first criterion with a patience in evaluations has waited, if any."""
        end = self._judged if self._stop is None else self._stop + 1
        if self._waits is None:
            return None
        used = self._waits.after(end - self._starts[1])
        return used[1] if used else 0.0

    def grow(self) -> None:
        """Take in the new evaluations; begin again where the start of the counting has moved over judged ones."""
        for series in (self.history, *self._in_use):
            series.grow()
        self._count_new()
        first, first_judged = self._before_start, max(self._before_start, self._not_after)
        if (first, first_judged) == self._starts:
            return
        has_judged = self._judged > self._starts[1]
        if first != self._starts[0] or has_judged:
            self._series = self._rule.watched.series(self._log, first)
            self._best = self._series.best(self._rule.watched.improvement)
        self._starts = (first, first_judged)
        self._judge_from(first_judged)

    def _count_new(self) -> None:
        """Count the evaluations before ``start_from`` and up to ``after_step``."""
        start, new = self._rule.start_from, self._log.rows[self._counted :]
        if start.unit == "of training" and not self._log.total_steps:
            raise StrategyError(
                f"start_from={start!r} is a fraction of training, whose planned steps are not known here: give it in"
                " evaluations, steps ('500 steps') or epochs ('2ep')"
            )
        for index, row in enumerate(new if start.amount or self._after_step else (), self._counted):
            self._before_start += self._position(index, row) < start.amount
            self._not_after += bool(self._after_step) and row.step <= self._after_step
        self._counted += len(new)

    def _position(self, index: int, row: LogRow) -> float:
        """Return where in training an evaluation is, in the unit of ``start_from``."""
        match self._rule.start_from.unit:
            case "evaluations":
                return index
            case "epochs":
                return row.epoch + _ROUNDING
            case "of training":
                return row.step / (self._log.total_steps or 1)
        return row.step

    def _judge_from(self, first: int) -> None:
        """Begin to judge with the evaluation with the index ``first``."""
        self._in_use = [self._series]
        self._judged, self._stop, self._why = first, None, None
        self._reasons = reasons(self._rule.condition, self._rule.watched, lambda each: self._stream(each, first))
        self._waits = self._counted_waits(first)

    def _counted_waits(self, first: int) -> Results[tuple[bool, float]] | None:
        counted = patience_in_evaluations(self._rule.condition, self._rule.watched)
        if counted is None:
            return None
        stream = self._stream(counted.watched, first)
        return Results(waits(stream, counted.watched.improvement, "evaluations", counted.baseline))

    def _stream(self, watched: WatchedMetric, first: int) -> Stream:
        series = watched.series(self._log, first)
        self._in_use.append(series)
        return series.stream

    def _judge_new(self) -> None:
        """Judge the new evaluations, up to the first at which training stops."""
        total = len(self._log.rows)
        if self._stop is not None or self._judged >= total:
            return
        for index, why in enumerate(islice(self._reasons, total - self._judged), self._judged):
            self._judged = index + 1
            if why:
                self._stop, self._why = index, why
                return
        if self._judged < total:
            raise StrategyError(
                f"stop_when={str(self._rule.condition)!r}: a criterion has no entry for evaluation {self._judged}:"
                " let its function yield one for each evaluation, before it reads the next"
            )
