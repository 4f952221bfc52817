"""Plans that outlive a process, and what becomes of them when a training is made longer or shorter."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from numbers import Integral, Real
from typing import Any

from hf_strategies.errors import StrategyError
from hf_strategies.schedules.schedule import Schedule, schedule

__all__ = ["SavedPlan", "replan"]


def replan(planned: Schedule, *, at: int, total_steps: int) -> Schedule:
    """Spread what is left of a schedule at step ``at`` over the steps up to ``total_steps``, without a jump.

    g(step) = f(step) up to ``at``, then f(at + (step - at) * (N - at) / (M - at)), where f is ``planned``, N its
    length and M ``total_steps``. Raises `StrategyError` when nothing is left of it, or of the training.

    >>> longer = replan(schedule("linear_decay", total_steps=10), at=5, total_steps=25)
    >>> [longer(step) for step in (5, 15, 25, 99)]
    [0.5, 0.25, 0.0, 0.0]
    """
    if at >= min(planned.total_steps, total_steps):
        raise StrategyError(
            f"on_extend='replan' at step {at} has nothing to spread: the schedule ends at step {planned.total_steps},"
            f" the training at {total_steps}: take on_extend='keep' or 'jump'"
        )
    share = (planned.total_steps - at) / (total_steps - at)
    old = planned.multiplier

    def multiplier(step: float) -> float:
        return old(step) if step <= at else old(at + (min(step, total_steps) - at) * share)

    return replace(planned, total_steps=total_steps, multiplier=multiplier)


@dataclass(frozen=True)
class SavedPlan:
    """How a schedule was asked for, in plain values: enough to make it again in another process.

    ``horizon`` is the number of steps that the training has, which differs from ``total_steps`` after it was
    extended; ``stretches`` are the re-plannings since, each a step and the horizon from then on.
    """

    name: str
    total_steps: int
    warmup_steps: int | float | str
    parameters: Mapping[str, Any]
    horizon: int
    stretches: tuple[tuple[int, int], ...] = ()

    def __post_init__(self) -> None:
        # Here, before the first step: a value that JSON does not know would fail at the first checkpoint.
        for name in ("total_steps", "warmup_steps", "horizon"):
            object.__setattr__(self, name, _plain(name, getattr(self, name)))
        object.__setattr__(self, "parameters", {key: _plain(key, value) for key, value in self.parameters.items()})

    @classmethod
    def of_json(cls, text: str) -> "SavedPlan":
        """Read what `to_json` wrote."""
        entries = json.loads(text)
        return cls(**entries | {"stretches": tuple((at, horizon) for at, horizon in entries["stretches"])})

    def to_json(self) -> str:
        """Write everything as JSON text, which a checkpoint can hold whatever it is read with."""
        return json.dumps(asdict(self))

    @property
    def was_extended(self) -> bool:
        """Whether the training has another number of steps than the schedule was first made for."""
        return bool(self.stretches) or self.horizon != self.total_steps

    def build(self, **more: Any) -> Schedule:
        """Make the schedule, with ``more`` parameters."""
        parameters = {**self.parameters, **more}
        built = schedule(self.name, total_steps=self.total_steps, warmup_steps=self.warmup_steps, **parameters)
        for at, horizon in self.stretches:
            built = replan(built, at=at, total_steps=horizon)
        return built

    def kept(self, horizon: int) -> "SavedPlan":
        """Return the same plan for a training of another length."""
        return replace(self, horizon=horizon)

    def replanned(self, at: int, horizon: int) -> "SavedPlan":
        """Return the plan with what is left at step ``at`` spread over a training of another length."""
        return replace(self, horizon=horizon, stretches=(*self.stretches, (at, horizon)))


def _plain(name: str, value: object) -> Any:
    """Turn a value into those that JSON knows: sequences into lists, mappings into dicts, numbers into plain ones."""
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
