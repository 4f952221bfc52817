"""The command ``plot``: schedules as curves in the terminal, or in a file."""

import json
from argparse import ArgumentParser, Namespace
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from hf_strategies.cli.command import Command, can_print, terminal_width, warnings_as_lines
from hf_strategies.cli.schedule_parameters import (
    assignments,
    count,
    curve_parameters,
    positive,
    refuse_misplaced,
    steps_per_epoch,
)
from hf_strategies.errors import StrategyError, did_you_mean, short
from hf_strategies.report.lines import fit
from hf_strategies.schedules import Plan, Schedule, load_entry_points
from hf_strategies.schedules.schedule import build, default_warmup_steps
from hf_strategies.schedules.stock import StockPlan, find_any_plan

__all__ = ["PlotCommand"]


class PlotCommand(Command):
    """Draw schedules on one axis, in the terminal or into a file."""

    name = "plot"
    help = "curves"
    description = "Plot schedules."
    examples = """examples:
  hf-strategies plot linear_warmup_cosine_decay one_cycle --set min_lr_ratio=0.1
  hf-strategies plot step_decay:gamma=0.5 step_decay:gamma=0.1,step_size=100 --peak 2e-5
  hf-strategies plot one_cycle:warmup_steps=50 one_cycle:warmup_steps=0.2 --output one_cycle.png
"""
    list_argument = "names"

    def add_flags(self, parser: ArgumentParser) -> None:
        """Add the names, the lengths, the parameters, and the size and place of the plot."""
        add = parser.add_argument
        add("names", nargs="*", metavar="NAME", help="name of a schedule, or NAME:key=value,key=value")
        add("--total_steps", metavar="N", help="optimizer steps of the training (1000)")
        add(
            "--warmup_steps",
            metavar="W",
            help="steps, a fraction of the training, or 2ep (0.1, or the schedule's own)",
        )
        add("--steps_per_epoch", metavar="N", help="steps of an epoch: shows epochs, and allows lengths such as 2ep")
        add("--peak", metavar="LR", help="peak learning rate (shows ratios of the peak)")
        add("--set", nargs="+", action="extend", default=[], metavar="KEY=VALUE", help="for all that take KEY")
        add("--output", metavar="FILE", help="write a figure: .png, .svg or .pdf (needs matplotlib)")
        add("--width", metavar="N", help="columns of the terminal; pixels of a figure")
        add("--height", metavar="N", help="lines of the plot; pixels of a figure")
        add("--ascii", action="store_true", help="plain ASCII in the terminal")

    def run(self, options: Namespace) -> str:
        """Return the plot as text or, once the figure is written, the name of its file."""
        from hf_strategies.report.schedules.curves import ScheduleCurves, draw_in_text

        with warnings_as_lines():
            load_entry_points()
        peak = positive("peak", options.peak)
        curves = ScheduleCurves(_schedules(options, peak), peak, steps_per_epoch(options))
        if options.output is None:
            width = count("width", options.width, 40, 400, min(terminal_width() or 80, 120))
            height = count("height", options.height, 5, 200, 17)
            plain = options.ascii or not can_print("⠿┊")
            return fit(draw_in_text(curves, width=width, height=height, plain=plain), width)
        from hf_strategies.report.schedules.figure import draw_schedules

        width = count("width", options.width, 600, 10_000, 1080)
        height = count("height", options.height, 400, 10_000, 660)
        draw_schedules(curves, options.output, width=width, height=height)
        return f"wrote {options.output}"


def _schedules(options: Namespace, peak: float | None) -> dict[str, Schedule]:
    """Build the schedules to plot by their labels, from the parameters for all and those for each."""
    shared = assignments(options.set)
    labels = _labels(options.names)
    names_and_own = [_name_and_own(label) for label in labels]
    plans = [find_any_plan(name, peak) for name, _ in names_and_own]
    refuse_misplaced(shared, options)
    for parameters in (shared, *(own for _, own in names_and_own)):
        _refuse_unplottable(parameters, peak)
    _refuse_unused(shared, plans)
    total, epoch = count("total_steps", options.total_steps, 1, None, 1000), steps_per_epoch(options)
    schedules = {}
    for label, plan, (_, own) in zip(labels, plans, names_and_own, strict=True):
        warmup = own.pop("warmup_steps", _shared_warmup(options.warmup_steps, plan, plans))
        parameters = curve_parameters(plan, {key: shared[key] for key in shared if _takes(plan, key)}, peak)
        parameters |= curve_parameters(plan, own, peak)
        schedules[label] = build(plan, parameters, total_steps=total, warmup_steps=warmup, steps_per_epoch=epoch)
    return schedules


def _labels(names: Iterable[str]) -> list[str]:
    """Return the arguments that name schedules, each once; they are the labels of the curves."""
    from hf_strategies.report.schedules.text_plot import MOST_CURVES

    labels = list(dict.fromkeys(names))
    if not labels:
        raise StrategyError("NAME is missing: see hf-strategies plot --help")
    if len(labels) > MOST_CURVES:
        raise StrategyError(f"{len(labels)} schedules are too many for one plot: give at most {MOST_CURVES} names")
    return labels


def _name_and_own(text: str) -> tuple[str, dict[str, Any]]:
    """Read ``NAME`` or ``NAME:key=value,key=value``, where a value may be JSON with commas in it.

    >>> _name_and_own("multi_step_decay:milestones=[0.3, 0.6],gamma=0.5")
    ('multi_step_decay', {'milestones': [0.3, 0.6], 'gamma': 0.5})
    """
    name, colon, rest = text.partition(":")
    if colon and not rest:
        raise StrategyError(f"{text!r} has nothing after the colon: give NAME, or NAME:key=value,key=value")
    own: dict[str, Any] = {}
    while rest:
        key, equals, rest = rest.partition("=")
        if not key or not equals:
            raise StrategyError(f"{text!r} has {key!r} without a value: give NAME:key=value,key=value")
        own[key], rest = _leading_value(rest)
    return name, own


def _leading_value(text: str) -> tuple[Any, str]:
    """Read the value at the start of ``text``, JSON or else text up to a comma; return it and what follows."""
    try:
        value, end = json.JSONDecoder().raw_decode(text)
    except ValueError:
        end = -1
    except RecursionError:
        raise StrategyError(f"{short(text)}: the value is nested too deeply: give plain JSON") from None
    if end < 0 or text[end : end + 1] not in ("", ","):
        word, _, rest = text.partition(",")
        return word, rest
    return value, text[end + 1 :]


def _shared_warmup(given: str | None, plan: Plan, plans: Sequence[Plan]) -> int | float | str:
    """Return the warmup of a schedule that has no ``warmup_steps`` of its own.

    ``--warmup_steps`` does not apply to a schedule without a warmup, unless no schedule of the plot has one: then
    `build` refuses it.
    """
    if given is not None and (plan.has_warmup or not any(each.has_warmup for each in plans)):
        return given
    return default_warmup_steps(plan)


def _refuse_unplottable(parameters: Mapping[str, Any], peak: float | None) -> None:
    """Refuse options of the torch scheduler that a plot cannot show."""
    if "on_extend" in parameters:
        raise StrategyError(
            f"on_extend={parameters['on_extend']!r} is about resumed runs, which a plot does not show: leave it out"
        )
    for key, remedy in (("min_lr", "give min_lr_ratio, or --peak LR too"), ("lr_end", "give --peak LR too")):
        if key in parameters and peak is None:
            raise StrategyError(f"{key}={parameters[key]!r} in a plot of ratios of the peak: {remedy}")


def _refuse_unused(parameters: Mapping[str, Any], plans: Sequence[Plan]) -> None:
    """Refuse parameters for all that none of the schedules takes."""
    known = {key for plan in plans for key in plan.parameters}
    for key in parameters:
        if not any(_takes(plan, key) for plan in plans):
            raise StrategyError(f"--set {key}: no schedule plotted takes it: {did_you_mean(key, known)}")


def _takes(plan: Plan, key: str) -> bool:
    """Return whether a schedule has a parameter; of ours, ``min_lr`` is another way to give ``min_lr_ratio``."""
    own = "min_lr_ratio" if key == "min_lr" and not isinstance(plan, StockPlan) else key
    return own in plan.parameters
