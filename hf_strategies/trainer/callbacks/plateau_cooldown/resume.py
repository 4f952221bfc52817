"""Resume a run with a cooldown: from which step the log counts, and whether the learning rate would jump."""

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
    """Two steps that limit how the log is read.

    Evaluations up to the step ``after`` are ignored when a plateau is detected. No cooldown starts before the step
    ``earliest``.
    """

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
    """Return the bounds for reading the log of a run that is resumed at ``step``.

    If nothing has changed, the bounds of the checkpoint hold. If the run had no `PlateauCooldown` before, no cooldown
    starts before ``step``. The same holds if the settings or the budget have changed while the run was holding its
    rate: a change acts on the future only. If the run was already lowering its rate, it has to continue in the same
    way, because the rate would jump otherwise.

    Args:
        before: the record in the checkpoint; None if there is none.
        now: the ``settings`` and the ``budget`` of this run.
        step: the step at which the run is resumed.
        read_log: a function that returns the phases for given bounds.
        may_jump: whether the rate is allowed to jump.

    Raises `StrategyError` if the rate would jump, unless ``may_jump``.
    """
    if before is None:
        return Bounds(step, step)
    changed = [name for name in ("settings", "budget") if before[name] != now[name]]
    started = before["cooldown_start"] <= step
    bounds = Bounds(before["after_step"], before["earliest_start"])
    if changed and not started:
        bounds = Bounds(bounds.after, step)
    phases = read_log(bounds)
    span_before = (before["cooldown_start"], before["cooldown_end"])
    same_span = (phases.start, phases.end) == span_before if started else phases.start >= step
    if same_span and list(phases.drops) == before["drops"]:
        return bounds
    if not started and not before["drops"]:
        return Bounds(step, step)
    if may_jump:
        return Bounds(step, step)
    raise StrategyError(_jump_message(before, now, changed))


def _jump_message(before: Mapping[str, Any], now: Mapping[str, Any], changed: list[str]) -> str:
    first = min([before["cooldown_start"], *before["drops"]])
    changes = " and ".join(f"{name} {now[name]!r} in place of {before[name]!r}" for name in changed)
    return (
        f"the learning rate would jump: this run has lowered it since step {first} and is resumed with"
        f" {changes or 'another log'}. Resume with what it had, or from a checkpoint before step {first}"
    )


def pop_record(name: str, state: TrainerState) -> dict[str, Any] | None:
    """Remove the record of the callback ``name`` from the state and return it; None if there is none.

    The resumed run writes a new record.
    """
    keys = [key for key in records(state) if key.startswith(f"{name}(")]
    popped = [records(state).pop(key) for key in keys]
    return popped[-1] if popped else None
