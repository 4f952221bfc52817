"""The cooldown of a training whose length nobody has chosen: how long it is, when it has to start, how it falls."""

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hf_strategies.errors import StrategyError
from hf_strategies.lengths import read_span, to_steps
from hf_strategies.schedules.curve import Curve
from hf_strategies.schedules.decays import COOLDOWNS, check_cooldown, stable
from hf_strategies.schedules.parameters import Choice, Clock, Parameter, Real
from hf_strategies.schedules.plans import Multiplier, WarmupDecayPlan

__all__ = ["COOLDOWN_PARAMETERS", "LENGTH", "PLATEAU_COOLDOWN", "Cooldown", "Timeline", "plateau_cooldown"]

LENGTH = 0.5
"""Of the steps done when it starts, a third of all: in fine-tuning better than the 0.2 of pre-training, see
benchmarks/README.md."""


# In steps: a length that gives no step even of a training, or of epochs, so long is one of 0.
_LONG = 1_000_000


@dataclass(frozen=True)
class _SoFar:
    """The length of a cooldown; a fraction is of the steps done when it starts, so that it ends with the training."""

    help: str = "length of the cooldown; a fraction is of the steps done when it starts"
    shown: str = f"{LENGTH} of the steps done when it starts"

    def read(self, name: str, value: object, clock: Clock) -> int:
        """Return the steps of the cooldown that ends with the training."""
        end = clock.warmup_steps + clock.decay_steps
        start = _latest_start(name, value, end, clock.steps_per_epoch)
        if start < clock.warmup_steps:
            raise StrategyError(
                f"{name}={value!r} has to start at step {start} of {end}, before the warmup has ended at step"
                f" {clock.warmup_steps}: give a shorter one"
            )
        return end - start

    def read_default(self, name: str, clock: Clock) -> int:
        """Return the default in steps, cut to what follows the warmup."""
        end = clock.warmup_steps + clock.decay_steps
        return min(end - _latest_start(name, LENGTH, end, None), clock.decay_steps)


COOLDOWN_PARAMETERS: Mapping[str, Parameter] = {
    "cooldown": _SoFar(),
    "cooldown_shape": Choice("sqrt", tuple(COOLDOWNS), "curve of the cooldown"),
    "min_lr_ratio": Real(0.0, 0.0, 1.0, "floor, as a ratio of the peak"),
}

PLATEAU_COOLDOWN = Curve(
    "plateau_cooldown",
    stable,
    COOLDOWN_PARAMETERS,
    "holds the peak, then cools down to the floor; PlateauCooldown starts that when validation stalls",
    "1, then cooldown_shape over the last cooldown steps, earlier with the callback PlateauCooldown",
    "this package; the cooldown: Hagele et al. 2024, arXiv:2405.18392",
    ((90, 100), {"cooldown": 20, "cooldown_shape": "linear", "min_lr_ratio": 0.2}, 0.6),
    check_cooldown,
)
"""Not one of the decays, because it is named otherwise: ``{warmup}_warmup_plateau_cooldown``."""


def plateau_cooldown(warmup: Curve) -> WarmupDecayPlan:
    """Name a warmup with the cooldown: ``linear_warmup_plateau_cooldown``; ``plateau_cooldown`` without warmup."""
    prefix = "" if warmup.name == "none" else f"{warmup.name}_warmup_"
    return WarmupDecayPlan(f"{prefix}plateau_cooldown", warmup, PLATEAU_COOLDOWN)


@dataclass(frozen=True)
class Cooldown:
    """A fall from whatever the learning rate is, over a length that depends on when it starts.

    ``length`` is in steps, epochs (``"2ep"``) or a fraction of the steps that are done when it starts; ``shape`` is
    the name of a curve, ``floor`` a ratio of the peak.
    """

    length: int | float | str = LENGTH
    shape: str = "sqrt"
    floor: float = 0.0
    steps_per_epoch: float | None = None

    @classmethod
    def read(cls, cooldown: object, cooldown_shape: object, min_lr_ratio: object) -> "Cooldown":
        """Check the settings as a user gives them; raises `StrategyError` for a bad one.

        >>> Cooldown.read("2ep", "linear", 0.1)
        Cooldown(length='2ep', shape='linear', floor=0.1, steps_per_epoch=None)
        """
        _steps("cooldown", cooldown, 1, _LONG)
        clock = Clock(total_steps=1)
        given = {"cooldown_shape": cooldown_shape, "min_lr_ratio": min_lr_ratio}
        values: dict[str, Any] = {
            name: COOLDOWN_PARAMETERS[name].read(name, value, clock) for name, value in given.items()
        }
        check_cooldown(values)
        return cls(read_span("cooldown", cooldown).plain, values["cooldown_shape"], values["min_lr_ratio"])

    def steps(self, done: int) -> int:
        """Return the steps of a cooldown that starts after ``done`` steps, at least 1.

        >>> Cooldown(0.2).steps(41), Cooldown(7).steps(41)
        (9, 7)
        """
        return _steps("cooldown", self.length, done, self.steps_per_epoch)

    def latest_start(self, total_steps: int) -> int:
        """Return the last step at which it may start to end with a training of ``total_steps``.

        The greatest s with s + K(s) <= ``total_steps``, K being `steps`; below 0 if it is longer than that.

        >>> Cooldown(0.2).latest_start(100), Cooldown(7).latest_start(100)
        (83, 93)
        """
        return _latest_start("cooldown", self.length, total_steps, self.steps_per_epoch)

    def fall(self, level: float, done: float, steps: int) -> float:
        """Return the ratio of the peak after ``done`` of ``steps`` steps, from ``level`` down to the floor.

        What is below the floor already stays where it is.

        >>> Cooldown(shape="linear", floor=0.1).fall(0.5, 3, 4)
        0.2
        """
        if level <= self.floor:
            return level
        if done >= steps:
            return self.floor
        return level * COOLDOWNS[self.shape](done, steps, min_lr_ratio=self.floor / level)


@dataclass(frozen=True)
class Timeline:
    """When a held schedule is lowered by a factor, and cooled down: ``start`` to ``end``, in steps that are done.

    ratio(t) = hold(t) * ``factor`` ** (how many of ``drops`` are <= t) for t < ``start``, from there on `Cooldown`
    down from ratio(``start``). The end is where it would reach the floor: the update after ``end`` - 1 steps is
    the last.
    """

    start: int
    end: int
    drops: tuple[int, ...] = ()
    factor: float = 1.0

    def ratio(
        self, hold: Multiplier, cooldown: Cooldown, step: int, *, late: int = 0, late_at_start: int = 0
    ) -> float:
        """Return the ratio of the peak for the update after ``step`` steps.

        ``late`` tells by how many steps the schedule lies behind, because mixed precision skipped updates: the held
        schedule counts only the others. In the cooldown every step counts, so that it ends when it was said to.

        >>> line = Timeline(start=4, end=8, drops=(2,), factor=0.5)
        >>> [line.ratio(lambda step: 1.0, Cooldown(shape="linear"), step) for step in range(9)]
        [1.0, 1.0, 0.5, 0.5, 0.5, 0.375, 0.25, 0.125, 0.0]
        """
        at, behind = (step, late) if step < self.start else (self.start, late_at_start)
        level = hold(max(0, at - behind)) * self.factor ** bisect_right(self.drops, at)
        return level if step <= self.start else cooldown.fall(level, step - self.start, self.end - self.start)


def _steps(name: str, value: object, done: int, steps_per_epoch: float | None) -> int:
    if to_steps(name, value, total_steps=_LONG, steps_per_epoch=steps_per_epoch) < 1:
        raise StrategyError(f"{name}={value!r} gives 0 steps: give a length of at least one step")
    return max(1, to_steps(name, value, total_steps=done, steps_per_epoch=steps_per_epoch))


def _latest_start(name: str, value: object, total: int, steps_per_epoch: float | None) -> int:
    ends = range(total + 1)
    return bisect_right(ends, total, key=lambda done: done + _steps(name, value, done, steps_per_epoch)) - 1
