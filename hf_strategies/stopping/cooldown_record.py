"""What happened to a training with a cooldown, in words and as plain JSON values."""

from typing import Any

from hf_strategies.stopping.cooldown import Phases
from hf_strategies.stopping.history import Evaluation
from hf_strategies.stopping.rule import StoppingRule

__all__ = ["cooldown_reason", "cooldown_record"]


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
