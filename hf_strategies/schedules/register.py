"""Registration of warmups, decays and schedules that users write; their names are valid in ``lr_scheduler_type``.

A function is registered only if its schedules obey the laws of `check_laws`.
"""

import math
from collections.abc import Callable, Mapping
from keyword import iskeyword
from typing import Any

from hf_strategies.errors import StrategyError
from hf_strategies.schedules.parameters import Choice, Length, Milestones, Parameter, Real
from hf_strategies.schedules.plans import Curve, FunctionPlan, Plan, WarmupDecayPlan
from hf_strategies.schedules.registry import RESERVED_PARAMETERS, add_plans, new_pairs
from hf_strategies.schedules.schedule import Schedule, build

__all__ = ["LENGTHS", "check_laws", "register_decay", "register_schedule", "register_warmup"]


Parameters = Mapping[str, Parameter | float]
"""Parameters by name; a number stands for a `Real` with this default and without bounds."""


def register_warmup(
    name: str,
    function: Callable[..., float],
    parameters: Parameters | None = None,
    *,
    summary: str = "",
    source: str = "",
) -> None:
    """Add a warmup, and with it ``{name}_warmup_{decay}_decay`` for every decay.

    ``function(t, **parameters)`` returns the ratio of the peak when the fraction ``t`` in [0, 1] of the warmup is
    done. It never falls, and is exactly 1.0 at ``t = 1``. ``parameters`` maps names to defaults, or to rows (`Real`,
    `Length`, `Choice`) with bounds and a help text; users give a value as ``warmup_{parameter}``.

    Raises `StrategyError`, and adds nothing, when a law is broken (see `check_laws`) or a name is taken.

    Example::

        register_warmup("quintic", lambda t, start: start + (1 - start) * t**5, {"start": 0.0})
        schedule("quintic_warmup_constant_decay", total_steps=10, warmup_steps=2)(1)  # 0.03125
    """
    row = Curve(_checked_name(name), function, _warmup_rows(parameters), summary or f"rises as {name}", "", source)
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

    ``function(step, steps, **parameters)`` returns the ratio of the peak after ``step`` of the ``steps`` optimizer
    steps that follow the warmup. It is exactly 1.0 at step 0, and in [0, 1] everywhere. ``parameters`` maps names to
    defaults, or to rows (`Real`, `Length`, `Choice`, `Milestones`) with bounds and a help text.

    Raises `StrategyError`, and adds nothing, when a law is broken (see `check_laws`) or a name is taken.

    Example::

        register_decay("half", lambda step, steps: 1.0 if step < steps / 2 else 0.5, summary="halves midway")
        schedule("half_decay", total_steps=10)(7)  # 0.5
    """
    row = Curve(_checked_name(name), function, _decay_rows(parameters), summary or f"falls as {name}", "", source)
    _check_and_add(new_pairs(decay=row), decay=row)


def register_schedule(
    name: str,
    function: Callable[..., float],
    parameters: Parameters | None = None,
    *,
    summary: str = "",
    source: str = "",
) -> None:
    """Add a whole schedule under the name ``name``.

    ``function(step, *, total_steps, warmup_steps, **parameters)`` returns the ratio of the peak, in [0, 1], after
    ``step`` optimizer steps, where 0 <= step <= total_steps and 0 <= warmup_steps < total_steps. ``parameters`` maps
    names to defaults, or to rows (`Real`, `Length`, `Choice`, `Milestones`) with bounds and a help text.

    Raises `StrategyError`, and adds nothing, when a law is broken (see `check_laws`) or the name is taken.

    Example::

        def late(step, *, total_steps, warmup_steps, share):
            return 1.0 if step < share * total_steps else 0.1

        register_schedule("late", late, {"share": 0.9})
        schedule("late", total_steps=10, share=0.5)(5)  # 0.1
    """
    plan = FunctionPlan(_checked_name(name), function, _rows(parameters), summary=summary or name, source=source)
    _check_and_add([plan])


def _checked_name(name: str) -> str:
    """Return ``name`` if it can be the name of a curve or a schedule; raises `StrategyError` if not."""
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
    """Return the parameter ``key`` for a row or a default; raises `StrategyError` for a bad name or value."""
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
    """Add the plans, and the ``warmup`` or the ``decay`` that they come from, if all of them obey the laws."""
    for plan in plans:
        try:
            check_laws(plan)
        except StrategyError:
            raise
        except Exception as error:
            raise StrategyError(f"{plan.name!r} fails when it is computed: {error!r}: mend its function") from error
    add_plans(plans, **curve)


LENGTHS = ((1, 0), (2, 0), (2, 1), (10, 0), (10, 3), (100, 10), (100, 99), (137, 41))
"""The lengths for which `check_laws` computes a schedule: pairs of total steps and warmup steps."""


def check_laws(plan: Plan) -> None:
    """Raise `StrategyError` unless a schedule obeys the laws for each of `LENGTHS`, with its default parameters.

    Every value is a Python float, finite and in [0, 1], and the same when it is computed again. A warmup never falls
    and ends at exactly 1; a decay begins at exactly 1.
    """
    for total, warmup in LENGTHS:
        if warmup and not plan.has_warmup:
            continue
        schedule = build(plan, {}, total_steps=total, warmup_steps=warmup)
        _check_values(schedule)
        if isinstance(plan, WarmupDecayPlan):
            _check_join(plan, schedule)


def _check_values(schedule: Schedule) -> None:
    for step in range(schedule.total_steps + 1):
        value = schedule(step)
        if type(value) is not float:
            raise _law_error(schedule, step, value, "is no Python float", "return float(...)")
        if not (math.isfinite(value) and 0.0 <= value <= 1.0):
            raise _law_error(schedule, step, value, "is not in [0, 1]", "return a ratio of the peak learning rate")
        if schedule(step) != value:
            raise _law_error(
                schedule, step, value, "is another one when asked again", "use nothing but the arguments"
            )


def _check_join(plan: WarmupDecayPlan, schedule: Schedule) -> None:
    rising = [schedule(step) for step in range(schedule.warmup_steps)]
    if rising != sorted(rising):
        raise _law_error(
            schedule, schedule.warmup_steps, max(rising), "comes before a lower one", "let a warmup never fall"
        )
    for place, value in (("warmup at t = 1", plan.warmup_end), ("decay at step 0", schedule(schedule.warmup_steps))):
        if value != 1.0:
            raise _law_error(
                schedule, schedule.warmup_steps, value, f"({place}) is not exactly 1", "begin and end at the peak"
            )


def _law_error(schedule: Schedule, step: int, value: object, problem: str, remedy: str) -> StrategyError:
    return StrategyError(
        f"{schedule.name!r} breaks a law: its value {value!r} at step {step} of {schedule.total_steps} (warmup"
        f" {schedule.warmup_steps}) {problem}: {remedy}"
    )
