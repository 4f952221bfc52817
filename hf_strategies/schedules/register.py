"""Curves and schedules of one's own: checked by the laws, named, and at once usable from ``lr_scheduler_type``."""

import math
from collections.abc import Callable, Mapping
from keyword import iskeyword
from typing import Any

from hf_strategies.errors import StrategyError
from hf_strategies.schedules.curve import Curve
from hf_strategies.schedules.parameters import Choice, Length, Milestones, Parameter, Real
from hf_strategies.schedules.plans import FunctionPlan, Plan, WarmupDecayPlan
from hf_strategies.schedules.registry import RESERVED_PARAMETERS, add_plans, new_pairs
from hf_strategies.schedules.schedule import Schedule, build

__all__ = ["LENGTHS", "check_laws", "register_decay", "register_schedule", "register_warmup"]


Parameters = Mapping[str, Parameter | float]


def register_warmup(
    name: str,
    function: Callable[..., float],
    parameters: Parameters | None = None,
    *,
    summary: str = "",
    source: str = "",
) -> None:
    """Add a warmup, and with it ``{name}_warmup_{decay}_decay`` for every decay.

    ``function(t, **parameters)`` is the ratio of the peak when the fraction ``t`` in [0, 1] of the warmup is done;
    exactly 1.0 at ``t = 1`` and never falling. ``parameters`` maps names to defaults, or to rows (`Real`,
    `Length`, `Choice`) with bounds and help; users give them as ``warmup_{parameter}``.

    Raises `StrategyError`, and adds nothing, when a law is broken (see `schedules.laws`) or a name is taken.

    Example::

        register_warmup("quintic", lambda t, start: start + (1 - start) * t**5, {"start": 0.0})
        schedule("quintic_warmup_constant_decay", total_steps=10, warmup_steps=2)(1)  # 0.03125
    """
    row = Curve(_checked(name), function, _warmup_rows(parameters), summary or f"rises as {name}", "", source)
    _check_and_add(new_pairs(warmup=row), warmup=row)


def register_decay(
    name: str,
    function: Callable[..., float],
    parameters: Parameters | None = None,
    *,
    summary: str = "",
    source: str = "",
) -> None:
    """Add a decay, and with it ``{name}_decay`` and ``{warmup}_warmup_{name}_decay`` for every warmup.

    ``function(step, steps, **parameters)`` is the ratio of the peak after ``step`` of the ``steps`` optimizer
    steps that follow the warmup; exactly 1.0 at step 0, in [0, 1] everywhere.

    Raises `StrategyError`, and adds nothing, when a law is broken or a name is taken.

    Example::

        register_decay("half", lambda step, steps: 1.0 if step < steps / 2 else 0.5, summary="halves midway")
        schedule("half_decay", total_steps=10)(7)  # 0.5
    """
    row = Curve(_checked(name), function, _decay_rows(parameters), summary or f"falls as {name}", "", source)
    _check_and_add(new_pairs(decay=row), decay=row)


def register_schedule(
    name: str,
    function: Callable[..., float],
    parameters: Parameters | None = None,
    *,
    summary: str = "",
    source: str = "",
) -> None:
    """Add a whole schedule under its own name.

    ``function(step, *, total_steps, warmup_steps, **parameters)`` is the ratio of the peak after ``step``
    optimizer steps, in [0, 1]; 0 <= step <= total_steps, 0 <= warmup_steps < total_steps.

    Raises `StrategyError`, and adds nothing, when a law is broken or the name is taken.

    Example::

        def late(step, *, total_steps, warmup_steps, share):
            return 1.0 if step < share * total_steps else 0.1

        register_schedule("late", late, {"share": 0.9})
        schedule("late", total_steps=10, share=0.5)(5)  # 0.1
    """
    plan = FunctionPlan(_checked(name), function, _rows(parameters), summary=summary or name, source=source)
    _check_and_add([plan])


def _checked(name: str) -> str:
    if not isinstance(name, str) or not name.isidentifier() or name != name.lower():
        raise StrategyError(f"name={name!r} is no name for a schedule: give lower-case letters, digits and _")
    return name


def _warmup_rows(parameters: Parameters | None) -> dict[str, Parameter]:
    if "steps" in (parameters or {}):
        raise StrategyError("parameters['steps'] of a warmup would be given as warmup_steps: choose another name")
    return _rows(parameters)


def _decay_rows(parameters: Parameters | None) -> dict[str, Parameter]:
    rows = _rows(parameters)
    for key in rows:
        if key.startswith("warmup_"):
            raise StrategyError(f"parameters[{key!r}] of a decay begins as a warmup's do: choose another name")
    return rows


def _rows(parameters: Parameters | None) -> dict[str, Parameter]:
    return {key: _row(key, value) for key, value in (parameters or {}).items()}


def _row(key: str, value: Any) -> Parameter:
    if not isinstance(key, str) or not key.isidentifier() or iskeyword(key):
        raise StrategyError(f"parameters[{key!r}] is no name for a parameter: give letters, digits and _")
    if key in RESERVED_PARAMETERS:
        raise StrategyError(f"parameters[{key!r}] has the name of another argument: choose another name")
    if isinstance(value, Real | Length | Choice | Milestones):
        return value
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise StrategyError(f"parameters[{key!r}]={value!r} is no default: give a number, or a row such as Real(...)")
    return Real(float(value), -math.inf, math.inf, "")


def _check_and_add(plans: list[Plan], **curve: Curve) -> None:
    for plan in plans:
        try:
            check_laws(plan)
        except StrategyError:
            raise
        except Exception as mistake:
            raise StrategyError(
                f"{plan.name!r} fails when it is computed: {mistake!r}: mend its function"
            ) from mistake
    add_plans(plans, **curve)


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
        if isinstance(plan, WarmupDecayPlan):
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


def _check_joint(plan: WarmupDecayPlan, case: Schedule) -> None:
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
