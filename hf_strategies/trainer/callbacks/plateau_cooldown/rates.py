"""Apply a cooldown to the learning rates of any scheduler whose rate is a function of the step."""

from collections.abc import Callable, Sequence
from typing import Any, TypeGuard

from torch.optim.lr_scheduler import LambdaLR

from hf_strategies.errors import StrategyError
from hf_strategies.pytorch.lambda_lr import set_rates
from hf_strategies.pytorch.lr_scheduler import ScheduleLR
from hf_strategies.schedules.plateau_cooldown import Cooldown, Timeline

__all__ = ["HOLDS", "CooldownRates", "has_own_cooldown", "refuse_falling"]

Ratio = Callable[[Any], float]

HOLDS = ("peak", "schedule")
"""The values of ``hold``: the schedule has to stay at its peak until the cooldown, or may fall by itself before."""


class CooldownRates:
    """The rates of a scheduler, followed by a cooldown.

    The scheduler's functions are replaced by closures. `LambdaLR` does not save closures in a checkpoint, and need
    not: their values follow from the timeline, the step, and the number of steps by which the scheduler is behind
    training. A scheduler is behind when mixed precision skips updates; call `follow` after each step to count them.

    Args:
        scheduler: its functions give the rates before the cooldown, and the rate at which the cooldown starts.
        cooldowns: the cooldown of each parameter group.
        timeline: when the cooldown starts and ends.
        step: the number of steps done.
        late_at_start: for a run that is resumed in its cooldown, the number of steps by which the scheduler was
            behind training when the cooldown started; None otherwise.
    """

    def __init__(
        self,
        scheduler: LambdaLR,
        cooldowns: Sequence[Cooldown],
        timeline: Timeline,
        step: int,
        late_at_start: int | None,
    ) -> None:
        self._scheduler, self._timeline = scheduler, timeline
        self._late = step - scheduler.last_epoch
        self.late_at_start = late_at_start
        # A training that failed may have left its closures in a scheduler of the user's own.
        self._own = [getattr(ratio, "under_cooldown", ratio) for ratio in scheduler.lr_lambdas]
        scheduler.lr_lambdas = [
            self._with_cooldown(own, _without_own_cooldown(scheduler, own), cooldown)
            for own, cooldown in zip(self._own, cooldowns, strict=True)
        ]
        self.set_timeline(step, timeline)

    def set_timeline(self, step: int, timeline: Timeline) -> float:
        """Use another timeline from the next update on; return the first group's rate of that update."""
        self._timeline = timeline
        self._count_skipped(step)
        return set_rates(self._scheduler)

    def follow(self, step: int) -> None:
        """Correct the rates of the next update, after ``step`` steps, if this step's update was skipped."""
        # Without a skipped update, the scheduler's own step has already set the right rates.
        if self._count_skipped(step):
            set_rates(self._scheduler)

    def _count_skipped(self, step: int) -> bool:
        """Count the updates that mixed precision has skipped; return whether the number has changed."""
        late, self._late = self._late, step - self._scheduler.last_epoch
        if step < self._timeline.start:
            self.late_at_start = None
        elif self.late_at_start is None:
            self.late_at_start = self._late
        return self._late != late

    def remove(self) -> None:
        """Give the scheduler its own functions back."""
        self._scheduler.lr_lambdas = self._own

    def _with_cooldown(self, own: Ratio, hold: Ratio, cooldown: Cooldown) -> Ratio:
        """Return the ratio ``hold`` followed by the cooldown, with ``own`` as an attribute for a later training."""

        def cooled(step: float) -> float:
            late = self._late
            at_start = late if self.late_at_start is None else self.late_at_start
            return self._timeline.ratio(hold, cooldown, int(step) + late, late=late, late_at_start=at_start)

        cooled.under_cooldown = own  # type: ignore[attr-defined]
        return cooled


def has_own_cooldown(scheduler: Any) -> TypeGuard[ScheduleLR]:
    """Whether the schedule is a ``plateau_cooldown``, which itself cools down at the end of the budget."""
    return isinstance(scheduler, ScheduleLR) and scheduler.schedule.name.endswith("plateau_cooldown")


def refuse_falling(scheduler: LambdaLR, warmup: int, latest: int, name: str) -> None:
    """Raise `StrategyError` if the schedule ``name`` lowers the rate by itself before the cooldown.

    The warmup ends at the step ``warmup``, and the cooldown starts at the step ``latest`` at the latest.
    """
    if has_own_cooldown(scheduler):
        return
    for ratio in {getattr(each, "under_cooldown", each) for each in scheduler.lr_lambdas}:
        before = ratio(warmup)
        for step in range(warmup + 1, latest + 1):
            now = ratio(step)
            if now < before:
                raise StrategyError(
                    f"PlateauCooldown holds the learning rate, and lr_scheduler_type={name!r} lowers it by itself"
                    f" from step {step} on: take 'linear_warmup_plateau_cooldown' or 'constant_with_warmup', or"
                    " follow the schedule until the plateau, by hold='schedule'"
                )
            before = now


def _without_own_cooldown(scheduler: LambdaLR, ratio: Ratio) -> Ratio:
    """Return ``ratio``, held at its value at the end of the warmup if the schedule has its own cooldown."""
    if not has_own_cooldown(scheduler):
        return ratio
    end = scheduler.schedule.warmup_steps
    return lambda step: ratio(min(step, end))
