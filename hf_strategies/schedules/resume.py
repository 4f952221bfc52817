"""Schedules of runs that are resumed: how checkpoints save them, and how they fit another number of steps."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from numbers import Integral, Real
from typing import Any

from hf_strategies.errors import StrategyError
from hf_strategies.schedules.schedule import Schedule, schedule

__all__ = ["SavedPlan", "replan"]


def replan(planned: Schedule, *, at: int, total_steps: int) -> Schedule:
    """Return a schedule that spreads the rest of ``planned``, from step ``at``, over the steps up to ``total_steps``.

    The result g is g(step) = f(step) up to step ``at``, then f(at + (step - at) * (N - at) / (M - at)), where f is
    ``planned``, N is its length and M is ``total_steps``. It has no jump. Raises `StrategyError` when no step is left
    of ``planned`` or of the training.

    >>> longer = replan(schedule("linear_decay", total_steps=10), at=5, total_steps=25)
    >>> [longer(step) for step in (5, 15, 25, 99)]
    [0.5, 0.25, 0.0, 0.0]
    """
    if at >= min(planned.total_steps, total_steps):
        raise StrategyError(
            f"on_extend='replan' at step {at} has nothing to spread: the schedule ends at step {planned.total_steps},"
            f" the training at {total_steps}: take on_extend='keep' or 'jump'"
        )
    pace = (planned.total_steps - at) / (total_steps - at)  # steps of the old schedule for each new step
    old = planned.multiplier

    def multiplier(step: float) -> float:
        return old(step) if step <= at else old(at + (min(step, total_steps) - at) * pace)

    return replace(planned, total_steps=total_steps, multiplier=multiplier)


@dataclass(frozen=True)
class SavedPlan:
    """The arguments of a schedule, in values that JSON can hold, so that another process can build it again.

    ``total_steps`` is the length that the schedule was first built for. ``horizon`` is the length of the training; it
    differs from ``total_steps`` after the training was made longer or shorter. ``stretches`` lists the calls of
    `replan` since: pairs of the step ``at`` and of the horizon from then on.
    """

    name: str
    total_steps: int
    warmup_steps: int | float | str
    parameters: Mapping[str, Any]
    horizon: int
    stretches: tuple[tuple[int, int], ...] = ()

    def __post_init__(self) -> None:
        # Refuse a value that JSON cannot hold now, before the first step, and not at the first checkpoint.
        for name in ("total_steps", "warmup_steps", "horizon"):
            object.__setattr__(self, name, _plain(name, getattr(self, name)))
        object.__setattr__(self, "parameters", {key: _plain(key, value) for key, value in self.parameters.items()})

    @classmethod
    def of_json(cls, text: str) -> "SavedPlan":
        """Return the plan from the text that `to_json` returned."""
        entries = json.loads(text)
        return cls(**entries | {"stretches": tuple((at, horizon) for at, horizon in entries["stretches"])})

    def to_json(self) -> str:
        """Return the plan as JSON text; a text can be loaded from a checkpoint even with ``weights_only=True``."""
        return json.dumps(asdict(self))

    @property
    def was_extended(self) -> bool:
        """Whether the training has another number of steps than the schedule was first built for."""
        return bool(self.stretches) or self.horizon != self.total_steps

    def build(self, **more: Any) -> Schedule:
        """Build the schedule; ``more`` are parameters to add or replace."""
        parameters = {**self.parameters, **more}
        result = schedule(self.name, total_steps=self.total_steps, warmup_steps=self.warmup_steps, **parameters)
        for at, horizon in self.stretches:
            result = replan(result, at=at, total_steps=horizon)
        return result

    def with_horizon(self, horizon: int) -> "SavedPlan":
        """Return the plan of the same schedule in a training of another length."""
        return replace(self, horizon=horizon)

    def replanned(self, at: int, horizon: int) -> "SavedPlan":
        """Return the plan whose rest, from step ``at``, is spread over the rest of a training of another length."""
        return replace(self, horizon=horizon, stretches=(*self.stretches, (at, horizon)))


def _plain(name: str, value: object) -> Any:
    """Return ``value`` in types that JSON can hold: lists, dicts with text keys, text, numbers, booleans and None.

    ``name`` is the parameter's name, for the message.
    """
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, Real):
        return float(value)
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        return {key: _plain(f"{name}.{key}", entry) for key, entry in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray | memoryview):
        return [_plain(f"{name}[{index}]", entry) for index, entry in enumerate(value)]
    raise StrategyError(
        f"{name}={value!r} cannot be kept in a checkpoint: give numbers, text, lists or mappings with names in text"
    )
