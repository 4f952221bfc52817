"""Schedules of runs that are resumed: how checkpoints save them, and how a run goes on with another plan."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from numbers import Integral, Real
from typing import Any

from hf_strategies.errors import StrategyError
from hf_strategies.schedules.registry import find_plan
from hf_strategies.schedules.schedule import Schedule, read_min_lr, schedule

__all__ = ["SavedPlan", "join", "replan"]


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


def join(before: Schedule, after: Schedule, *, at: int) -> Schedule:
    """Return the schedule that follows ``before`` up to step ``at``, and from there the curve of ``after``.

    The curve is moved so that there is no jump: it begins at before(at) and ends where ``after`` ends. So the result
    is g(step) = end + (before(at) - end) * (after(step) - end) / (after(at) - end), where end is the last value of
    ``after``. If after(at) equals end, the result is before(at) + after(step) - after(at). It stays in [0, 1].

    Raises `StrategyError` when no step is left of ``after``.

    >>> old, new = schedule("linear_decay", total_steps=8), schedule("linear_decay", total_steps=8, min_lr_ratio=0.5)
    >>> [join(old, new, at=2)(step) for step in (0, 2, 5, 8)]
    [1.0, 0.75, 0.625, 0.5]
    """
    if at >= after.total_steps:
        raise StrategyError(
            f"on_extend='replan' at step {at} has nothing to spread: the new schedule ends at step"
            f" {after.total_steps}: take on_extend='keep' or 'jump'"
        )
    level, first, end = before(at), after(at), after(after.total_steps)

    def multiplier(step: float) -> float:
        if step <= at:
            return before(step)
        value = after(step)
        moved = level + value - first if first == end else end + (level - end) * (value - end) / (first - end)
        return min(1.0, max(0.0, moved))

    return replace(after, multiplier=multiplier)


@dataclass(frozen=True)
class SavedPlan:
    """The arguments of a schedule, in values that JSON can hold, so that another process can build it again.

    ``total_steps`` is the length that the schedule was first built for. ``horizon`` is the length of the training; it
    differs from ``total_steps`` after the training was made longer or shorter. ``stretches`` lists the calls of
    `replan` since: pairs of the step ``at`` and of the horizon from then on. ``min_lr`` is the floor as a learning
    rate, if one was given.

    ``past`` is the plan that the run had followed up to a step, and that step, if the run then went on with this
    plan (see `join`). ``scale`` is a factor of all rates. ``asked`` are the `settings` that the last run was given,
    if it followed this plan in place of them.
    """

    name: str
    total_steps: int
    warmup_steps: int | float | str
    parameters: Mapping[str, Any]
    horizon: int
    stretches: tuple[tuple[int, int], ...] = ()
    min_lr: float | None = None
    past: "tuple[SavedPlan, int] | None" = None
    scale: float = 1.0
    asked: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        # Refuse a value that JSON cannot hold now, before the first step, and not at the first checkpoint.
        for name in ("total_steps", "warmup_steps", "horizon", "min_lr"):
            object.__setattr__(self, name, _plain(name, getattr(self, name)))
        object.__setattr__(self, "parameters", {key: _plain(key, value) for key, value in self.parameters.items()})

    @classmethod
    def of_json(cls, text: str) -> "SavedPlan":
        """Return the plan from the text that `to_json` returned."""
        return cls._of_entries(json.loads(text))

    @classmethod
    def _of_entries(cls, entries: Mapping[str, Any]) -> "SavedPlan":
        stretches = tuple((at, horizon) for at, horizon in entries["stretches"])
        past = entries.get("past")
        read_past = (cls._of_entries(past[0]), int(past[1])) if past else None
        return cls(**dict(entries) | {"stretches": stretches, "past": read_past})

    def to_json(self) -> str:
        """Return the plan as JSON text; a text can be loaded from a checkpoint even with ``weights_only=True``."""
        return json.dumps(asdict(self))

    @property
    def settings(self) -> dict[str, Any]:
        """The settings with which a run asks for this plan; two runs with equal settings ask for the same rates."""
        names = ("name", "total_steps", "warmup_steps", "parameters", "min_lr")
        return {name: getattr(self, name) for name in names}

    @property
    def was_changed(self) -> bool:
        """Whether the rates differ from those of the `settings`, because a run was resumed with other settings."""
        return bool(self.stretches or self.past) or self.horizon != self.total_steps or self.scale != 1.0

    def build(self, peaks: Sequence[float] = (1.0,)) -> list[Schedule]:
        """Build the schedule of each parameter group, from the peaks of the groups."""
        results = [
            schedule(
                self.name, total_steps=self.total_steps, warmup_steps=self.warmup_steps, **self.parameters, **floor
            )
            for floor in self._floors(peaks)
        ]
        if self.past:
            earlier, at = self.past
            pairs = zip(earlier.build(peaks), results, strict=True)
            results = [join(before, after, at=at) for before, after in pairs]
        for at, horizon in self.stretches:
            results = [replan(each, at=at, total_steps=horizon) for each in results]
        return results if self.scale == 1.0 else [_scaled(each, self.scale) for each in results]

    def with_horizon(self, horizon: int) -> "SavedPlan":
        """Return the plan of the same schedule in a training of another length."""
        return replace(self, horizon=horizon)

    def replanned(self, at: int, horizon: int) -> "SavedPlan":
        """Return the plan whose rest, from step ``at``, is spread over the rest of a training of another length."""
        return replace(self, horizon=horizon, stretches=(*self.stretches, (at, horizon)))

    def following(self, earlier: "SavedPlan", at: int) -> "SavedPlan":
        """Return this plan for a run that has followed the plan ``earlier`` up to step ``at``."""
        return replace(self, past=(earlier, at))

    def has_same_curve(self, other: "SavedPlan", at: int) -> bool:
        """Whether the two plans differ at most in their lengths, for a run that has made ``at`` steps.

        Another warmup is another curve. The exception is a warmup that was given as a fraction of a training of
        another length, if it is over.
        """
        if (self.name, self.min_lr) != (other.name, other.min_lr):
            return False
        try:
            own, others = self._with_parameters_of(self), self._with_parameters_of(other)
        except StrategyError:  # the parameters of the other plan do not fit the lengths of this one
            return False
        warmups = (own.warmup_steps, other._with_parameters_of(other).warmup_steps)
        same_warmup = warmups[0] == warmups[1] or (self.horizon != other.horizon and at >= max(warmups))
        return own.parameters == others.parameters and same_warmup

    def _with_parameters_of(self, other: "SavedPlan") -> Schedule:
        """Return the schedule of this plan's lengths with the parameters of the ``other``."""
        return schedule(self.name, total_steps=self.total_steps, warmup_steps=self.warmup_steps, **other.parameters)

    def _floors(self, peaks: Sequence[float]) -> list[dict[str, float]]:
        """Return the ``min_lr_ratio`` of each group for which the floor is ``min_lr``; empty dicts without it."""
        if self.min_lr is None:
            return [{}] * len(peaks)
        plan, lowest = find_plan(self.name), min(peaks)
        floor = read_min_lr(plan, self.min_lr, self.parameters, peak=lowest, peak_name="the lowest peak")
        return [{"min_lr_ratio": floor / peak if peak else 0.0} for peak in peaks]


def _scaled(planned: Schedule, factor: float) -> Schedule:
    return replace(planned, multiplier=lambda step: factor * planned(step))


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
