"""The commands ``list``, ``show``, ``plot`` and ``flags``: each turns its options into text to print."""

import json
import math
import shutil
import sys
import warnings
from argparse import Namespace
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from hf_strategies.errors import StrategyError, did_you_mean
from hf_strategies.lengths import to_steps
from hf_strategies.report.schedules import flags
from hf_strategies.report.schedules.text import names_and_summaries, overview, sheet, usual_warmup
from hf_strategies.schedules import DECAYS, SCHEDULES, WARMUPS, Plan, Schedule, find_plan, load_entry_points
from hf_strategies.schedules.resume import ON_EXTEND
from hf_strategies.schedules.schedule import build
from hf_strategies.values import number

__all__ = [
    "assignments",
    "count",
    "curve_parameters",
    "flags_command",
    "list_command",
    "name_and_own",
    "plot_command",
    "positive",
    "refuse_misplaced",
    "refuse_unplottable",
    "refuse_unused",
    "show_command",
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


# Steps to check flags against when the length of the training is not given: no length in steps is longer.
_LONG = 1_000_000


def list_command(options: Namespace) -> str:
    """Tell the names that there are: all in tables, those that match, or nothing but names."""
    _load_contributions()
    if options.pattern is None and not options.names:
        return overview(_terminal_width())
    found = list(SCHEDULES) if options.pattern is None else _matching(options.pattern)
    return "\n".join(found) if options.names else names_and_summaries(found, _terminal_width())


def show_command(options: Namespace) -> str:
    """Tell all there is to know of one schedule."""
    _load_contributions()
    return sheet(find_plan(options.name), _terminal_width())


def plot_command(options: Namespace) -> str:
    """Draw schedules in the terminal, or into a file."""
    from hf_strategies.report.schedules.curves import ScheduleCurves, draw_in_text

    _load_contributions()
    peak = None if options.peak is None else positive("peak", options.peak)
    curves = ScheduleCurves(_schedules(options, peak), peak, _epoch(options))
    if options.output is None:
        usual = min(_terminal_width() or 80, 120)
        width = count("width", options.width, 40, 400, usual)
        height = count("height", options.height, 5, 200, 17)
        return draw_in_text(curves, width=width, height=height, plain=options.ascii or not _prints("⠿┊"))
    from hf_strategies.report.schedules.figure import draw_schedules

    size = {
        "width": count("width", options.width, 600, 10_000, 1080),
        "height": count("height", options.height, 400, 10_000, 660),
    }
    draw_schedules(curves, options.output, **size)
    return f"wrote {options.output}"


def flags_command(options: Namespace) -> str:
    """Tell the TrainingArguments that give a schedule, once it has been built with them."""

    _load_contributions()
    plan, parameters = find_plan(options.name), assignments(options.set)
    refuse_misplaced(parameters, options)
    rate = None if options.learning_rate is None else positive("learning_rate", options.learning_rate)
    warmup = _build_for_flags(plan, curve_parameters(plan, parameters, rate), options)
    if (epoch := _epoch(options)) is not None:
        parameters["steps_per_epoch"] = int(epoch) if epoch.is_integer() else epoch
    write = {"yaml": flags.as_yaml, "python": flags.as_python}.get(options.form, flags.as_flags)
    return write(plan.name, parameters, warmup_steps=warmup or None, learning_rate=rate)


def _build_for_flags(plan: Plan, parameters: Mapping[str, Any], options: Namespace) -> int | float:
    """Build a schedule to see that its flags are right; return the warmup, for TrainingArguments."""
    total, epoch = count("total_steps", options.total_steps, 1, None, _LONG), _epoch(options)
    try:
        warmup = _warmup_number(plan, options.warmup_steps, total, epoch)
        build(plan, parameters, total_steps=total, warmup_steps=warmup, steps_per_epoch=epoch)
    except StrategyError as mistake:
        if "counts epochs" in str(mistake):
            raise StrategyError(f"{mistake} (--steps_per_epoch N; the recipes count it themselves)") from None
        if options.total_steps is None and str(_LONG) in str(mistake):
            raise StrategyError(f"{mistake} (checked for {_LONG} steps: give yours with --total_steps)") from None
        raise
    return warmup


def _warmup_number(plan: Plan, given: str | None, total: int, epoch: float | None) -> int | float:
    """Return the warmup as a number, because TrainingArguments knows no epochs there."""
    if given is None:
        return usual_warmup(plan)
    if given.endswith("ep"):
        return to_steps("warmup_steps", given, total_steps=total, steps_per_epoch=epoch)
    return number("warmup_steps", given)


def _load_contributions() -> None:
    """Load other packages' schedules; what is wrong with one is told in a line."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        load_entry_points()
    for warning in told:
        print(f"warning: {' '.join(str(warning.message).split())}", file=sys.stderr)


def _matching(pattern: str) -> list[str]:
    wanted = pattern.lower()
    if any(sign in wanted for sign in "*?["):
        found = [name for name in SCHEDULES if fnmatchcase(name, wanted)]
    else:
        found = [name for name in SCHEDULES if wanted in name]
    if not found:
        raise StrategyError(
            f"no schedule's name matches {pattern!r}: {did_you_mean(wanted, {*SCHEDULES, *WARMUPS, *DECAYS})}"
        )
    return found


def _schedules(options: Namespace, peak: float | None) -> dict[str, Schedule]:
    """Build the schedules to plot by their labels, from the parameters for all and those for each."""
    from hf_strategies.report.schedules.text_plot import MOST_CURVES

    shared = assignments(options.set)
    names = list(dict.fromkeys(options.names))
    if not names:
        raise StrategyError("NAME is missing: see hf-strategies plot --help")
    if len(names) > MOST_CURVES:
        raise StrategyError(f"{len(names)} schedules are too many for one plot: give at most {MOST_CURVES} names")
    named = [name_and_own(text) for text in names]
    plans = [find_plan(name) for name, _own in named]
    refuse_misplaced(shared, options)
    for parameters in (shared, *(own for _name, own in named)):
        refuse_unplottable(parameters, peak)
    refuse_unused(shared, plans)
    total = count("total_steps", options.total_steps, 1, None, 1000)
    built = {}
    for text, plan, (_name, own) in zip(names, plans, named, strict=True):
        # A warmup for all passes those by that take none, unless none of them takes one.
        for_all = options.warmup_steps if plan.has_warmup or not any(one.has_warmup for one in plans) else None
        warmup = own.pop("warmup_steps", for_all)
        warmup = usual_warmup(plan) if warmup is None else warmup
        given = curve_parameters(plan, {key: value for key, value in shared.items() if takes(plan, key)}, peak)
        given |= curve_parameters(plan, own, peak)
        built[text] = build(plan, given, total_steps=total, warmup_steps=warmup, steps_per_epoch=_epoch(options))
    return built


def _epoch(options: Namespace) -> float | None:
    return None if options.steps_per_epoch is None else positive("steps_per_epoch", options.steps_per_epoch)


def _terminal_width() -> int | None:
    """Return the columns of the terminal; None when the text goes elsewhere, where lines are not to be broken."""
    return max(40, shutil.get_terminal_size().columns) if sys.stdout.isatty() else None


def _prints(signs: str) -> bool:
    try:
        signs.encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return False
    return True
