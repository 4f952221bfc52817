"""The learning rate of a run at every step: the schedule that the record names, where the log agrees with it."""

import math
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import Any

from hf_strategies.errors import StrategyError
from hf_strategies.schedules import Schedule
from hf_strategies.schedules.plateau_cooldown import Cooldown, Timeline
from hf_strategies.schedules.resume import SavedPlan
from hf_strategies.stopping.results import PLATEAU_COOLDOWN, REDUCE_ON_PLATEAU, records_of

__all__ = ["PlannedRates", "RateCurve", "planned_group_rates", "planned_rates", "rate_curves", "sampled"]

Point = tuple[float, float]

_RECORD = "hf_strategies_schedule"  # the scheduler's record in the Trainer's state
_MOST_POINTS = 5000


@dataclass(frozen=True)
class PlannedRates:
    """The learning rate of the first parameter group as the records of a run have it.

    ``rate(step)`` is the rate of the update that follows ``step`` updates. ``warmup_steps`` is the length of the
    warmup, and ``kinks`` are the steps at which a callback has changed the course of the rate.
    """

    rate: Callable[[int], float]
    warmup_steps: int
    kinks: tuple[int, ...] = ()

    @classmethod
    def of(cls, schedule: Schedule, peak: float, callbacks: Mapping[str, Any]) -> "PlannedRates":
        """Return the rates of a schedule as the callbacks have changed it; ``callbacks`` are their records.

        Raises KeyError if a record lacks what the rates depend on.
        """
        ratio, kinks = _ratio(schedule), list[int]()
        floor = float(schedule.parameters.get("min_lr_ratio", 0.0))
        for record in records_of(REDUCE_ON_PLATEAU, callbacks).values():
            ratio = _reduced(ratio, record, floor)
            kinks += record["stalls"]
        for record in records_of(PLATEAU_COOLDOWN, callbacks).values():
            ratio = _cooled(ratio, record, schedule)
            kinks += [*record["drops"], record["cooldown_start"], record["cooldown_end"]]
        return cls(lambda step: peak * ratio(step), schedule.warmup_steps, tuple(sorted(kinks)))


def planned_rates(state: Mapping[str, Any], asked: tuple[Schedule, float] | None = None) -> PlannedRates | None:
    """Return the rates by the records in a state of the Trainer; None if they do not tell the whole schedule.

    Only the schedules of this package leave a record. Of another one, ``asked`` may tell what the run was asked for:
    the schedule and its peak. A schedule of the record that this process does not have is not known.
    """
    callbacks = state.get("stateful_callbacks") or {}
    try:
        schedule, peak = asked if asked and _RECORD not in callbacks else _recorded(callbacks[_RECORD])
        return PlannedRates.of(schedule, peak, callbacks)
    except (KeyError, StrategyError):
        return None


def planned_group_rates(state: Mapping[str, Any]) -> list[PlannedRates]:
    """Return the rates of the parameter groups by the records, one for each peak; empty if they do not tell them."""
    callbacks = state.get("stateful_callbacks") or {}
    try:
        groups = _recorded_groups(callbacks[_RECORD])
        by_peak = {peak: schedule for schedule, peak in reversed(groups) if peak > 0}
        return [PlannedRates.of(by_peak[peak], peak, callbacks) for peak in sorted(by_peak, reverse=True)]
    except (KeyError, StrategyError):
        return []


def _recorded(saved: Mapping[str, Any]) -> tuple[Schedule, float]:
    """Return the schedule and the peak of the first parameter group."""
    return _recorded_groups(saved)[0]


def _recorded_groups(saved: Mapping[str, Any]) -> list[tuple[Schedule, float]]:
    """Return the schedule and the peak of each parameter group."""
    schedules = SavedPlan.of_json(saved["plan"]).build(saved["peaks"])
    return [(each, float(peak)) for each, peak in zip(schedules, saved["peaks"], strict=True)]


@dataclass(frozen=True)
class RateCurve:
    """A part of the curve of the learning rate: steps and rates, where a step counts the updates before.

    It ``is_exact`` if it has the rate of every update. Otherwise it has the logged rates alone, and each is drawn up
    to the next one.
    """

    points: tuple[Point, ...]
    is_exact: bool


def rate_curves(logged: Sequence[tuple[int, float]], planned: PlannedRates | None, last: int) -> list[RateCurve]:
    """Return the learning rate of a run of ``last`` steps, in parts.

    ``logged`` has the steps of the log with the rate of the update that led to each. Between two logged rates that
    ``planned`` has too, and before the first and after the last of them, the curve is exact. Elsewhere it has nothing
    but the logged rates.

    >>> planned = PlannedRates(lambda step: 1.0 - step / 4, warmup_steps=0)
    >>> [curve.points for curve in rate_curves([(2, 0.75)], planned, last=3)]
    [((0, 1.0), (1, 0.75), (2, 0.5), (3, 0.25))]
    >>> rate_curves([(2, 0.75), (3, 0.6)], None, last=3)
    [RateCurve(points=((1, 0.75), (2, 0.6), (3, 0.6)), is_exact=False)]
    """
    curves = []
    for is_exact, group in groupby(_intervals(logged, planned, last), key=lambda each: each[2]):
        intervals = list(group)
        begin, end = intervals[0][0], intervals[-1][1]
        if is_exact and planned:
            curves.append(RateCurve(tuple(sampled(planned, begin, end)), True))
        elif points := [(step - 1, rate) for step, rate in logged if begin <= step <= end]:
            closing = (points[-1][0] + 1, points[-1][1])
            curves.append(RateCurve((*points, closing), False))
    return curves


def _intervals(
    logged: Sequence[tuple[int, float]], planned: PlannedRates | None, last: int
) -> Iterator[tuple[int, int, bool]]:
    """Yield the intervals between the logged steps, and whether the plan is right at both ends of each."""
    right = [planned is not None and _same(planned.rate(step - 1), rate) for step, rate in logged]
    steps = [step for step, _ in logged]
    ends = [planned is not None, *right, planned is not None]  # nothing is logged at the first step and the last
    if logged:
        ends[0], ends[-1] = right[0], right[-1]
    for (begin, end), (before, after) in zip(
        pairwise([0, *steps, max(last, *steps, 0)]), pairwise(ends), strict=True
    ):
        if end > begin:
            yield begin, end, before and after


def _same(rate: float, other: float) -> bool:
    return math.isclose(rate, other, rel_tol=1e-6, abs_tol=1e-30)


def sampled(planned: PlannedRates, begin: int, end: int) -> Iterator[Point]:
    """Yield steps and rates from ``begin`` to ``end``: all of them or, of many, some and those of the corners."""
    pieces = min(end - begin, _MOST_POINTS)
    steps = {begin + (end - begin) * piece // pieces for piece in range(pieces + 1)}
    corners = {step + side for step in (planned.warmup_steps, *planned.kinks) for side in (-1, 0)}
    for step in sorted(steps | {step for step in corners if begin <= step <= end}):
        yield step, planned.rate(step)


# --- what the callbacks have made of the schedule -----------------------------------------------------------


def _ratio(schedule: Schedule) -> Callable[[int], float]:
    return lambda step: schedule(step)


def _reduced(ratio: Callable[[int], float], record: Mapping[str, Any], floor: float) -> Callable[[int], float]:
    """Return a ratio with the reductions of `ReduceOnPlateau`; of earlier settings the steps are not recorded."""
    stalls, factor, own = record["stalls"], record["factor"], max(record["min_lr_ratio"], floor)
    past = [(before, max(low, floor), count) for before, count, low in record["past"]]

    def reduced(step: int) -> float:
        value = ratio(step)
        for each, low, count in (*past, (factor, own, bisect_right(stalls, step))):
            value = max(min(value, low), value * each**count) if count else value
        return value

    return reduced


def _cooled(ratio: Callable[[int], float], record: Mapping[str, Any], schedule: Schedule) -> Callable[[int], float]:
    """Return a ratio with the drops and the cooldown of `PlateauCooldown`."""
    timeline = Timeline(record["cooldown_start"], record["cooldown_end"], tuple(record["drops"]), record["factor"])
    cooldown = Cooldown(shape=record["cooldown_shape"], floor=record["min_lr_ratio"])
    # A schedule that cools down by itself is held instead: the callback starts the cooldown.
    held = schedule.warmup_steps if schedule.name.endswith("plateau_cooldown") else schedule.total_steps
    return lambda step: timeline.ratio(lambda done: ratio(min(int(done), held)), cooldown, step)
