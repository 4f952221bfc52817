"""The schedules that transformers itself has, by its names: the same formulas, to be shown and drawn beside ours.

They are no part of `SCHEDULES`, because transformers makes them itself. Here they are copied as closed forms, so that
transformers, and with it torch, need not be loaded; a test compares each with what `get_scheduler` makes. A new one
is one function and one row of `STOCK`.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from hf_strategies.errors import StrategyError, did_you_mean
from hf_strategies.schedules.parameters import Choice, Clock, Parameter, Real
from hf_strategies.schedules.plans import Multiplier, Plan, lift
from hf_strategies.schedules.registry import SCHEDULES, find_plan
from hf_strategies.values import number

__all__ = ["ADAPTIVE", "STOCK", "StockPlan", "find_any_plan"]

_PEAK = 5e-5
"""The default of ``learning_rate`` in TrainingArguments."""

Values = Mapping[str, Any]


@dataclass(frozen=True)
class StockPlan:
    """A schedule of transformers as a `Plan`; ``parameters`` are those of its `lr_scheduler_kwargs`.

    ``decay(step, clock, **values)`` is the ratio of the peak from the end of the warmup on, and ``warmup`` that
    before, with the same arguments. ``peak`` is the peak learning rate, to which ``lr_end`` and ``min_lr`` refer.
    ``check`` raises `StrategyError` for values that contradict each other or the lengths. ``example`` has the values
    of parameters that have to be given.
    """

    name: str
    decay: Callable[..., float]
    summary: str
    decay_formula: str
    parameters: Mapping[str, Parameter] = field(default_factory=dict)
    warmup: Callable[..., float] = lambda step, clock, **values: step / clock.warmup_steps
    warmup_formula: str = "t"
    has_warmup: bool = True
    check: Callable[[Clock, Values, float], None] | None = None
    example: Values = field(default_factory=dict)
    peak: float = _PEAK
    source: str = "transformers.get_scheduler"
    default_warmup: float = 0.0

    @property
    def formula(self) -> str:
        """The formulas of the warmup and of what follows it."""
        return f"warmup: {self.warmup_formula};  decay: {self.decay_formula}" if self.has_warmup else "1"

    def multiplier(self, clock: Clock, values: Values) -> Multiplier:
        """Return the function for 0 <= step <= total steps."""
        if self.check is not None:
            self.check(clock, values, self.peak)
        given = {key: value for key, value in values.items() if value is not None}
        in_ratios = given | self._floor(given)
        rise, fall = (partial(curve, clock=clock, **in_ratios) for curve in (self.warmup, self.decay))
        return lambda step: float(rise(step) if step < clock.warmup_steps else fall(step))

    def _floor(self, given: Values) -> dict[str, float]:
        """Return the floor as a ratio of the peak where it is given as a learning rate."""
        names = {"lr_end": "lr_end", "min_lr": "min_lr_rate"}
        return {names[key]: value / self.peak for key, value in given.items() if key in names}


@dataclass(frozen=True)
class _Steps:
    """A number of steps, which transformers takes as a whole number alone."""

    help: str
    shown: str

    def read(self, name: str, value: object, clock: Clock) -> int | None:
        """Return ``value`` if it is a whole number of at least 1; None is as if it were not given."""
        if value is None:
            return None
        steps = number(name, value)
        if isinstance(steps, float) or steps < 1:
            raise StrategyError(f"{name}={value!r} is no number of steps: give a whole number of at least 1")
        return steps

    def read_default(self, name: str, clock: Clock) -> None:
        """Return None: what is not given, the formula fills in, or the check refuses."""


# --- the curves -----------------------------------------------------------------------------------------------


def _progress(step: float, clock: Clock) -> float:
    return (step - clock.warmup_steps) / clock.decay_steps


def _waves(progress: float, cycles: float) -> float:
    return 0.5 * (1.0 + math.cos(math.pi * cycles * 2.0 * progress))


def constant(step: float, clock: Clock) -> float:
    """Stay at the peak."""
    return 1.0


def linear(step: float, clock: Clock) -> float:
    """Fall on a straight line to 0."""
    return 1.0 - _progress(step, clock)


def cosine(step: float, clock: Clock, num_cycles: float, min_lr_rate: float = 0.0, **_: Any) -> float:
    """Fall on a cosine of ``num_cycles`` waves to ``min_lr_rate``."""
    return max(0.0, lift(_waves(_progress(step, clock), num_cycles), min_lr_rate))


def restarts(step: float, clock: Clock, num_cycles: float) -> float:
    """Fall ``num_cycles`` times from the peak to 0, each time on half a wave."""
    progress = _progress(step, clock)
    return 0.0 if progress >= 1.0 else _waves((num_cycles * progress) % 1.0, 0.5)


def polynomial(step: float, clock: Clock, lr_end: float, power: float) -> float:
    """Fall as a power of the steps that are left, to ``lr_end``, which is a ratio of the peak here."""
    return lift((1.0 - _progress(step, clock)) ** power, lr_end)


def inverse_sqrt(step: float, clock: Clock, timescale: float | None = None) -> float:
    """Fall as one over the square root of the steps."""
    scale = timescale or clock.warmup_steps or 10_000
    return 1.0 / math.sqrt((step + scale - clock.warmup_steps) / scale)


def early_cosine(step: float, clock: Clock, num_cycles: float, min_lr_rate: float, **_: Any) -> float:
    """Fall on a cosine that is one step ahead."""
    return cosine(step + 1, clock, num_cycles, min_lr_rate)


def early_warmup(step: float, clock: Clock, warmup_lr_rate: float | None = None, **_: Any) -> float:
    """Rise on a straight line that is one step ahead, or from ``warmup_lr_rate`` to the peak at the last step."""
    if warmup_lr_rate is None:
        return (step + 1) / clock.warmup_steps
    return lift(step / max(1, clock.warmup_steps - 1), warmup_lr_rate)


_SHAPES: Mapping[str, Callable[[float, float], float]] = {
    "linear": lambda progress, cycles: 1.0 - progress,
    "cosine": _waves,
    "1-sqrt": lambda progress, cycles: 1.0 - math.sqrt(progress),
}


def stable_decay(
    step: float,
    clock: Clock,
    num_decay_steps: int,
    decay_type: str,
    min_lr_ratio: float,
    num_cycles: float,
    num_stable_steps: int | None = None,
    **_: Any,
) -> float:
    """Stay at the peak, then fall over ``num_decay_steps`` to ``min_lr_ratio``, and stay there."""
    stable = clock.decay_steps - num_decay_steps if num_stable_steps is None else num_stable_steps
    done = (step - clock.warmup_steps - stable) / num_decay_steps
    if done < 0.0:
        return 1.0
    return min_lr_ratio if done >= 1.0 else max(0.0, lift(_SHAPES[decay_type](done, num_cycles), min_lr_ratio))


def shaped_warmup(step: float, clock: Clock, warmup_type: str, min_lr_ratio: float, **_: Any) -> float:
    """Rise from ``min_lr_ratio`` on the curve ``warmup_type``, that of a decay in reverse."""
    return max(0.0, lift(_SHAPES[warmup_type](1.0 - step / clock.warmup_steps, 0.5), min_lr_ratio))


# --- what does not fit together -------------------------------------------------------------------------------


def _check_polynomial(clock: Clock, values: Values, peak: float) -> None:
    if values["lr_end"] >= peak:
        raise StrategyError(f"lr_end={values['lr_end']:g} is not below the peak, {peak:g}: give a lower one")


def _check_floor(clock: Clock, values: Values, peak: float) -> None:
    given = [name for name in ("min_lr", "min_lr_rate") if values[name] is not None]
    if not given:
        raise StrategyError("min_lr_rate is missing: give a ratio of the peak such as min_lr_rate=0.1, or a min_lr")
    if len(given) == 2:
        raise StrategyError(f"min_lr={values['min_lr']:g} with min_lr_rate: give one of the two")
    if (values["min_lr"] or 0.0) > peak:
        raise StrategyError(f"min_lr={values['min_lr']:g} is above the peak, {peak:g}: give a lower one")


def _check_stages(clock: Clock, values: Values, peak: float) -> None:
    decay = values["num_decay_steps"]
    if decay is None:
        raise StrategyError("num_decay_steps is missing: give a number of steps such as num_decay_steps=100")
    if values["num_stable_steps"] is None and decay > clock.decay_steps:
        raise StrategyError(
            f"num_decay_steps={decay} is longer than what follows the warmup: give at most {clock.decay_steps}"
        )


# --- the rows -------------------------------------------------------------------------------------------------

_CYCLES = Real(0.5, 0.0, math.inf, "waves of the cosine; 0.5 is one fall")
_FLOORS: Mapping[str, Parameter] = {
    "num_cycles": _CYCLES,
    "min_lr": Real(None, 0.0, math.inf, "floor as a learning rate; give this or min_lr_rate"),
    "min_lr_rate": Real(None, 0.0, 1.0, "floor as a ratio of the peak"),
}
_A_FLOOR: Values = {"min_lr_rate": 0.1}
_COSINE = "(1 + cos(2 pi num_cycles s / S)) / 2"
_TYPES = ("linear", "cosine", "1-sqrt")

_ROWS = (
    StockPlan("linear", linear, "a straight line down to 0; the Trainer's default", "1 - s / S"),
    StockPlan("cosine", cosine, "half a cosine wave down to 0", _COSINE, {"num_cycles": _CYCLES}),
    StockPlan(
        "cosine_with_restarts",
        restarts,
        "half a cosine wave down to 0, num_cycles times",
        "(1 + cos(pi frac(num_cycles s / S))) / 2",
        {"num_cycles": Real(1.0, 0.0, math.inf, "number of falls")},
    ),
    StockPlan(
        "polynomial",
        polynomial,
        "a power of the steps that are left, down to lr_end",
        "(1 - s / S) ^ power (1 - lr_end / peak) + lr_end / peak",
        {
            "lr_end": Real(
                1e-7, 0.0, math.inf, f"last learning rate; shown for a peak of {_PEAK:g} if none is given"
            ),
            "power": Real(1.0, 0.0, math.inf, "exponent", above_low=True),
        },
        check=_check_polynomial,
    ),
    StockPlan("constant", constant, "the peak, without a warmup", "1", has_warmup=False),
    StockPlan("constant_with_warmup", constant, "the peak after the warmup", "1"),
    StockPlan(
        "inverse_sqrt",
        inverse_sqrt,
        "one over the square root of the steps",
        "1 / sqrt((s + timescale) / timescale)",
        {"timescale": _Steps("steps after which it has begun to fall", "the warmup, or 10000 steps without one")},
    ),
    StockPlan(
        "cosine_with_min_lr",
        cosine,
        "half a cosine wave down to a floor, which has to be given",
        f"floor + (1 - floor) {_COSINE}",
        _FLOORS,
        check=_check_floor,
        example=_A_FLOOR,
    ),
    StockPlan(
        "cosine_warmup_with_min_lr",
        early_cosine,
        "the same one step ahead, with a warmup from 1 / warmup_steps or warmup_lr_rate",
        "floor + (1 - floor) (1 + cos(2 pi num_cycles (s + 1) / S)) / 2",
        {**_FLOORS, "warmup_lr_rate": Real(None, 0.0, 1.0, "ratio of the peak at the first update")},
        warmup=early_warmup,
        warmup_formula="t + 1 / warmup_steps, or from warmup_lr_rate on a straight line",
        check=_check_floor,
        example=_A_FLOOR,
    ),
    StockPlan(
        "warmup_stable_decay",
        stable_decay,
        "holds the peak, then falls over num_decay_steps, which has to be given",
        "1, then decay_type over the last num_decay_steps",
        {
            "num_decay_steps": _Steps("length of the decay", "has to be given"),
            "num_stable_steps": _Steps("length of the hold", "what is left of the training"),
            "warmup_type": Choice("linear", _TYPES, "curve of the warmup: linear, cosine, 1-sqrt"),
            "decay_type": Choice("cosine", _TYPES, "curve of the decay: linear, cosine, 1-sqrt"),
            "min_lr_ratio": Real(0.0, 0.0, 1.0, "first and last ratio of the peak"),
            "num_cycles": _CYCLES,
        },
        warmup=shaped_warmup,
        warmup_formula="warmup_type from min_lr_ratio to 1",
        check=_check_stages,
        example={"num_decay_steps": 100},
    ),
)

STOCK: Mapping[str, StockPlan] = {row.name: row for row in _ROWS}
"""The schedules of transformers that are functions of the step, by its names."""

ADAPTIVE: Mapping[str, str] = {
    "reduce_lr_on_plateau": "the rate follows a metric, and is known only when training has measured it: take the"
    " callback ReduceOnPlateau over a schedule such as 'linear_warmup_constant_decay'",
    "greedy": "the rate follows the training loss, and is known only in training: take a schedule by the step such as"
    " 'linear'",
}
"""The schedules of transformers that are no functions of the step, each with the reason and what to take instead."""


def find_any_plan(name: str, peak: float | None = None) -> Plan:
    """Return the plan of a name of ours or of transformers, the latter for a ``peak`` learning rate if one is given.

    Raises `StrategyError` for a schedule that is no function of the step and, with near matches, for an unknown name.

    >>> find_any_plan("cosine").source, find_any_plan("cosine_decay").name
    ('transformers.get_scheduler', 'cosine_decay')
    """
    if name in ADAPTIVE:
        raise StrategyError(f"{name!r} of transformers is no function of the step: {ADAPTIVE[name]}")
    if name in STOCK:
        return STOCK[name] if peak is None else replace(STOCK[name], peak=peak)
    try:
        return find_plan(name)
    except StrategyError:
        known = {*SCHEDULES, *STOCK, *ADAPTIVE}
        raise StrategyError(f"unknown schedule {name!r}: {did_you_mean(name, known)}") from None
