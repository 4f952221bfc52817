"""A cooldown put over the learning rates of any scheduler whose rate is a function of the step."""

from collections.abc import Callable, Sequence
from typing import Any, TypeGuard

from torch.optim.lr_scheduler import LambdaLR

from hf_strategies.pytorch.lambda_lr import set_rates
from hf_strategies.pytorch.lr_scheduler import ScheduleLR
from hf_strategies.schedules.plateau_cooldown import Cooldown, Timeline

__all__ = ["CooldownRates", "has_own_cooldown"]

Ratio = Callable[[Any], float]


class CooldownRates:
    """The rates of a scheduler, held until a cooldown starts.

    The functions of the scheduler are replaced by ones of which `LambdaLR` saves nothing: what they compute follows
    from ``timeline`` and the steps that are done, which `follow` is to be told after each of them.

    Args:
        scheduler: whose functions give the rates before the cooldown, and the rate that it starts from.
        cooldowns: one for each parameter group.
        timeline: when it starts and ends.
    """

    def __init__(self, scheduler: LambdaLR, cooldowns: Sequence[Cooldown], timeline: Timeline) -> None:
        self._scheduler, self.timeline = scheduler, timeline
        # A user's own scheduler may still have those of a training that failed.
        self._own = [getattr(ratio, "under_cooldown", ratio) for ratio in scheduler.lr_lambdas]
        holds = [_hold(scheduler, ratio) for ratio in self._own]
        self._late = 0
        self.late_at_start: int | None = None
        scheduler.lr_lambdas = [
            self._over(own, hold, cooldown) for own, hold, cooldown in zip(self._own, holds, cooldowns, strict=True)
        ]

    def follow(self, step: int, timeline: Timeline) -> float:
        """Set the rates of the next update, after ``step`` steps; return the first group's."""
        self.timeline = timeline
        # In mixed precision the scheduler stands still when an update is skipped, and training counts it.
        self._late = step - self._scheduler.last_epoch
        if step < timeline.start:
            self.late_at_start = None
        elif self.late_at_start is None:
            self.late_at_start = self._late
        return set_rates(self._scheduler)

    def take_off(self) -> None:
        """Give the scheduler its own functions back."""
        self._scheduler.lr_lambdas = self._own

    def _over(self, own: Ratio, hold: Ratio, cooldown: Cooldown) -> Ratio:
        def cooled(step: float) -> float:
            late = self._late
            at_start = late if self.late_at_start is None else self.late_at_start
            return self.timeline.ratio(hold, cooldown, int(step) + late, late=late, late_at_start=at_start)

        cooled.under_cooldown = own  # type: ignore[attr-defined]
        return cooled


def has_own_cooldown(scheduler: Any) -> TypeGuard[ScheduleLR]:
    """Whether the schedule is of the kind that is made for this: it would cool down by itself."""
    return isinstance(scheduler, ScheduleLR) and scheduler.schedule.name.endswith("plateau_cooldown")


def _hold(scheduler: LambdaLR, ratio: Ratio) -> Ratio:
    if not has_own_cooldown(scheduler):
        return ratio
    end = scheduler.schedule.warmup_steps
    return lambda step: ratio(min(step, end))
