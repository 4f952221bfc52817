"""The cooldown of a training that ends when validation stalls: its length, its latest start and its curve.

The schedule ``plateau_cooldown`` holds the peak and cools down at the end of the training. The callback
`PlateauCooldown` starts the cooldown earlier, when the metric on the validation set no longer improves.
"""

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hf_strategies.errors import StrategyError
from hf_strategies.lengths import read_span, to_steps
from hf_strategies.schedules.cooldowns import COOLDOWNS, check_cooldown, stable
from hf_strategies.schedules.parameters import Choice, Clock, Parameter, Real
from hf_strategies.schedules.plans import Curve, Multiplier, WarmupDecayPlan

__all__ = ["COOLDOWN_PARAMETERS", "DEFAULT_LENGTH", "PLATEAU_COOLDOWN", "Cooldown", "Timeline", "plateau_cooldown"]

DEFAULT_LENGTH = 0.5
"""The default length of the cooldown, a fraction of the steps that are done when it starts.

With 0.5 the cooldown is the last third of the training. In fine-tuning this is better than the 0.2 of pre-training;
see benchmarks/README.md.
"""

# Steps of a training so long that a cooldown of 0 steps in it is a mistake of the user, not the result of rounding.
_LONG_TRAINING = 1_000_000


@dataclass(frozen=True)
class _CooldownLength:
    """The parameter ``cooldown``: its length, where a fraction refers to the steps done when the cooldown starts."""

    help: str = "length of the cooldown; a fraction is of the steps done when it starts"
    shown: str = f"{DEFAULT_LENGTH} of the steps done when it starts"

    def read(self, name: str, value: object, clock: Clock) -> int:
        """Return the number of steps from the latest start of the cooldown to the end of the training."""
        end = clock.warmup_steps + clock.decay_steps
        start = _latest_start(name, value, end, clock.steps_per_epoch)
        if start < clock.warmup_steps:
            raise StrategyError(
                f"{name}={value!r} has to start at step {start} of {end}, before the warmup has ended at step"
                f" {clock.warmup_steps}: give a shorter one"
            )
        return end - start

    def read_default(self, name: str, clock: Clock) -> int:
        """Return the default in steps, at most the steps that follow the warmup."""
        end = clock.warmup_steps + clock.decay_steps
        return min(end - _latest_start(name, DEFAULT_LENGTH, end, None), clock.decay_steps)


COOLDOWN_PARAMETERS: Mapping[str, Parameter] = {
    "cooldown": _CooldownLength(),
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
"""No row of `DECAYS`, because its schedules have no ``_decay`` in the name: ``{warmup}_warmup_plateau_cooldown``."""


def plateau_cooldown(warmup: Curve) -> WarmupDecayPlan:
    """Return the plan ``{warmup}_warmup_plateau_cooldown``, or ``plateau_cooldown`` for the warmup ``none``."""
    prefix = "" if warmup.name == "none" else f"{warmup.name}_warmup_"
    return WarmupDecayPlan(f"{prefix}plateau_cooldown", warmup, PLATEAU_COOLDOWN)


@dataclass(frozen=True)
class Cooldown:
    """A fall of the learning rate from its present level to a floor, over a length that may depend on the start.

    ``length`` is in steps, in epochs (``"2ep"``), or a fraction of the steps that are done when the cooldown starts.
    ``shape`` is the name of one of `COOLDOWNS`, ``floor`` a ratio of the peak.
    """

    length: int | float | str = DEFAULT_LENGTH
    shape: str = "sqrt"
    floor: float = 0.0
    steps_per_epoch: float | None = None

    @classmethod
    def read(cls, cooldown: object, cooldown_shape: object, min_lr_ratio: object) -> "Cooldown":
        """Return the cooldown of the settings that a user gives; raises `StrategyError` for an invalid setting.

        >>> Cooldown.read("2ep", "linear", 0.1)
        Cooldown(length='2ep', shape='linear', floor=0.1, steps_per_epoch=None)
        """
        _steps("cooldown", cooldown, 1, _LONG_TRAINING)
        clock = Clock(total_steps=1)
        given = {"cooldown_shape": cooldown_shape, "min_lr_ratio": min_lr_ratio}
        values: dict[str, Any] = {
            name: COOLDOWN_PARAMETERS[name].read(name, value, clock) for name, value in given.items()
        }
        check_cooldown(values)
        return cls(read_span("cooldown", cooldown).plain, values["cooldown_shape"], values["min_lr_ratio"])

    def steps(self, done: int) -> int:
        """Return the number of steps, at least 1, of a cooldown that starts after ``done`` steps.

        >>> Cooldown(0.2).steps(41), Cooldown(7).steps(41)
        (9, 7)
        """
        return _steps("cooldown", self.length, done, self.steps_per_epoch)

    def latest_start(self, total_steps: int) -> int:
        """Return the last step at which the cooldown may start and still end within ``total_steps``.

        This is the greatest s with s + K(s) <= ``total_steps``, where K(s) is ``steps(s)``. The result is -1 if the
        cooldown is longer than ``total_steps``.

        >>> Cooldown(0.2).latest_start(100), Cooldown(7).latest_start(100)
        (83, 93)
        """
        return _latest_start("cooldown", self.length, total_steps, self.steps_per_epoch)

    def fall(self, level: float, done: float, steps: int) -> float:
        """Return the ratio of the peak after ``done`` of ``steps`` steps of a fall from ``level`` to the floor.

        A level that is below the floor already stays as it is.

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
    """The steps at which a schedule is lowered by a factor (``drops``) and cooled down (``start`` to ``end``).

    ratio(t) = hold(t) * ``factor`` ** (number of ``drops`` that are <= t) for t <= ``start``, where hold is the
    schedule and t counts the steps that are done. The drops do not lower it below the cooldown's floor. After
    ``start``, ratio(t) is the fall of a `Cooldown` from ratio(``start``), which reaches the floor at ``end``. The
    last update comes after ``end`` - 1 steps.
    """

    start: int
    end: int
    drops: tuple[int, ...] = ()
    factor: float = 1.0

    def ratio(
        self, hold: Multiplier, cooldown: Cooldown, step: int, *, late: int = 0, late_at_start: int = 0
    ) -> float:
        """Return the ratio of the peak for the update after ``step`` steps.

        ``hold`` counts only the updates that were made, so mixed precision, which skips some, leaves it behind:
        ``late`` is the number of skipped updates before ``step``, ``late_at_start`` the number before the cooldown.
        The cooldown counts every step, so that it ends at ``end``.

        >>> line = Timeline(start=4, end=8, drops=(2,), factor=0.5)
        >>> [line.ratio(lambda step: 1.0, Cooldown(shape="linear"), step) for step in range(9)]
        [1.0, 1.0, 0.5, 0.5, 0.5, 0.375, 0.25, 0.125, 0.0]
        """
        at, behind = (step, late) if step < self.start else (self.start, late_at_start)
        held = hold(max(0, at - behind))
        level = max(min(held, cooldown.floor), held * self.factor ** bisect_right(self.drops, at))
        return level if step <= self.start else cooldown.fall(level, step - self.start, self.end - self.start)


def _steps(name: str, value: object, done: int, steps_per_epoch: float | None) -> int:
    """Return the number of steps, at least 1, of a cooldown with the length ``value`` after ``done`` steps."""
    if to_steps(name, value, total_steps=_LONG_TRAINING, steps_per_epoch=steps_per_epoch) < 1:
        raise StrategyError(f"{name}={value!r} gives 0 steps: give a length of at least one step")
    return max(1, to_steps(name, value, total_steps=done, steps_per_epoch=steps_per_epoch))


def _latest_start(name: str, value: object, total: int, steps_per_epoch: float | None) -> int:
    """Return the greatest number of done steps after which a cooldown still ends within ``total``; -1 if none."""
    starts = range(total + 1)
    return bisect_right(starts, total, key=lambda done: done + _steps(name, value, done, steps_per_epoch)) - 1
