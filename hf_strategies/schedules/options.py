"""Checks that the command line and the torch scheduler share: parameter names, ``min_lr``, ``on_extend``, warmup."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

from hf_strategies.errors import StrategyError, did_you_mean
from hf_strategies.schedules.plans import Plan
from hf_strategies.values import number

__all__ = ["ON_EXTEND", "check_names", "check_on_extend", "default_warmup_steps", "read_min_lr"]

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
