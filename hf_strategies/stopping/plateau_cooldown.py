"""A training that holds its learning rate until the metric reaches a plateau and then cools down.

`cooldown_phases` derives from the log alone when the training holds, cools down and ends. `best_of` chooses the
evaluation whose weights are saved. `cooldown_reason` and `cooldown_record` describe both to users.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any

from hf_strategies.stopping.history import Evaluation, Usage
from hf_strategies.stopping.rule import Judgement, StoppingRule

__all__ = ["Phases", "best_of", "cooldown_phases", "cooldown_reason", "cooldown_record"]

LogHistory = Iterable[Mapping[str, Any]]

_NEVER = 2**62  # no evaluation comes after this step, so that a rule which may stop only after it never does


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
    log, drops, after = list(log_history), list[int](), after_step
    while True:
        judgement = rule.judge(log, usage=usage, total_steps=total_steps, after_step=after)
        if judgement.stop is None or judgement.stop.step >= latest:
            return Phases(latest, total_steps, None, tuple(drops), _cut(judgement, latest, total_steps, False))
        after = judgement.stop.step
        if len(drops) == stages:
            end = min(after + length(after), total_steps)
            return Phases(after, end, judgement.why, tuple(drops), _cut(judgement, after, end, not rewinds))
        drops.append(after)


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
    log = list(log_history)
    held = rule.judge(
        [entry for entry in log if int(entry.get("step", 0)) <= start], total_steps=total_steps, after_step=_NEVER
    )
    history = rule.judge(log, total_steps=total_steps, after_step=_NEVER).history
    best, best_index = held.best, held.best_index
    sign = 1.0 if rule.watched.mode == "min" else -1.0
    plateau = _plateau_cost(sign, held)
    for index, evaluation in enumerate(history):
        at_end = end is not None and evaluation.step >= end
        limit = plateau if at_end else math.inf if best is None else sign * best.value
        if evaluation.step > start and math.isfinite(evaluation.value) and sign * evaluation.value <= limit:
            best, best_index = evaluation, index
    return best, best_index is not None and best_index == len(history) - 1


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


def _plateau_cost(sign: float, held: Judgement) -> float:
    """Return the median, times ``sign``, of the finite values after the best one; infinity if there is none.

    If nothing comes after the best evaluation, its own value is the plateau.
    """
    index = held.best_index
    plateau = [] if index is None else held.history[index + 1 :] or held.history[index:]
    costs = [sign * evaluation.value for evaluation in plateau if math.isfinite(evaluation.value)]
    return median(costs) if costs else math.inf


def _cut(judgement: Judgement, start: int, end: int, from_start: bool) -> int | None:
    """Return the first step in the cooldown without a finite metric; ``start`` is in it with ``from_start``."""
    for evaluation in judgement.history:
        in_cooldown = evaluation.step > start or (from_start and evaluation.step == start)
        if in_cooldown and evaluation.step < end and not math.isfinite(evaluation.value):
            return evaluation.step
    return None
