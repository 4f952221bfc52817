"""Taking up a run with a cooldown: from which step on the log counts, and what would make the rate jump."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from transformers import TrainerState

from hf_strategies.errors import StrategyError
from hf_strategies.stopping.plateau_cooldown import Phases
from hf_strategies.trainer.callbacks.context import records

__all__ = ["Bounds", "take_records", "take_up"]


@dataclass(frozen=True)
class Bounds:
    """``after``: evaluations up to this step are no plateau; ``earliest``: no cooldown starts before this step."""

    after: int = 0
    earliest: int = 0


def take_up(
    before: Mapping[str, Any] | None,
    now: Mapping[str, Any],
    step: int,
    look: Callable[[Bounds], Phases],
    *,
    may_jump: bool,
) -> Bounds:
    """Tell how a run that is resumed at ``step`` has to look at its log.

    As it did before, if nothing has changed. A run that had no cooldown over it, or was still holding its rate
    under other settings or for another number of steps, holds it up to here whatever its log says; only the future
    changes. One that was lowering its rate must go on the same way, else the rate would jump.

    ``before`` is the record in the checkpoint, None if there is none; ``now`` has the ``settings`` and the
    ``budget`` of this run; ``look`` finds the phases. Raises `StrategyError` for a jump, unless ``may_jump``.
    """
    if before is None:
        return Bounds(step, step)
    changed = [name for name in ("settings", "budget") if before[name] != now[name]]
    started = before["cooldown_start"] <= step
    bounds = Bounds(before["after_step"], before["earliest_start"])
    if changed and not started:
        bounds = Bounds(bounds.after, step)
    found = look(bounds)
    same_start = found.start >= step if not started else _span(found) == _span_of(before)
    if same_start and list(found.drops) == before["drops"]:
        return bounds
    if not started and not before["drops"]:
        return Bounds(step, step)
    if may_jump:
        return Bounds(step, step)
    raise StrategyError(_words_of_jump(before, now, changed))


def _span(found: Phases) -> tuple[int, int]:
    return found.start, found.end


def _span_of(before: Mapping[str, Any]) -> tuple[int, int]:
    return before["cooldown_start"], before["cooldown_end"]


def _words_of_jump(before: Mapping[str, Any], now: Mapping[str, Any], changed: list[str]) -> str:
    first = min([before["cooldown_start"], *before["drops"]])
    what = " and ".join(f"{name} {now[name]!r} in place of {before[name]!r}" for name in changed)
    return (
        f"the learning rate would jump: this run has lowered it since step {first} and is resumed with"
        f" {what or 'another log'}. Resume with what it had, or from a checkpoint before step {first}"
    )


def take_records(name: str, state: TrainerState) -> dict[str, Any] | None:
    """Take the record of a callback out of a resumed run's state; it is written anew."""
    keys = [key for key in records(state) if key.startswith(f"{name}(")]
    found = [records(state).pop(key) for key in keys]
    return found[-1] if found else None
