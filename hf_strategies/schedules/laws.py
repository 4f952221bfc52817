"""The laws that every schedule keeps, built-in or added: checked over several lengths before a name is taken."""

import math

from hf_strategies.errors import StrategyError
from hf_strategies.schedules.grid import Schedule, build
from hf_strategies.schedules.plans import GridPlan, Plan

__all__ = ["LENGTHS", "check_laws"]

LENGTHS = ((1, 0), (2, 0), (2, 1), (10, 0), (10, 3), (100, 10), (100, 99), (137, 41))
"""Pairs of total and warmup steps."""


def check_laws(plan: Plan) -> None:
    """Raise `StrategyError` unless a schedule keeps the laws for each of `LENGTHS`, with its default parameters.

    Every value is a Python float, finite and in [0, 1], and the same when asked for again. A warmup never falls
    and ends at exactly 1; a decay begins at exactly 1.
    """
    for total, warmup in LENGTHS:
        if warmup and not plan.has_warmup:
            continue
        case = build(plan, {}, total_steps=total, warmup_steps=warmup)
        _check_values(case)
        if isinstance(plan, GridPlan):
            _check_joint(plan, case)


def _check_values(case: Schedule) -> None:
    for step in range(case.total_steps + 1):
        value = case(step)
        if type(value) is not float:
            raise _broken(case, step, value, "is no Python float", "return float(...)")
        if not (math.isfinite(value) and 0.0 <= value <= 1.0):
            raise _broken(case, step, value, "is not in [0, 1]", "return a ratio of the peak learning rate")
        if case(step) != value:
            raise _broken(case, step, value, "is another one when asked again", "use nothing but the arguments")


def _check_joint(plan: GridPlan, case: Schedule) -> None:
    rise = [case(step) for step in range(case.warmup_steps)]
    if rise != sorted(rise):
        raise _broken(case, case.warmup_steps, max(rise), "comes before a lower one", "let a warmup never fall")
    for what, value in (("warmup at t = 1", plan.warmup_end), ("decay at step 0", case(case.warmup_steps))):
        if value != 1.0:
            raise _broken(case, case.warmup_steps, value, f"({what}) is not exactly 1", "begin and end at the peak")


def _broken(case: Schedule, step: int, value: object, what: str, remedy: str) -> StrategyError:
    return StrategyError(
        f"{case.name!r} breaks a law: its value {value!r} at step {step} of {case.total_steps} (warmup"
        f" {case.warmup_steps}) {what}: {remedy}"
    )
