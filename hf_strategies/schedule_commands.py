"""The commands ``list``, ``show``, ``plot`` and ``flags``: each turns its options into text to print."""

import shutil
import sys
import warnings
from argparse import Namespace
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any

from hf_strategies.errors import StrategyError, did_you_mean
from hf_strategies.lengths import to_steps
from hf_strategies.report.schedules import flags
from hf_strategies.report.schedules.text import names_and_summaries, overview, sheet, usual_warmup
from hf_strategies.schedule_options import (
    assignments,
    count,
    curve_parameters,
    name_and_own,
    positive,
    refuse_misplaced,
    refuse_unplottable,
    refuse_unused,
    takes,
)
from hf_strategies.schedules import DECAYS, SCHEDULES, WARMUPS, Plan, Schedule, find_plan, load_entry_points
from hf_strategies.schedules.schedule import build
from hf_strategies.values import number

__all__ = ["flags_command", "list_command", "plot_command", "show_command"]

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
