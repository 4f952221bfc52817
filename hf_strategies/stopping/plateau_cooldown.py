"""A training that holds its learning rate until the metric reaches a plateau and then cools down.

`cooldown_phases` derives from the log alone when the training holds, cools down and ends. `best_of` chooses the
evaluation whose weights are kept. `cooldown_reason` and `cooldown_record` describe both to users.
"""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hf_strategies.stopping.history import Evaluation, Usage
from hf_strategies.stopping.judge import RowJudge
from hf_strategies.stopping.keep_rule import KEEP, Candidate, Decision, SelectionNoise, keep, plateau_of
from hf_strategies.stopping.log_judge import LogJudge
from hf_strategies.stopping.rule import StoppingRule

__all__ = ["Choice", "CooldownJudge", "Phases", "best_of", "cooldown_phases", "cooldown_reason", "cooldown_record"]

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


@dataclass(frozen=True)
class Choice:
    """The evaluation whose weights are to be kept so far, and whether that is the newest evaluation.

    ``decision`` compares all candidates; it is made by the evaluation at the end of the cooldown.
    """

    evaluation: Evaluation | None = None
    is_newest: bool = False
    decision: Decision | None = None


def best_of(
    rule: StoppingRule,
    log_history: LogHistory,
    start: int,
    *,
    end: int | None = None,
    keeping: str = KEEP[0],
    total_steps: int | None = None,
) -> Choice:
    """Return the evaluation whose weights are to be kept so far.

    Of the evaluations up to the step ``start`` it is the best by ``rule``. An evaluation in the cooldown takes its
    place if it is no worse. At the step ``end`` it is decided by ``keeping``, one of `KEEP`: with ``"best"`` the end
    takes its place if it is no worse, with ``"end"`` in any case. With ``"noise_aware"`` the end may be worse by the
    excess that is expected of the best of several evaluations, see `SelectionNoise`: those of the hold that were near
    the best one (`plateau_of`), and those of the cooldown if the best one is among them.

    >>> rule = StoppingRule.read("loss")
    >>> log = [{"eval_loss": value, "step": k} for k, value in enumerate((0.5, 0.4, 0.6, 0.4), start=1)]
    >>> best_of(rule, log, 3).evaluation.step, best_of(rule, log, 4).evaluation.step
    (4, 2)
    >>> log[-1]["eval_loss"] = 0.45  # worse than 0.4, by less than luck explains where 0.5, 0.4 and 0.6 came before
    >>> best_of(rule, log, 3).evaluation.step, best_of(rule, log, 3, end=4).evaluation.step
    (2, 4)
    """
    return CooldownJudge(rule, keeping).best(list(log_history), start, end=end, total_steps=total_steps)


class CooldownJudge:
    """Reads the phases and the best evaluation of a training from its log, again and again while it grows.

    `phases` and `best` return what `cooldown_phases` and `best_of` return, which are functions of their arguments
    alone. Each entry of the log is read once, see `LogJudge`.
    """

    def __init__(self, rule: StoppingRule, keeping: str = KEEP[0], averaged: bool = False) -> None:
        self.rule, self.keeping, self._judge = rule, keeping, LogJudge(rule)
        self.averaged = averaged  # whether the evaluations of the hold are of an average of the weights
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
    ) -> Choice:
        """Return the evaluation whose weights are to be kept so far; see `best_of`.

        With the ``usage`` of `phases` the log is not read twice.
        """
        judge = self._judge.read(log_history, usage=usage, total_steps=total_steps)
        if self._chosen is None or not self._chosen.is_of(judge, start, end):
            self._chosen = _Chosen(judge, start, end, self)
        return self._chosen.best()


class _Chosen:
    """The choice of `best_of` for one ``start`` and ``end``, which reads only the evaluations that are new."""

    def __init__(self, judge: RowJudge, start: int, end: int | None, owner: CooldownJudge) -> None:
        self._judge, self._start, self._end, self._owner = judge, start, end, owner
        self._held = self._read = -1  # numbers of evaluations: up to the start, and in all
        self._best: int | None = None  # the index of the best one before the end
        self._sigma: float | None = None
        self._decision: Decision | None = None

    def is_of(self, judge: RowJudge, start: int, end: int | None) -> bool:
        return self._judge is judge and (self._start, self._end) == (start, end)

    def best(self) -> Choice:
        self._judge.grow()
        history = self._judge.history.evaluations
        held = bisect_right(history, self._start, key=_step)
        if held != self._held:
            self._held = self._read = held
            self._set_best(self._judge.best_of_first(held))
        for index in range(self._read, len(history)):
            self._read_one(index)
        self._read = len(history)
        if self._decision:
            kept = self._decision.kept.evaluation
            return Choice(kept, kept is history[-1], self._decision)
        best = None if self._best is None else history[self._best]
        return Choice(best, best is not None and self._best == len(history) - 1)

    def _read_one(self, index: int) -> None:
        """Take in an evaluation after the start."""
        evaluation = self._judge.history.evaluations[index]
        is_finite = math.isfinite(evaluation.value)
        if self._end is not None and evaluation.step >= self._end:
            if is_finite or self._best is not None:
                self._decision = self._decision or self._decide(index)
        elif is_finite and (self._best is None or self._cost(index) <= self._cost(self._best)):
            self._set_best(index)

    def _decide(self, index: int) -> Decision:
        """Compare the end, which is the evaluation ``index``, with the best one before it."""
        history = self._judge.history.evaluations
        end = Candidate("end", history[index])
        if self._best is None:
            return Decision(end, (end,), f"kept {end.text}")
        is_average = self._owner.averaged and self._best < self._held and history[index].step > self._start
        best = Candidate("average" if is_average else "best", history[self._best])
        keeping, sign = self._owner.keeping, self._judge.history.stream.sign
        if keeping == "end":
            return Decision(end, (best, end), f"kept {end.text}, as restore_best_weights='end' asks")
        # In the cooldown the metric is calmer: its evaluations count only where the best one is among them.
        selected_from = history[: self._held] if self._best < self._held else history[:index]
        plateau = plateau_of(selected_from, self._best, sign)
        noise = SelectionNoise.of(plateau if keeping == KEEP[0] else plateau[:1], self._sigma)
        return keep(best, [end], noise, sign)

    def _set_best(self, index: int | None) -> None:
        """Set the best evaluation and the standard error of its metric, which raises `StrategyError` if it is bad."""
        self._best = index
        if index is not None:
            rule = self._owner.rule
            evaluation = self._judge.history.evaluations[index]
            self._sigma = rule.watched.improvement.known_standard_error(evaluation, rule.monitor)

    def _cost(self, index: int) -> float:
        return self._judge.history.stream.sign * self._judge.history.evaluations[index].value


def cooldown_reason(rule: StoppingRule, phases: Phases, choice: Choice, step: int) -> str:
    """Return in one sentence in which phase a training is at ``step``, and why.

    >>> rule = StoppingRule.read("loss")
    >>> cooldown_reason(rule, Phases(40, 48, "eval_loss has not improved for 3 evaluations"), Choice(), 44)
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
    best = choice.evaluation
    if best is None:
        return f"{outcome}; {rule.monitor} never was finite."
    if choice.decision:
        return f"{outcome}; {choice.decision.why}."
    return f"{outcome}; best {best.value:.6g} at step {best.step} (epoch {best.epoch:.2f})."


def cooldown_record(rule: StoppingRule, phases: Phases, choice: Choice, step: int, budget: int) -> dict[str, Any]:
    """Return the phases and the evaluation that is kept as plain JSON values, under the same names as `rule.record`.

    Once the cooldown is over, ``candidates`` has all weights that could be kept, and ``kept`` is the kind of those
    that are.
    """
    over, best, decision = phases.at(step) == "over", choice.evaluation, choice.decision
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
        "reason": cooldown_reason(rule, phases, choice, step),
        "best_step": best and best.step,
        "best_epoch": best and best.epoch,
        "best_value": best and _finite(best.value),
        "kept": decision and decision.kept.kind,
        "candidates": [_candidate_record(each) for each in decision.candidates] if decision else [],
    }


def _candidate_record(candidate: Candidate) -> dict[str, Any]:
    evaluation = candidate.evaluation
    return {"kind": candidate.kind, "step": evaluation.step, "value": _finite(evaluation.value)}


def _finite(value: float) -> float | None:
    """Return the value; None in place of NaN and infinity, which JSON does not have."""
    return value if math.isfinite(value) else None


def _cut(not_finite: Sequence[Evaluation], start: int, end: int, from_start: bool) -> int | None:
    """Return the first step in the cooldown without a finite metric; ``start`` is in it with ``from_start``."""
    index = (bisect_left if from_start else bisect_right)(not_finite, start, key=_step)
    cut = not_finite[index].step if index < len(not_finite) else end
    return cut if cut < end else None


def _step(evaluation: Evaluation) -> int:
    return evaluation.step
