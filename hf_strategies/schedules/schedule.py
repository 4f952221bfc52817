"""Schedules built from their names: lengths and parameters are checked here, the curves come from the plan."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from numbers import Integral
from types import MappingProxyType
from typing import Any

from hf_strategies.errors import StrategyError, did_you_mean
from hf_strategies.lengths import steps_in_epoch, to_steps
from hf_strategies.schedules.parameters import Clock
from hf_strategies.schedules.plans import Multiplier, Plan
from hf_strategies.schedules.registry import find_plan
from hf_strategies.values import number

__all__ = [
    "ON_EXTEND",
    "Schedule",
    "build",
    "check_names",
    "check_on_extend",
    "default_warmup_steps",
    "read_min_lr",
    "schedule",
]


@dataclass(frozen=True)
class Schedule:
    """A learning-rate schedule as a pure function of the optimizer step.

    ``schedule(step)`` is the ratio of the peak learning rate for the update that follows ``step`` finished updates:
    update k, counted from 1, uses ``schedule(k - 1)``. ``total_steps`` includes the warmup. After ``total_steps``
    the value stays at ``schedule(total_steps)``; a step below 0 counts as 0.

    ``parameters`` holds the value of every parameter: lengths are in steps, and defaults are filled in.
    """

    name: str
    total_steps: int
    warmup_steps: int
    parameters: Mapping[str, Any]
    multiplier: Multiplier

    def __call__(self, step: float) -> float:
        """Return the ratio of the peak learning rate after ``step`` optimizer steps."""
        return self.multiplier(step)

    def __deepcopy__(self, memo: dict[int, Any]) -> "Schedule":
        """Return the schedule itself, which cannot change, so that a scheduler or a Trainer with it can be copied."""
        return self

    def learning_rates(self, peak: float) -> list[float]:
        """Return the learning rate of each of the ``total_steps`` updates, where ``peak`` is the highest.

        >>> schedule("linear_warmup_linear_decay", total_steps=4, warmup_steps=2).learning_rates(1.0)
        [0.0, 0.5, 1.0, 0.5]
        """
        return [peak * self.multiplier(step) for step in range(self.total_steps)]


def schedule(
    name: str,
    /,
    *,
    total_steps: int,
    warmup_steps: int | float | str = 0,
    steps_per_epoch: float | None = None,
    **parameters: Any,
) -> Schedule:
    """Build a schedule from its name.

    f(step) = rise(step / W) for step < W and fall(step - W) over N - W steps from there on, where N is
    ``total_steps`` (optimizer steps, warmup included) and W is ``warmup_steps`` (steps as int, a fraction of
    the training as float in (0, 1), or epochs as ``"2ep"`` when ``steps_per_epoch`` is given); 0 <= W < N.
    ``parameters`` are those of the two curves, such as ``warmup_start``, ``min_lr_ratio``, ``gamma``,
    ``step_size``; ``hf-strategies show NAME`` prints them with defaults and units. Numbers may be text.

    Raises `StrategyError` for an unknown name or parameter and for a value out of range.

    >>> f = schedule("exponential_warmup_cosine_decay", total_steps=100, warmup_steps=20, min_lr_ratio=0.1)
    >>> [round(f(step), 3) for step in (0, 10, 20, 60, 100, 1000)]
    [0.01, 0.1, 1.0, 0.55, 0.1, 0.1]
    """
    plan = find_plan(name)
    return build(
        plan, parameters, total_steps=total_steps, warmup_steps=warmup_steps, steps_per_epoch=steps_per_epoch
    )


def build(
    plan: Plan,
    parameters: Mapping[str, Any],
    *,
    total_steps: int,
    warmup_steps: int | float | str = 0,
    steps_per_epoch: float | None = None,
) -> Schedule:
    """Build a schedule from a plan, as `schedule` does from a name."""
    total = _read_total_steps(total_steps)
    epoch = None if steps_per_epoch is None else steps_in_epoch(steps_per_epoch)
    warmup = _warmup_length(plan, warmup_steps, total, epoch)
    clock = Clock(total, warmup, epoch)
    values = _read_parameters(plan, parameters, clock)
    return Schedule(
        plan.name, total, warmup, MappingProxyType(values), _clamped(plan.multiplier(clock, values), total)
    )


def _read_total_steps(value: object) -> int:
    steps = 0
    if isinstance(value, int | Integral) and not isinstance(value, bool):
        steps = int(number("total_steps", value))
    if steps < 1:
        raise StrategyError(f"total_steps={value!r} is no number of steps: give an integer of at least 1")
    return steps


def _warmup_length(plan: Plan, given: int | float | str, total: int, steps_per_epoch: float | None) -> int:
    """Return the warmup in steps, after a check that the plan has a warmup and that the training is longer."""
    warmup = to_steps("warmup_steps", given, total_steps=total, steps_per_epoch=steps_per_epoch)
    if warmup == 0:
        return min(math.ceil(plan.default_warmup * total), total - 1)
    if warmup >= total:
        raise StrategyError(
            f"warmup_steps={given!r} ({warmup} steps) leaves nothing of the {total} training steps:"
            " lower warmup_steps or train longer"
        )
    if not plan.has_warmup:
        raise StrategyError(
            f"warmup_steps={given!r} with {plan.name!r}, which has no warmup: set warmup_steps=0, or take a schedule"
            f" that has one{_with_warmup(plan.name)}"
        )
    return warmup


def _with_warmup(name: str) -> str:
    """Return the words that suggest ``linear_warmup_{name}``, or no words if there is no schedule of that name."""
    return f", such as 'linear_warmup_{name}'" if name.endswith(("_decay", "_cooldown")) else ""


def _read_parameters(plan: Plan, given: Mapping[str, Any], clock: Clock) -> dict[str, Any]:
    """Return the value of every parameter of the plan, out of those that the user gives and the defaults."""
    check_names(plan, given)
    return {
        key: row.read(key, given[key], clock) if key in given else row.read_default(key, clock)
        for key, row in plan.parameters.items()
    }


def _clamped(function: Multiplier, total: int) -> Multiplier:
    """Return the function with its step limited to [0, ``total``]."""

    # A function and not a callable object: LambdaLR saves the __dict__ of an object in scheduler.pt. When a run is
    # resumed, the old run's settings would replace the new run's.
    def multiplier(step: float) -> float:
        return function(min(max(step, 0), total))

    return multiplier


ON_EXTEND = ("error", "keep", "replan", "jump")
"""The choices for a run that is resumed with another number of steps than it was planned for; see `ScheduleLR`."""


def check_on_extend(value: object) -> None:
    """Raise `StrategyError` unless ``value`` is one of `ON_EXTEND`."""
    if value not in ON_EXTEND:
        raise StrategyError(f"on_extend={value!r} is no choice: {did_you_mean(str(value), ON_EXTEND)}")


def check_names(plan: Plan, given: Iterable[str], *, more: Iterable[str] = ()) -> None:
    """Raise `StrategyError` unless each name in ``given`` is a parameter of the plan, or one of ``more``."""
    known = {*plan.parameters, *more}
    for name in given:
        if name not in known:
            raise StrategyError(f"{plan.name!r} takes no parameter {name!r}: {did_you_mean(name, known)}")


def read_min_lr(
    plan: Plan, value: object, given: Mapping[str, Any], *, peak: float | None = None, peak_name: str = "the peak"
) -> float:
    """Check and return ``min_lr``, the floor of a schedule as a learning rate from 0 to ``peak``.

    ``given`` are the parameters that the user gives for the same schedule; ``min_lr_ratio`` among them is a mistake,
    because it would be a second floor. ``peak`` is None when the peak is not known. ``peak_name`` is the name of the
    peak in the message.

    >>> from hf_strategies.schedules import find_plan
    >>> read_min_lr(find_plan("cosine_decay"), "1e-6", {}, peak=2e-5)
    1e-06
    """
    if "min_lr_ratio" not in plan.parameters:
        raise StrategyError(f"min_lr={value!r} with {plan.name!r}, which has no floor: leave min_lr out")
    if "min_lr_ratio" in given:
        raise StrategyError(f"min_lr={value!r} with min_lr_ratio={given['min_lr_ratio']!r}: give one of the two")
    floor = float(number("min_lr", value))
    if not 0.0 <= floor <= (math.inf if peak is None else peak):
        bounds = "of at least 0" if peak is None else f"from 0 to {peak_name}, {peak:g}"
        raise StrategyError(f"min_lr={value!r} is out of range: give a learning rate {bounds}")
    return floor


def default_warmup_steps(plan: Plan, warmup: int | float = 0.1) -> int | float:
    """Return the ``warmup_steps`` for a schedule when the user gives none: ``warmup``, by default 0.1 of training.

    The result is 0 for a schedule without a warmup. It is also 0 for a schedule with a default warmup of its own,
    because ``warmup_steps=0`` then selects that default.

    >>> from hf_strategies.schedules import find_plan
    >>> [default_warmup_steps(find_plan(name)) for name in ("linear_warmup_sqrt_decay", "sqrt_decay", "one_cycle")]
    [0.1, 0, 0]
    """
    return warmup if plan.has_warmup and not plan.default_warmup else 0
