"""What the commands about schedules read: ``KEY=VALUE`` texts, counts, the options of the torch scheduler."""

import json
import math
from argparse import Namespace
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from hf_strategies.errors import StrategyError, did_you_mean
from hf_strategies.schedules import Plan
from hf_strategies.schedules.resume import ON_EXTEND
from hf_strategies.values import number

__all__ = [
    "assignments",
    "count",
    "curve_parameters",
    "name_and_own",
    "positive",
    "refuse_misplaced",
    "refuse_unplottable",
    "refuse_unused",
    "takes",
]

_NO_PARAMETERS = {"warmup_steps", "total_steps", "steps_per_epoch", "learning_rate"}
# What `trainer.lr_scheduler.ScheduleLR` takes beside the parameters of the curves.
_OF_THE_SCHEDULER = ("min_lr", "on_extend")


def name_and_own(text: str) -> tuple[str, dict[str, Any]]:
    """Read ``NAME`` or ``NAME:key=value,key=value``, where a value may be JSON with commas in it."""
    name, _, rest = text.partition(":")
    own: dict[str, Any] = {}
    while rest:
        key, equals, rest = rest.partition("=")
        if not key or not equals:
            raise StrategyError(f"{text!r} has {key!r} without a value: give NAME:key=value,key=value")
        own[key], rest = _leading_value(rest)
    return name, own


def _leading_value(text: str) -> tuple[Any, str]:
    """Read the value that ``text`` begins with, JSON or else words up to a comma; return what follows it too."""
    try:
        value, end = json.JSONDecoder().raw_decode(text)
    except ValueError:
        end = -1
    if end < 0 or text[end : end + 1] not in ("", ","):
        word, _, rest = text.partition(",")
        return word, rest
    return value, text[end + 1 :]


def assignments(texts: Iterable[str]) -> dict[str, Any]:
    """Read ``key=value`` texts; a value is JSON if it can be read as such, else text."""
    found: dict[str, Any] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not key or not equals:
            raise StrategyError(f"--set {text}: give KEY=VALUE, such as min_lr_ratio=0.1; names stand before --set")
        try:
            found[key] = json.loads(value)
        except ValueError:
            found[key] = value
    return found


def refuse_misplaced(parameters: Mapping[str, Any], options: Namespace) -> None:
    """Refuse what has a flag of its own."""
    for key in parameters:
        if key in _NO_PARAMETERS and key in vars(options):
            raise StrategyError(f"--set {key}={parameters[key]}: {key} is no parameter of a curve: give --{key}")


def refuse_unused(parameters: Mapping[str, Any], plans: Sequence[Plan]) -> None:
    """Refuse what none of the schedules takes."""
    known = {key for plan in plans for key in plan.parameters}
    for key in parameters:
        if not any(takes(plan, key) for plan in plans):
            raise StrategyError(f"--set {key}: no schedule plotted takes it: {did_you_mean(key, known)}")


def refuse_unplottable(parameters: Mapping[str, Any], peak: float | None) -> None:
    """Refuse what the torch scheduler takes and a plot cannot show."""
    if "on_extend" in parameters:
        raise StrategyError(
            f"on_extend={parameters['on_extend']!r} is about resumed runs, which a plot does not show: leave it out"
        )
    if "min_lr" in parameters and peak is None:
        raise StrategyError(
            f"min_lr={parameters['min_lr']!r} in a plot of ratios of the peak: give min_lr_ratio, or --peak LR too"
        )


def takes(plan: Plan, key: str) -> bool:
    """Tell whether a schedule has a parameter; ``min_lr`` is another way to give ``min_lr_ratio``."""
    return ("min_lr_ratio" if key == "min_lr" else key) in plan.parameters


def curve_parameters(plan: Plan, given: Mapping[str, Any], peak: float | None) -> dict[str, Any]:
    """Check the torch scheduler's own options among the parameters given, and return those of the curves.

    ``min_lr`` becomes ``min_lr_ratio`` where the peak is known. The curves' parameters are not checked here,
    but for their names.
    """
    if "on_extend" in given and given["on_extend"] not in ON_EXTEND:
        raise StrategyError(
            f"on_extend={given['on_extend']!r} is no choice: {did_you_mean(str(given['on_extend']), ON_EXTEND)}"
        )
    found = {key: value for key, value in given.items() if key not in _OF_THE_SCHEDULER}
    for key in found:
        if key not in plan.parameters:
            known = {*plan.parameters, *_OF_THE_SCHEDULER}
            raise StrategyError(f"{plan.name!r} takes no parameter {key!r}: {did_you_mean(key, known)}")
    if "min_lr" in given:
        floor = _min_lr(plan, given, peak)
        found |= {"min_lr_ratio": floor / peak} if peak else {}
    return found


def _min_lr(plan: Plan, given: Mapping[str, Any], peak: float | None) -> float:
    value = given["min_lr"]
    if "min_lr_ratio" not in plan.parameters:
        raise StrategyError(f"min_lr={value!r} with {plan.name!r}, which has no floor: leave min_lr out")
    if "min_lr_ratio" in given:
        raise StrategyError(f"min_lr={value!r} with min_lr_ratio={given['min_lr_ratio']!r}: give one of the two")
    floor = float(number("min_lr", value))
    if floor < 0 or (peak is not None and floor > peak):
        bounds = "of at least 0" if peak is None else f"from 0 to the peak, {peak:g}"
        raise StrategyError(f"min_lr={value!r} is out of range: give a learning rate {bounds}")
    return floor


def count(name: str, given: str | None, low: int, high: int | None, usual: int) -> int:
    """Read a whole number within bounds; ``usual`` when none is given."""
    if given is None:
        return usual
    try:
        value = int(given)
    except ValueError:
        raise StrategyError(f"--{name} {given}: give an integer") from None
    if value < low or (high is not None and value > high):
        raise StrategyError(f"--{name} {given}: give {f'at least {low}' if high is None else f'{low} to {high}'}")
    return value


def positive(name: str, given: str) -> float:
    """Read a number above 0."""
    value = float(number(f"--{name}", given))
    if not 0.0 < value < math.inf:
        raise StrategyError(f"--{name}={given!r} is out of range: give a number above 0")
    return value
