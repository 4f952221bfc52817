"""The phases of a training that holds its learning rate until validation stalls, as a function of its history."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from hf_strategies.stopping.history import Evaluation, Usage
from hf_strategies.stopping.rule import Judgement, StoppingRule

__all__ = ["Phases", "best_of", "cooldown_reason", "cooldown_record", "phases"]


Log = Iterable[Mapping[str, Any]]


@dataclass(frozen=True)
class Phases:
    """Hold, cooldown and end, in optimizer steps that are done.

    The cooldown goes from ``start`` to ``end``. ``why`` is the reason that validation gave to start it; None when
    it starts there because the budget ends at ``end``, which a later evaluation may still change. ``drops`` are the
    plateaus before, at which the rate was lowered. ``cut`` is where training ends before ``end`` because the metric
    is not finite any more.
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
        """Name the phase: ``"hold"``, ``"cooldown"`` or ``"over"``.

        >>> [Phases(start=4, end=6).at(step) for step in (3, 4, 5, 6)]
        ['hold', 'cooldown', 'cooldown', 'over']
        """
        return "over" if step >= self.last else "hold" if step < self.start else "cooldown"


def phases(
    rule: StoppingRule,
    log_history: Log,
    *,
    length: Callable[[int], int],
    latest: int,
    total_steps: int,
    stages: int = 0,
    after_step: int = 0,
    rewinds: bool = False,
    usage: Usage | None = None,
) -> Phases:
    """Tell the phases of a training from its log, as `trainer_state.json` keeps it.

    A plateau is where ``rule`` would stop. At each of the first ``stages`` of them the rate is lowered and the
    waiting starts anew; at the next one, at step s, the cooldown starts and takes ``length`` (s) steps, at most to
    ``total_steps``. It starts at step ``latest`` at the latest. Evaluations up to ``after_step``, where the warmup
    ends, are no plateau.

    When the metric is not finite in the cooldown, or where it starts unless ``rewinds`` tells that it starts from
    the best weights, training ends there.

    >>> rule = StoppingRule.read("loss", "patience(2)")
    >>> log = [{"eval_loss": value, "step": 10 * k} for k, value in enumerate((0.5, 0.4, 0.6, 0.5), start=1)]
    >>> phases(rule, log, length=lambda step: step // 5, latest=83, total_steps=100)
    Phases(start=40, end=48, why='eval_loss has not improved for 2 evaluations', drops=(), cut=None)
    >>> phases(rule, log[:3], length=lambda step: step // 5, latest=83, total_steps=100)
    Phases(start=83, end=100, why=None, drops=(), cut=None)
    """
    log, drops, after = list(log_history), list[int](), after_step
    while True:
        found = rule.judge(log, usage=usage, total_steps=total_steps, after_step=after)
        if found.stop is None or found.stop.step >= latest:
            return Phases(latest, total_steps, None, tuple(drops), _cut(found, latest, total_steps, False))
        after = found.stop.step
        if len(drops) == stages:
            end = min(after + length(after), total_steps)
            return Phases(after, end, found.why, tuple(drops), _cut(found, after, end, not rewinds))
        drops.append(after)


def best_of(
    rule: StoppingRule, log_history: Log, start: int, *, end: int | None = None, total_steps: int | None = None
) -> tuple[Evaluation | None, bool]:
    """Return the evaluation whose weights to keep so far, and whether that is the newest one.

    Up to the step ``start`` it is the best by ``rule``. In the cooldown, an evaluation that is no worse than the best
    before takes its place, and from the step ``end`` on one that is no worse than the plateau was: than the median of
    the evaluations after the best one, up to ``start``. That best one was the luckiest of many at a high rate, which
    weights that have settled need not reach; but where training on has harmed them, the best ones come back.

    >>> rule = StoppingRule.read("loss")
    >>> log = [{"eval_loss": value, "step": k} for k, value in enumerate((0.5, 0.4, 0.6, 0.4), start=1)]
    >>> best_of(rule, log, 3)[0].step, best_of(rule, log, 4)[0].step
    (4, 2)
    >>> log[-1]["eval_loss"] = 0.45  # worse than 0.4, and better than the plateau of 0.6
    >>> best_of(rule, log, 3)[0].step, best_of(rule, log, 3, end=4)[0].step
    (2, 4)
    """
    log = list(log_history)
    held = [entry for entry in log if int(entry.get("step", 0)) <= start]
    judged = rule.judge(held, total_steps=total_steps, after_step=_NEVER)
    best, index = judged.best, judged.best_index
    sign = 1.0 if rule.watched.mode == "min" else -1.0
    plateau = [] if index is None else judged.history[index + 1 :] or judged.history[index:]
    usual = _median(sign, plateau)
    every = rule.judge(log, total_steps=total_steps, after_step=_NEVER).history
    for number, each in enumerate(every):
        bar = usual if end is not None and each.step >= end else math.inf if best is None else sign * best.value
        if each.step > start and math.isfinite(each.value) and sign * each.value <= bar:
            best, index = each, number
    return best, index is not None and index == len(every) - 1


def _median(sign: float, plateau: Sequence[Evaluation]) -> float:
    values = [sign * each.value for each in plateau if math.isfinite(each.value)]
    return median(values) if values else math.inf


_NEVER = 2**62  # no evaluation comes later: there is no stop


def _cut(judged: Judgement, start: int, end: int, from_start: bool) -> int | None:
    """Return the first step of the cooldown at which the metric is not finite."""
    for each in judged.history:
        in_cooldown = each.step > start or (from_start and each.step == start)
        if in_cooldown and each.step < end and not math.isfinite(each.value):
            return each.step
    return None


def cooldown_reason(rule: StoppingRule, found: Phases, best: Evaluation | None, step: int) -> str:
    """Say in one sentence how far a training has come at ``step``, and why.

    >>> rule = StoppingRule.read("loss")
    >>> cooldown_reason(rule, Phases(40, 48, "eval_loss has not improved for 3 evaluations"), None, 44)
    'In the cooldown from step 40 to 48: eval_loss has not improved for 3 evaluations.'
    """
    why = found.why or f"the budget ends at step {found.end}"
    phase = found.at(step)
    if phase == "hold":
        return f"No cooldown yet at step {step}; it starts at step {found.start} at the latest."
    if phase == "cooldown":
        return f"In the cooldown from step {found.start} to {found.end}: {why}."
    said = f"Cooled down from step {found.start} to {found.end}: {why}"
    if found.cut is not None:
        said = f"Stopped in the cooldown, at step {found.cut} of {found.start} to {found.end}, because {rule.monitor}"
        said += " is not finite"
    if best is None:
        return f"{said}; {rule.monitor} never was finite."
    if best.step >= found.end:
        return f"{said}; kept {best.value:.6g} of its end (epoch {best.epoch:.2f})."
    return f"{said}; best {best.value:.6g} at step {best.step} (epoch {best.epoch:.2f})."


def cooldown_record(
    rule: StoppingRule, found: Phases, best: Evaluation | None, step: int, budget: int
) -> dict[str, Any]:
    """Put what happened into plain JSON values; what early stopping records too has the same names."""
    over = found.at(step) == "over"
    return {
        "monitor": rule.monitor,
        "mode": rule.watched.mode,
        "criterion": str(rule.condition),
        "phase": found.at(step),
        "trigger": "budget" if found.why is None else "plateau",
        "why": found.why,
        "cooldown_start": found.start,
        "cooldown_end": found.end,
        "drops": list(found.drops),
        "budget": budget,
        "stopped": over and found.last < budget,
        "stop_step": found.last if over and found.last < budget else None,
        "reason": cooldown_reason(rule, found, best, step),
        "best_step": best and best.step,
        "best_epoch": best and best.epoch,
        "best_value": best and best.value,
    }
