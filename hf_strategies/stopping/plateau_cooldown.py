"""A training that holds its learning rate until the metric reaches a plateau and then cools down.

`cooldown_phases` derives from the log alone when the training holds, cools down and ends. `best_of` chooses the
evaluation whose weights are saved. `cooldown_reason` and `cooldown_record` describe both to users.
"""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from hf_strategies.stopping.history import Evaluation, Usage
from hf_strategies.stopping.judge import RowJudge
from hf_strategies.stopping.log_judge import LogJudge
from hf_strategies.stopping.rule import StoppingRule

__all__ = ["CooldownJudge", "Phases", "best_of", "cooldown_phases", "cooldown_reason", "cooldown_record"]

LogHistory = Iterable[Mapping[str, Any]]


@dataclass(frozen=True)
class Phases:
    """The steps at which the phases of a training begin and end, in optimizer steps that are done.

    The learning rate is held until ``start`` and cooled down from ``start`` to ``end``. ``why`` is the reason for the
    cooldown, where the metric has reached a plateau. None: the cooldown starts there because the planned steps end at
    ``end``; a later evaluation may still start it earlier. ``drops`` are the steps of the plateaus before, at which
    the rate was lowered. ``cut`` is the step at which training ends before ``end``, because the metric is no longer
    finite.
    """

    start: int
    end: int
    why: str | None = None
    drops: tuple[int, ...] = ()
    cut: int | None = None

    @property
    def last(self) -> int:
        """The step at which training ends."""
        return self.end if self.cut is None else self.cut

    def at(self, step: int) -> str:
        """Return the phase at a step: ``"hold"``, ``"cooldown"`` or ``"over"``.

        >>> [Phases(start=4, end=6).at(step) for step in (3, 4, 5, 6)]
        ['hold', 'cooldown', 'cooldown', 'over']
        """
        return "over" if step >= self.last else "hold" if step < self.start else "cooldown"


def cooldown_phases(
    rule: StoppingRule,
    log_history: LogHistory,
    *,
    length: Callable[[int], int],
    latest: int,
    total_steps: int,
    stages: int = 0,
    after_step: int = 0,
    rewinds: bool = False,
    usage: Usage | None = None,
) -> Phases:
    """Return the phases of a training, from the ``log_history`` of `trainer_state.json`.

    A plateau is an evaluation at which ``rule`` would stop. At each of the first ``stages`` plateaus the rate is
    lowered, and the waiting starts anew. At the next plateau, at step s, the cooldown starts; it takes ``length`` (s)
    steps, but ends at ``total_steps`` at the latest. Without that plateau the cooldown starts at step ``latest``.
    Evaluations up to ``after_step``, where the warmup ends, are no plateau.

    Training ends at an evaluation in the cooldown whose metric is not finite. This includes the evaluation at the
    plateau, unless ``rewinds``: the cooldown then starts from the best weights and not from those evaluated there.

    >>> rule = StoppingRule.read("loss", "patience(2)")
    >>> log = [{"eval_loss": value, "step": 10 * k} for k, value in enumerate((0.5, 0.4, 0.6, 0.5), start=1)]
    >>> cooldown_phases(rule, log, length=lambda step: step // 5, latest=83, total_steps=100)
    Phases(start=40, end=48, why='eval_loss has not improved for 2 evaluations', drops=(), cut=None)
    >>> cooldown_phases(rule, log[:3], length=lambda step: step // 5, latest=83, total_steps=100)
    Phases(start=83, end=100, why=None, drops=(), cut=None)
    """
    return CooldownJudge(rule).phases(
        list(log_history),
        length=length,
        latest=latest,
        total_steps=total_steps,
        stages=stages,
        after_step=after_step,
        rewinds=rewinds,
        usage=usage,
    )


def best_of(
    rule: StoppingRule, log_history: LogHistory, start: int, *, end: int | None = None, total_steps: int | None = None
) -> tuple[Evaluation | None, bool]:
    """Return the evaluation whose weights are to be saved so far, and whether that is the newest evaluation.

    Of the evaluations up to the step ``start`` it is the best by ``rule``. An evaluation in the cooldown takes its
    place if it is no worse. An evaluation from the step ``end`` on takes its place if it is no worse than the
    plateau, which is the median of the evaluations after the best one up to ``start``. The best value before the
    cooldown was the luckiest of many at a high rate, and weights that have settled need not reach it; but where the
    cooldown has made the weights worse than the plateau, the best ones before are saved.

    >>> rule = StoppingRule.read("loss")
    >>> log = [{"eval_loss": value, "step": k} for k, value in enumerate((0.5, 0.4, 0.6, 0.4), start=1)]
    >>> best_of(rule, log, 3)[0].step, best_of(rule, log, 4)[0].step
    (4, 2)
    >>> log[-1]["eval_loss"] = 0.45  # worse than 0.4, and better than the plateau of 0.6
    >>> best_of(rule, log, 3)[0].step, best_of(rule, log, 3, end=4)[0].step
    (2, 4)
    """
    return CooldownJudge(rule).best(list(log_history), start, end=end, total_steps=total_steps)


class CooldownJudge:
    """Reads the phases and the best evaluation of a training from its log, again and again while it grows.

    `phases` and `best` return what `cooldown_phases` and `best_of` return, which are functions of their arguments
    alone. Each entry of the log is read once, see `LogJudge`.
    """

    def __init__(self, rule: StoppingRule) -> None:
        self.rule, self._judge = rule, LogJudge(rule)
        self._chosen: _Chosen | None = None

    def phases(
        self,
        log_history: Sequence[Mapping[str, Any]],
        *,
        length: Callable[[int], int],
        latest: int,
        total_steps: int,
        stages: int = 0,
        after_step: int = 0,
        rewinds: bool = False,
        usage: Usage | None = None,
    ) -> Phases:
        """Return the phases of a training; see `cooldown_phases`."""
        drops, after = list[int](), after_step
        while True:
            judge = self._judge.read(log_history, usage=usage, total_steps=total_steps, after_step=after)
            judgement, not_finite = judge.judgement(), judge.history.not_finite
            if judgement.stop is None or judgement.stop.step >= latest:
                return Phases(latest, total_steps, None, tuple(drops), _cut(not_finite, latest, total_steps, False))
            after = judgement.stop.step
            if len(drops) == stages:
                end = min(after + length(after), total_steps)
                return Phases(after, end, judgement.why, tuple(drops), _cut(not_finite, after, end, not rewinds))
            drops.append(after)

    def best(
        self,
        log_history: Sequence[Mapping[str, Any]],
        start: int,
        *,
        end: int | None = None,
        total_steps: int | None = None,
        usage: Usage | None = None,
    ) -> tuple[Evaluation | None, bool]:
        """Return the evaluation whose weights are to be saved so far, and whether that is the newest; see `best_of`.

        With the ``usage`` of `phases` the log is not read twice.
        """
        judge = self._judge.read(log_history, usage=usage, total_steps=total_steps)
        if self._chosen is None or not self._chosen.is_of(judge, start, end):
            self._chosen = _Chosen(judge, start, end)
        return self._chosen.best()


class _Chosen:
    """The choice of `best_of` for one ``start`` and ``end``, which reads only the evaluations that are new."""

    def __init__(self, judge: RowJudge, start: int, end: int | None) -> None:
        self._judge, self._start, self._end = judge, start, end
        self._held = self._read = -1  # numbers of evaluations: up to the start, and in all
        self._index: int | None = None

    def is_of(self, judge: RowJudge, start: int, end: int | None) -> bool:
        return self._judge is judge and (self._start, self._end) == (start, end)

    def best(self) -> tuple[Evaluation | None, bool]:
        self._judge.grow()
        history = self._judge.history.evaluations
        held = bisect_right(history, self._start, key=_step)
        if held != self._held:
            self._held = self._read = held
            self._index = self._held_index = self._judge.best_of_first(held)
        for index in range(self._read, len(history)):
            if math.isfinite(history[index].value) and self._cost(history[index]) <= self._limit(history[index]):
                self._index = index
        self._read = len(history)
        best = None if self._index is None else history[self._index]
        return best, self._index is not None and self._index == len(history) - 1

    def _limit(self, evaluation: Evaluation) -> float:
        """Return how high the cost of an evaluation after the start may be for it to take the place of the best."""
        history = self._judge.history.evaluations
        if self._end is not None and evaluation.step >= self._end:
            best = self._held if self._held_index is None else self._held_index
            plateau = history[best + 1 : self._held] or history[best : self._held]
            costs = [self._cost(each) for each in plateau if math.isfinite(each.value)]
            return median(costs) if costs else math.inf
        return math.inf if self._index is None else self._cost(history[self._index])

    def _cost(self, evaluation: Evaluation) -> float:
        return self._judge.history.stream.sign * evaluation.value


def cooldown_reason(rule: StoppingRule, phases: Phases, best: Evaluation | None, step: int) -> str:
    """Return in one sentence in which phase a training is at ``step``, and why.

    >>> rule = StoppingRule.read("loss")
    >>> cooldown_reason(rule, Phases(40, 48, "eval_loss has not improved for 3 evaluations"), None, 44)
    'In the cooldown from step 40 to 48: eval_loss has not improved for 3 evaluations.'
    """
    why = phases.why or f"the budget ends at step {phases.end}"
    phase = phases.at(step)
    if phase == "hold":
        return f"No cooldown yet at step {step}; it starts at step {phases.start} at the latest."
    if phase == "cooldown":
        return f"In the cooldown from step {phases.start} to {phases.end}: {why}."
    outcome = f"Cooled down from step {phases.start} to {phases.end}: {why}"
    if phases.cut is not None:
        outcome = f"Stopped in the cooldown, at step {phases.cut} of {phases.start} to {phases.end},"
        outcome += f" because {rule.monitor} is not finite"
    if best is None:
        return f"{outcome}; {rule.monitor} never was finite."
    if best.step >= phases.end:
        return f"{outcome}; kept {best.value:.6g} of its end (epoch {best.epoch:.2f})."
    return f"{outcome}; best {best.value:.6g} at step {best.step} (epoch {best.epoch:.2f})."


def cooldown_record(
    rule: StoppingRule, phases: Phases, best: Evaluation | None, step: int, budget: int
) -> dict[str, Any]:
    """Return the phases and the best as plain JSON values, under the same names as `rule.record`."""
    over = phases.at(step) == "over"
    return {
        "monitor": rule.monitor,
        "mode": rule.watched.mode,
        "criterion": str(rule.condition),
        "phase": phases.at(step),
        "trigger": "budget" if phases.why is None else "plateau",
        "why": phases.why,
        "cooldown_start": phases.start,
        "cooldown_end": phases.end,
        "drops": list(phases.drops),
        "budget": budget,
        "stopped": over and phases.last < budget,
        "stop_step": phases.last if over and phases.last < budget else None,
        "reason": cooldown_reason(rule, phases, best, step),
        "best_step": best and best.step,
        "best_epoch": best and best.epoch,
        "best_value": best and best.value,
    }


def _cut(not_finite: Sequence[Evaluation], start: int, end: int, from_start: bool) -> int | None:
    """Return the first step in the cooldown without a finite metric; ``start`` is in it with ``from_start``."""
    index = (bisect_left if from_start else bisect_right)(not_finite, start, key=_step)
    cut = not_finite[index].step if index < len(not_finite) else end
    return cut if cut < end else None


def _step(evaluation: Evaluation) -> int:
    return evaluation.step
