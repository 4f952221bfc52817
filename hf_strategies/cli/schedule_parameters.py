"""Reading of the parameters and numbers that ``plot`` and ``flags`` take for a schedule."""

import json
import math
from argparse import Namespace
from collections.abc import Iterable, Mapping
from typing import Any

from hf_strategies.errors import StrategyError, short
from hf_strategies.schedules import Plan
from hf_strategies.schedules.schedule import check_names, check_on_extend, read_min_lr
from hf_strategies.schedules.stock import StockPlan
from hf_strategies.values import number

__all__ = ["assignments", "count", "curve_parameters", "positive", "refuse_misplaced", "steps_per_epoch"]

# Arguments of a schedule that are no parameters of a curve: each has a flag of its own.
_OWN_FLAGS = {"warmup_steps", "total_steps", "steps_per_epoch", "learning_rate"}
# What `hf_strategies.pytorch.lr_scheduler.ScheduleLR` takes beside the parameters of the curves.
_OF_THE_SCHEDULER = ("min_lr", "on_extend")
_MOST_STEPS = 10**12


def assignments(texts: Iterable[str]) -> dict[str, Any]:
    """Read the ``key=value`` texts of ``--set``; a value is JSON if it can be read as such, else text.

    >>> assignments(["gamma=0.5", "cooldown_shape=linear"])
    {'gamma': 0.5, 'cooldown_shape': 'linear'}
    """
    parameters: dict[str, Any] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not key or not equals:
            raise StrategyError(f"--set {text}: give KEY=VALUE, such as min_lr_ratio=0.1; names stand before --set")
        try:
            parameters[key] = json.loads(value)
        except ValueError:
            parameters[key] = value
        except RecursionError:
            raise StrategyError(f"--set {short(text)}: the value is nested too deeply: give plain JSON") from None
    return parameters


def refuse_misplaced(parameters: Mapping[str, Any], options: Namespace) -> None:
    """Refuse an argument in ``--set`` for which the command has a flag."""
    for key in parameters:
        if key in _OWN_FLAGS and key in vars(options):
            raise StrategyError(f"--set {key}={parameters[key]}: {key} is no parameter of a curve: give --{key}")


def curve_parameters(plan: Plan, given: Mapping[str, Any], peak: float | None) -> dict[str, Any]:
    """Check the options of the torch scheduler among the parameters given, and return the parameters of the curves.

    ``min_lr`` becomes ``min_lr_ratio`` where the peak is known. Of the curves' parameters only the names are
    checked here; their values are checked when the schedule is built. A schedule of transformers has no options
    beside its parameters.
    """
    if isinstance(plan, StockPlan):
        check_names(plan, given)
        return dict(given)
    if "on_extend" in given:
        check_on_extend(given["on_extend"])
    parameters = {key: value for key, value in given.items() if key not in _OF_THE_SCHEDULER}
    check_names(plan, parameters, more=_OF_THE_SCHEDULER)
    if "min_lr" in given:
        floor = read_min_lr(plan, given["min_lr"], given, peak=peak)
        parameters |= {"min_lr_ratio": floor / peak} if peak else {}
    return parameters


def count(name: str, given: str | None, low: int, high: int | None, default: int) -> int:
    """Read a flag that takes a whole number within bounds; return ``default`` when none is given."""
    if given is None:
        return default
    try:
        value = int(given)
    except ValueError:
        raise StrategyError(f"--{name} {given}: give an integer") from None
    if high is None and value > _MOST_STEPS:
        raise StrategyError(f"--{name} {given}: give at most {_MOST_STEPS}")
    if value < low or (high is not None and value > high):
        raise StrategyError(f"--{name} {given}: give {f'at least {low}' if high is None else f'{low} to {high}'}")
    return value


def positive(name: str, given: str | None) -> float | None:
    """Read a flag that takes a number above 0; return None when none is given."""
    if given is None:
        return None
    value = float(number(f"--{name}", given))
    if not 0.0 < value < math.inf:
        raise StrategyError(f"--{name}={given!r} is out of range: give a number above 0")
    return value


def steps_per_epoch(options: Namespace) -> float | None:
    """Read ``--steps_per_epoch``, which may be a fraction."""
    return positive("steps_per_epoch", options.steps_per_epoch)
