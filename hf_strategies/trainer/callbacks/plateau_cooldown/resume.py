"""Resuming a run with a cooldown: from which step on the log counts, and what would make the rate jump."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from transformers import TrainerState

from hf_strategies.errors import StrategyError
from hf_strategies.stopping.plateau_cooldown import Phases
from hf_strategies.trainer.callbacks.context import records

__all__ = ["Bounds", "pop_record", "resume_bounds"]


@dataclass(frozen=True)
class Bounds:
    """``after``: evaluations up to this step are no plateau; ``earliest``: no cooldown starts before this step."""

    after: int = 0
    earliest: int = 0


def resume_bounds(
    before: Mapping[str, Any] | None,
    now: Mapping[str, Any],
    step: int,
    read_log: Callable[[Bounds], Phases],
    *,
    may_jump: bool,
) -> Bounds:
    """Return the bounds within which a run that is resumed at ``step`` reads its log.

    They are what they were if nothing has changed. A run that had no cooldown, or was still holding its rate under
    other settings or for another number of steps, holds it up to here whatever its log says; only the future changes.
    One that was lowering its rate must go on in the same way, else the rate would jump.

    ``before`` is the record in the checkpoint, None if there is none; ``now`` has the ``settings`` and the
    ``budget`` of this run; ``read_log`` returns the phases within given bounds. Raises `StrategyError` for a jump,
    unless ``may_jump``.
    """
    if before is None:
        return Bounds(step, step)
    changed = [name for name in ("settings", "budget") if before[name] != now[name]]
    started = before["cooldown_start"] <= step
    bounds = Bounds(before["after_step"], before["earliest_start"])
    if changed and not started:
        bounds = Bounds(bounds.after, step)
    phases = read_log(bounds)
    before_span = (before["cooldown_start"], before["cooldown_end"])
    same_start = (phases.start, phases.end) == before_span if started else phases.start >= step
    if same_start and list(phases.drops) == before["drops"]:
        return bounds
    if not started and not before["drops"]:
        return Bounds(step, step)
    if may_jump:
        return Bounds(step, step)
    raise StrategyError(_words_of_jump(before, now, changed))


def _words_of_jump(before: Mapping[str, Any], now: Mapping[str, Any], changed: list[str]) -> str:
    first = min([before["cooldown_start"], *before["drops"]])
    what = " and ".join(f"{name} {now[name]!r} in place of {before[name]!r}" for name in changed)
    return (
        f"the learning rate would jump: this run has lowered it since step {first} and is resumed with"
        f" {what or 'another log'}. Resume with what it had, or from a checkpoint before step {first}"
    )


def pop_record(name: str, state: TrainerState) -> dict[str, Any] | None:
    """Remove the record of a callback from a resumed run's state and return it; it is written anew."""
    keys = [key for key in records(state) if key.startswith(f"{name}(")]
    popped = [records(state).pop(key) for key in keys]
    return popped[-1] if popped else None
