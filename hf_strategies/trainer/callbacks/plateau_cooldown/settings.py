"""The settings of a cooldown in one training: those of the callback, those of the schedule, and the budget."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from torch.optim.lr_scheduler import LambdaLR
from transformers import TrainerState, TrainingArguments
from transformers.trainer_utils import has_length

from hf_strategies.errors import StrategyError
from hf_strategies.pytorch.lr_scheduler import ScheduleLR
from hf_strategies.schedules.plateau_cooldown import DEFAULT_LENGTH, Cooldown
from hf_strategies.trainer.callbacks.plateau_cooldown.rates import has_own_cooldown

__all__ = ["DEFAULTS", "ResolvedCooldown", "resolve_cooldown"]

DEFAULTS: Mapping[str, Any] = {"cooldown": DEFAULT_LENGTH, "cooldown_shape": "sqrt", "min_lr_ratio": 0.0}


@dataclass(frozen=True)
class ResolvedCooldown:
    """The cooldown of each parameter group, with the lengths of one training in steps.

    ``budget`` is where training ends, ``warmup`` where the warmup ends, ``latest`` the last step at which the
    cooldown may start to end with the budget.
    """

    cooldowns: tuple[Cooldown, ...]
    budget: int
    warmup: int
    latest: int

    @property
    def cooldown(self) -> Cooldown:
        """The cooldown of the first group; those of the others differ only in the floor."""
        return self.cooldowns[0]


def resolve_cooldown(
    given: Mapping[str, Any], scheduler: LambdaLR, args: TrainingArguments, state: TrainerState, loader: object
) -> ResolvedCooldown:
    """Combine the settings ``given`` to the callback with those of the schedule.

    Raises `StrategyError` when they disagree, or the cooldown does not fit into what follows the warmup.
    """
    theirs = _of_schedule(scheduler)
    cooldown = Cooldown.read(**{**DEFAULTS, **theirs, **given})
    if cooldown != Cooldown.read(**{**DEFAULTS, **given, **theirs}):
        both = ", ".join(f"{name}={given[name]!r}, not {theirs[name]!r}" for name in theirs.keys() & given.keys())
        raise StrategyError(f"PlateauCooldown has other settings than lr_scheduler_kwargs, {both}: give them once")
    cooldown = replace(cooldown, steps_per_epoch=_steps_per_epoch(args, loader))
    floors = [cooldown.floor] * len(scheduler.lr_lambdas)
    if "min_lr_ratio" not in given and isinstance(scheduler, ScheduleLR):
        floors = [float(each.parameters.get("min_lr_ratio", 0.0)) for each in scheduler.schedules]
    cooldowns = tuple(replace(cooldown, floor=floor) for floor in floors)
    budget, warmup = _budget(scheduler, state.max_steps), _warmup(scheduler, args, state.max_steps)
    is_default = "cooldown" not in given and "cooldown" not in theirs
    return ResolvedCooldown(cooldowns, budget, warmup, _latest(cooldown, budget, warmup, is_default))


def _of_schedule(scheduler: LambdaLR) -> dict[str, Any]:
    if not has_own_cooldown(scheduler):
        return {}
    if scheduler.is_stretched:
        raise StrategyError(
            "on_extend='replan' cannot go with PlateauCooldown, which plans the rest of the training itself: take"
            " 'keep' or 'jump'"
        )
    return {name: scheduler.given[name] for name in DEFAULTS if name in scheduler.given}


def _budget(scheduler: LambdaLR, max_steps: int) -> int:
    # With on_extend="keep" the schedule ends where it was planned to, though training was made longer.
    return min(max_steps, scheduler.schedule.total_steps) if has_own_cooldown(scheduler) else max_steps


def _warmup(scheduler: LambdaLR, args: TrainingArguments, max_steps: int) -> int:
    if isinstance(scheduler, ScheduleLR):
        return scheduler.schedule.warmup_steps
    return int(args.get_warmup_steps(max_steps))


def _latest(cooldown: Cooldown, budget: int, warmup: int, is_default: bool) -> int:
    latest = cooldown.latest_start(budget)
    if latest < warmup and not is_default:
        raise StrategyError(
            f"cooldown={cooldown.length!r} has to start at step {latest} of {budget}, before the warmup has ended at"
            f" step {warmup}: give a shorter one"
        )
    return min(max(latest, warmup), budget)


def _steps_per_epoch(args: TrainingArguments, loader: Any) -> float | None:
    # As the Trainer counts them.
    return max(1, math.ceil(len(loader) / args.gradient_accumulation_steps)) if has_length(loader) else None
