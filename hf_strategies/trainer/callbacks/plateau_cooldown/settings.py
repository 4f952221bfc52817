"""The settings of a cooldown in one training, from the callback, the schedule and the training's length.

When a run is resumed, also from which step its log counts, and whether the learning rate would jump.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from torch.optim.lr_scheduler import LambdaLR
from transformers import TrainerState, TrainingArguments

from hf_strategies.errors import StrategyError
from hf_strategies.lengths import read_span
from hf_strategies.pytorch.lambda_lr import own_floors
from hf_strategies.schedules.plateau_cooldown import DEFAULT_LENGTH, Cooldown
from hf_strategies.stopping.plateau_cooldown import Phases
from hf_strategies.trainer.callbacks.checks import refuse_epochs, steps_per_epoch, warmup_end
from hf_strategies.trainer.callbacks.plateau_cooldown.rates import has_own_cooldown

__all__ = ["DEFAULTS", "Bounds", "ResolvedCooldown", "refuse_jump", "resolve_cooldown", "resume_bounds"]


DEFAULTS: Mapping[str, Any] = {"cooldown": DEFAULT_LENGTH, "cooldown_shape": "sqrt", "min_lr_ratio": 0.0}
"""The settings of a cooldown that neither the callback nor the schedule gives."""


@dataclass(frozen=True)
class ResolvedCooldown:
    """The cooldown of each parameter group, and where one training's phases end, in steps.

    Training ends at the step ``budget`` at the latest, and the warmup ends at the step ``warmup``. The cooldown has
    to start at the step ``latest`` or earlier.
    """

    cooldowns: tuple[Cooldown, ...]
    budget: int
    warmup: int
    latest: int

    @property
    def cooldown(self) -> Cooldown:
        """The cooldown of the first group; the other groups' cooldowns differ in the floor only."""
        return self.cooldowns[0]


def resolve_cooldown(
    given: Mapping[str, Any], scheduler: LambdaLR, args: TrainingArguments, state: TrainerState, loader: object
) -> ResolvedCooldown:
    """Combine the settings ``given`` to the callback with the settings of the schedule.

    The floor of a group's cooldown is the callback's or the schedule's own, whichever is higher. ``loader`` is the
    loader of the training batches. Raises `StrategyError` if the settings disagree, if the cooldown is in epochs that
    are not known, or if it is longer than the training after the warmup.
    """
    of_schedule = _schedule_settings(scheduler)
    cooldown = Cooldown.read(**{**DEFAULTS, **of_schedule, **given})
    if cooldown != Cooldown.read(**{**DEFAULTS, **given, **of_schedule}):
        shared = of_schedule.keys() & given.keys()
        both = ", ".join(f"{name}={given[name]!r}, not {of_schedule[name]!r}" for name in shared)
        raise StrategyError(f"PlateauCooldown has other settings than lr_scheduler_kwargs, {both}: give them once")
    refuse_epochs("cooldown", read_span("cooldown", cooldown.length), loader)
    cooldown = replace(cooldown, steps_per_epoch=steps_per_epoch(args, loader))
    cooldowns = tuple(replace(cooldown, floor=max(cooldown.floor, floor)) for floor in own_floors(scheduler))
    budget, warmup = _budget(scheduler, state.max_steps), warmup_end(scheduler, args, state.max_steps)
    if warmup >= budget:
        raise StrategyError(
            f"warmup_steps={args.warmup_steps:g} ({warmup} steps) leaves nothing of the {budget} training steps for a"
            " cooldown: lower warmup_steps, or train longer"
        )
    is_default = "cooldown" not in given and "cooldown" not in of_schedule
    return ResolvedCooldown(cooldowns, budget, warmup, _latest_start(cooldown, budget, warmup, is_default))


def _schedule_settings(scheduler: LambdaLR) -> dict[str, Any]:
    """Return the settings of the cooldown in `lr_scheduler_kwargs`; none if the schedule has no cooldown."""
    if not has_own_cooldown(scheduler):
        return {}
    if scheduler.is_stretched:
        raise StrategyError(
            "on_extend='replan' cannot go with PlateauCooldown, which plans the rest of the training itself: take"
            " 'keep' or 'jump'"
        )
    return {name: scheduler.given[name] for name in DEFAULTS if name in scheduler.given}


def _budget(scheduler: LambdaLR, max_steps: int) -> int:
    # With on_extend="keep" the schedule ends at its planned step, even if training has been made longer.
    return min(max_steps, scheduler.schedule.total_steps) if has_own_cooldown(scheduler) else max_steps


def _latest_start(cooldown: Cooldown, budget: int, warmup: int, is_default: bool) -> int:
    """Return the last step at which the cooldown may start; a default length is cut to what follows the warmup."""
    latest = cooldown.latest_start(budget)
    if latest < warmup and not is_default:
        raise StrategyError(
            f"cooldown={cooldown.length!r} has to start at step {latest} of {budget}, before the warmup has ended at"
            f" step {warmup}: give a shorter one"
        )
    return min(max(latest, warmup), budget)


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


def refuse_jump(
    before: Mapping[str, Any], settings: str, step: int, rates: Sequence[float], scheduler: LambdaLR
) -> None:
    """Raise `StrategyError` if a run that has lowered its rate would jump because of other ``settings``.

    ``rates`` are those of the checkpoint, and ``scheduler`` has those of the next update. A factor, a floor or a
    shape changes the rate even where the cooldown begins and ends at the same steps.
    """
    has_lowered = before["cooldown_start"] <= step or before["drops"]
    after = [float(group["lr"]) for group in scheduler.optimizer.param_groups]
    same = all(math.isclose(old, new, rel_tol=1e-9, abs_tol=1e-300) for old, new in zip(rates, after, strict=True))
    if has_lowered and not same and getattr(scheduler, "on_extend", "") != "jump":
        raise StrategyError(_jump_message(before, {"settings": settings}, ["settings"]))


def _jump_message(before: Mapping[str, Any], now: Mapping[str, Any], changed: list[str]) -> str:
    first = min([before["cooldown_start"], *before["drops"]])
    changes = " and ".join(f"{name} {now[name]!r} in place of {before[name]!r}" for name in changed)
    return (
        f"the learning rate would jump: this run has lowered it since step {first} and is resumed with"
        f" {changes or 'another log'}. Resume with what it had, or from a checkpoint before step {first}"
    )
