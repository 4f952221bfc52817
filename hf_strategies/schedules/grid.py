"""A schedule: one warmup curve and one decay curve joined at ``warmup_steps``, named after both."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any

from hf_strategies.errors import StrategyError, did_you_mean
from hf_strategies.schedules.parameters import Clock, Parameter
from hf_strategies.schedules.shapes import DECAYS, WARMUPS, Shape
from hf_strategies.schedules.units import to_steps

__all__ = ["SCHEDULES", "Blueprint", "Schedule", "blueprint", "schedule"]


@dataclass(frozen=True)
class Blueprint:
    """A name with its two curves, before any number of steps is known."""

    name: str
    warmup: Shape
    decay: Shape

    @property
    def parameters(self) -> dict[str, Parameter]:
        """All parameters by the names that users give; those of the warmup begin with ``warmup_``."""
        return {_prefixed(key): row for key, row in self.warmup.parameters.items()} | dict(self.decay.parameters)


@dataclass(frozen=True)
class Schedule:
    """A learning-rate schedule as a pure function of the optimizer step.

    ``schedule(step)`` is the ratio of the peak learning rate that the update after ``step`` finished ones
    uses: update k (counted from 1) uses ``schedule(k - 1)``. ``total_steps`` includes the warmup. From
    ``total_steps`` on the value stays what it is there; a step below 0 counts as 0.

    ``parameters`` holds every parameter as computed with: lengths are in steps, defaults are filled in.
    """

    name: str
    total_steps: int
    warmup_steps: int
    parameters: Mapping[str, float | int | None]
    multiplier: Callable[[float], float]

    def __call__(self, step: float) -> float:
        """Return the ratio of the peak learning rate after ``step`` optimizer steps."""
        return self.multiplier(step)

    def learning_rates(self, peak: float) -> list[float]:
        """Return the learning rate of each of the ``total_steps`` updates, for a peak learning rate.

        >>> schedule("linear_warmup_linear_decay", total_steps=4, warmup_steps=2).learning_rates(1.0)
        [0.0, 0.5, 1.0, 0.5]
        """
        return [peak * self.multiplier(step) for step in range(self.total_steps)]


def grid(warmups: Iterable[Shape], decays: Iterable[Shape]) -> dict[str, Blueprint]:
    """Cross warmups with decays under the names ``{warmup}_warmup_{decay}_decay`` and ``{decay}_decay``."""
    crossed = {}
    for warmup in warmups:
        for decay in decays:
            name = f"{decay.name}_decay" if warmup.name == "none" else f"{warmup.name}_warmup_{decay.name}_decay"
            crossed[name] = Blueprint(name, warmup, decay)
    return crossed


SCHEDULES: Mapping[str, Blueprint] = MappingProxyType(grid(WARMUPS, DECAYS))


def blueprint(name: str) -> Blueprint:
    """Look a schedule's curves up by its name; an unknown name raises `StrategyError` with near matches.

    >>> blueprint("exponential_warmup_step_decay").decay.name
    'step'
    """
    if name not in SCHEDULES:
        raise StrategyError(f"unknown schedule {name!r}: {did_you_mean(str(name), SCHEDULES)}")
    return SCHEDULES[name]


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
    ``step_size``: ``blueprint(name).parameters`` tells them with defaults and units. Numbers may be text.

    Raises `StrategyError` for an unknown name or parameter and for a value out of range.

    >>> f = schedule("exponential_warmup_cosine_decay", total_steps=100, warmup_steps=20, min_lr_ratio=0.1)
    >>> [round(f(step), 3) for step in (0, 10, 20, 60, 100, 1000)]
    [0.01, 0.1, 1.0, 0.55, 0.1, 0.1]
    """
    plan = blueprint(name)
    clock = Clock(_positive("total_steps", total_steps), steps_per_epoch)
    warmup = _warmup_length(plan, warmup_steps, clock)
    values = _read_parameters(plan, parameters, clock)
    multiplier = _join(plan, warmup, clock.total_steps, values)
    return Schedule(name, clock.total_steps, warmup, MappingProxyType(values), multiplier)


def _prefixed(parameter: str) -> str:
    return f"warmup_{parameter}"


def _positive(name: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise StrategyError(f"{name}={value!r} is no number of steps: give an integer of at least 1")
    return value


def _warmup_length(plan: Blueprint, warmup_steps: int | float | str, clock: Clock) -> int:
    total = clock.total_steps
    warmup = to_steps("warmup_steps", warmup_steps, total_steps=total, steps_per_epoch=clock.steps_per_epoch)
    if warmup >= total and warmup > 0:
        raise StrategyError(
            f"warmup_steps={warmup_steps!r} ({warmup} steps) leaves nothing of the {total} training steps:"
            " lower warmup_steps or train longer"
        )
    if warmup and plan.warmup.name == "none":
        raise StrategyError(
            f"warmup_steps={warmup_steps!r} with {plan.name!r}, which has no warmup: set warmup_steps=0, or"
            f" take 'linear_warmup_{plan.name}'"
        )
    return warmup


def _read_parameters(plan: Blueprint, given: Mapping[str, Any], clock: Clock) -> dict[str, Any]:
    rows = plan.parameters
    for key in given:
        if key not in rows:
            raise StrategyError(f"{plan.name!r} takes no parameter {key!r}: {did_you_mean(key, rows)}")
    return {
        key: row.read(key, given[key], clock) if key in given else row.read_default(key, clock)
        for key, row in rows.items()
    }


def _join(plan: Blueprint, warmup: int, total: int, values: Mapping[str, Any]) -> Callable[[float], float]:
    rise = partial(plan.warmup.function, **{key: values[_prefixed(key)] for key in plan.warmup.parameters})
    fall = partial(plan.decay.function, **{key: values[key] for key in plan.decay.parameters})
    decay_steps = total - warmup

    # A plain function, not a callable object: LambdaLR writes the __dict__ of an object into scheduler.pt and
    # would overwrite the configuration with the old run's on resume.
    def multiplier(step: float) -> float:
        step = min(max(step, 0), total)
        return rise(step / warmup) if step < warmup else fall(step - warmup, decay_steps)

    return multiplier
