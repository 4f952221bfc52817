"""What happened, in words and as plain JSON values."""

from typing import Any

from hf_strategies.stopping.rule import Judgement, StoppingRule

__all__ = ["reason", "record"]


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
