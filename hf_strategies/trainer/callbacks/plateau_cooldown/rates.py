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

    The functions of the scheduler are replaced by closures, of which `LambdaLR` saves nothing: their values follow
    from the timeline and from the number of steps, which `follow` updates after each step.

    Args:
        scheduler: its functions give the rates before the cooldown, and the rate that the cooldown starts from.
        cooldowns: one for each parameter group.
        timeline: when the cooldown starts and ends.
        step: the steps that are done.
        late_at_start: of a run that is resumed in its cooldown, by how many steps the scheduler was behind training
            when the cooldown started; None otherwise.
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
        # A user's own scheduler may still have the closures of a training that failed.
        self._own = [getattr(ratio, "under_cooldown", ratio) for ratio in scheduler.lr_lambdas]
        holds = [_hold(scheduler, ratio) for ratio in self._own]
        scheduler.lr_lambdas = [
            self._over(own, hold, cooldown) for own, hold, cooldown in zip(self._own, holds, cooldowns, strict=True)
        ]
        self.set_timeline(step, timeline)

    def set_timeline(self, step: int, timeline: Timeline) -> float:
        """Take another timeline from the next update on; return the first group's rate of that update."""
        self._timeline = timeline
        self._count_skipped(step)
        return set_rates(self._scheduler)

    def follow(self, step: int) -> None:
        """Correct the rates of the next update, after ``step`` steps, if this step's update was skipped."""
        # The scheduler's own step has set the rates by the same closures, but for what has changed since.
        if self._count_skipped(step):
            set_rates(self._scheduler)

    def _count_skipped(self, step: int) -> bool:
        """Count the updates that mixed precision skipped, so that the scheduler lags; return whether it changed."""
        late, self._late = self._late, step - self._scheduler.last_epoch
        if step < self._timeline.start:
            self.late_at_start = None
        elif self.late_at_start is None:
            self.late_at_start = self._late
        return self._late != late

    def take_off(self) -> None:
        """Give the scheduler its own functions back."""
        self._scheduler.lr_lambdas = self._own

    def _over(self, own: Ratio, hold: Ratio, cooldown: Cooldown) -> Ratio:
        def cooled(step: float) -> float:
            late = self._late
            at_start = late if self.late_at_start is None else self.late_at_start
            return self._timeline.ratio(hold, cooldown, int(step) + late, late=late, late_at_start=at_start)

        cooled.under_cooldown = own  # type: ignore[attr-defined]
        return cooled


def has_own_cooldown(scheduler: Any) -> TypeGuard[ScheduleLR]:
    """Whether the schedule is a ``plateau_cooldown``, which would cool down by itself at the end of its budget."""
    return isinstance(scheduler, ScheduleLR) and scheduler.schedule.name.endswith("plateau_cooldown")


def _hold(scheduler: LambdaLR, ratio: Ratio) -> Ratio:
    if not has_own_cooldown(scheduler):
        return ratio
    end = scheduler.schedule.warmup_steps
    return lambda step: ratio(min(step, end))
