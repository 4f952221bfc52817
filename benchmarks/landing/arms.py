"""What a user could have done, each computed from the records of a cell: which weights, and after how many steps.

An arm is one function and one row of ``ARMS``, with the options that it may choose from.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from statistics import median
from typing import Any

from benchmarks.landing.records import RAW, Cell, Point
from hf_strategies.stopping.history import Evaluation
from hf_strategies.stopping.keep_rule import SelectionNoise, plateau_of

__all__ = ["ARMS", "BASELINE", "KEEP_RULES", "Arm", "Outcome", "waited"]

BASELINE = "linear_stop"
STOCK_PATIENCE = 4
Options = Mapping[str, Any]
Trigger = tuple[int | None, int | None]
"""Patience on the metric and on the loss; both have to hold."""

BOTH: Trigger = (2, 2)
TRIGGERS: tuple[Trigger, ...] = (BOTH, (2, None), (3, None), (4, None), (3, 3), (None, 2), (None, 3), (None, 4))


@dataclass(frozen=True)
class Outcome:
    """What an arm ends with: the weights of ``kept``, after ``steps`` steps.

    ``best`` is the highest test value of all that it has evaluated. ``exact`` is False where the cooldown that it
    needed was not trained, and that from the nearest start stands in.
    """

    kept: Point
    steps: int
    best: float
    exact: bool = True


@dataclass(frozen=True)
class Arm:
    """A way to train: its options as lists of values, of which the first ones are what it is without any choice."""

    name: str
    outcome: Callable[..., Outcome]
    options: Mapping[str, Sequence[Any]]
    description: str

    def variants(self) -> list[dict[str, Any]]:
        """Return all combinations of its options, the default first."""
        return [dict(zip(self.options, values, strict=True)) for values in product(*self.options.values())]


def waited(values: Sequence[float]) -> int:
    """Return how many evaluations ago the first best value was."""
    return len(values) - 1 - max(range(len(values)), key=lambda k: (values[k], -k))


def stop(points: Sequence[Point], trigger: Trigger) -> int:
    """Return the index of the evaluation at which a trigger first holds; the last one if it never does."""
    for end in range(1, len(points) + 1):
        waits = (waited([p.validation for p in points[:end]]), waited([-p.loss for p in points[:end]]))
        if all(need is None or have >= need for need, have in zip(trigger, waits, strict=True)):
            return end - 1
    return len(points) - 1


def best_of(points: Sequence[Point]) -> Point:
    """Return the first of the best evaluations."""
    return max(points, key=lambda point: (point.validation, -point.step))


def decayed(cell: Cell, *, schedule: str) -> Outcome:
    """A decay over 20 epochs with transformers' early stopping; the best checkpoint is loaded."""
    points = cell.decay(schedule)
    points = points[: stop(points, (STOCK_PATIENCE, None)) + 1]
    return Outcome(best_of(points), points[-1].step, max(p.test for p in points))


def held(cell: Cell, *, watch: str, trigger: Trigger, land: str) -> Outcome:
    """A constant rate, early stopping, and the best or the last weights of the curve ``land``.

    ``watch`` is the curve that is judged. Of another curve than that the last weights are kept.
    """
    watched = cell.curve(watch)
    end = stop(watched, trigger) + 1
    best = best_of(watched[:end])
    kept = {"best": best, "last": watched[end - 1]}.get(land) or cell.curve(land)[end - 1]
    return Outcome(kept, watched[end - 1].step, max(p.test for p in watched[:end]))


def best_average(cell: Cell, *, average: str, trigger: Trigger, land: str) -> Outcome:
    """The averaged curve of the hold is judged, and an average is kept: no step is spent on a cooldown."""
    return held(cell, watch=average, trigger=trigger, land=land)


def raw_then_average(cell: Cell, *, average: str, trigger: Trigger) -> Outcome:
    """The curve of the weights themselves is judged, and the average at the stop is kept."""
    return held(cell, watch=RAW, trigger=trigger, land=average)


def cooled(cell: Cell, *, watch: str, trigger: Trigger, length: float, keep: str) -> Outcome:
    """Hold until the curve ``watch`` stalls, cool down, and keep what the rule ``keep`` says."""
    hold = cell.curve(watch)
    hold = hold[: stop(hold, trigger) + 1]
    cooldown, exact = cell.cooldown(hold[-1].step, length)
    kept = KEEP_RULES[keep](hold, cooldown[:-1], cooldown[-1], int(cell.record["validation"]))
    steps = hold[-1].step + math.ceil(length * hold[-1].step)
    return Outcome(kept, steps, max(p.test for p in (*hold, *cooldown)), exact)


def average_then_cooled(cell: Cell, *, average: str, trigger: Trigger, length: float, keep: str) -> Outcome:
    """The averaged curve is judged, then the weights are cooled down; the average is among the candidates."""
    return cooled(cell, watch=average, trigger=trigger, length=length, keep=keep)


# --- which weights are kept ---------------------------------------------------------------------------------


def measured_best(hold: Sequence[Point], cooldown: Sequence[Point]) -> Point:
    """Return the best of the hold, or one of the cooldown that is no worse."""
    best = best_of(hold)
    for point in cooldown:
        best = point if point.validation >= best.validation else best
    return best


def always_best(hold: Sequence[Point], cooldown: Sequence[Point], end: Point, rows: int) -> Point:
    """Keep what measured best."""
    return measured_best(hold, [*cooldown, end])


def always_end(hold: Sequence[Point], cooldown: Sequence[Point], end: Point, rows: int) -> Point:
    """Keep the end of the cooldown."""
    return end


def plateau_median(hold: Sequence[Point], cooldown: Sequence[Point], end: Point, rows: int) -> Point:
    """Keep the end if it is no worse than the median of the hold after its best evaluation: the rule before."""
    best = best_of(hold)
    after = [point.validation for point in hold if point.step > best.step] or [best.validation]
    return end if end.validation >= median(after) else measured_best(hold, cooldown)


def by_noise(source: str) -> Callable[[Sequence[Point], Sequence[Point], Point, int], Point]:
    """Return the rule of `SelectionNoise`, its sigma from the rows, from the scatter, or the smaller of both."""

    def rule(hold: Sequence[Point], cooldown: Sequence[Point], end: Point, rows: int) -> Point:
        best = measured_best(hold, cooldown)
        points = hold if best in hold else [*hold, *cooldown]
        evaluations = [Evaluation(point.step, 0.0, point.validation / 100) for point in points]
        plateau = plateau_of(evaluations, list(points).index(best), sign=-1.0)
        share = min(max(best.validation / 100, 0.0), 1.0)
        sigmas = {"rows": math.sqrt(share * (1 - share) / rows), "scatter": SelectionNoise.of(plateau).sigma}
        sigma = min(sigmas.values()) if source == "smaller" else sigmas[source]
        excess = SelectionNoise.of(plateau, sigma).excess
        return end if (best.validation - end.validation) / 100 <= excess else best

    return rule


KEEP_RULES: Mapping[str, Callable[[Sequence[Point], Sequence[Point], Point, int], Point]] = {
    "noise, scatter": by_noise("scatter"),
    "noise, rows": by_noise("rows"),
    "noise, smaller": by_noise("smaller"),
    "median": plateau_median,
    "best": always_best,
    "end": always_end,
}
"""The first is the default of `PlateauCooldown`; the second is what it does with ``samples``."""

# --- the arms -----------------------------------------------------------------------------------------------

_HORIZONS = (
    "ema(over='1ep')", "ema(over='0.5ep')", "ema(over='2ep')", "ema(over='4ep')", "tail(over='1ep')",
    "tail(over=0.5)", "tail(over=0.25)", "polynomial(power=1)", "polynomial(power=3)",
)  # fmt: skip
_NOISE = list(KEEP_RULES)[:3]
_PATIENCES: tuple[Trigger, ...] = ((4, None), (3, None), (2, None), BOTH, (3, 3))

ARMS: Mapping[str, Arm] = {
    arm.name: arm
    for arm in (
        Arm(BASELINE, decayed, {"schedule": ["linear"]}, "linear, EarlyStoppingCallback"),
        Arm("cosine_stop", decayed, {"schedule": ["cosine"]}, "cosine, EarlyStoppingCallback"),
        Arm("constant_stop", held, {"watch": [RAW], "trigger": _PATIENCES, "land": ["best"]},
            "constant, EarlyStopping"),
        Arm("cooldown_old", cooled, {"watch": [RAW], "trigger": TRIGGERS, "length": [0.5], "keep": ["median"]},
            "PlateauCooldown, median of the plateau"),
        Arm("cooldown", cooled,
            {"watch": [RAW], "trigger": TRIGGERS, "length": [0.5], "keep": _NOISE},
            "PlateauCooldown, noise-aware"),
        Arm("cooldown_best", cooled, {"watch": [RAW], "trigger": TRIGGERS, "length": [0.5], "keep": ["best"]},
            "PlateauCooldown, always the best"),
        Arm("cooldown_end", cooled, {"watch": [RAW], "trigger": TRIGGERS, "length": [0.5], "keep": ["end"]},
            "PlateauCooldown, always the end"),
        Arm("cooldown_0.2", cooled, {"watch": [RAW], "trigger": [BOTH], "length": [0.2], "keep": _NOISE},
            "PlateauCooldown, a fifth of the steps"),
        Arm("average", best_average, {"average": _HORIZONS, "trigger": _PATIENCES, "land": ["best", "last"]},
            "constant, EarlyStopping by the average"),
        Arm("raw_average", raw_then_average, {"average": _HORIZONS, "trigger": _PATIENCES},
            "constant, EarlyStopping by the weights, their average kept"),
        Arm("average_cooldown", average_then_cooled,
            {"average": _HORIZONS, "trigger": [BOTH, (3, None), (4, None), (3, 3)], "length": [0.5],
             "keep": _NOISE},
            "PlateauCooldown by the average"),
    )
}  # fmt: skip
