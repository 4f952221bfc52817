"""The command ``flags``: the TrainingArguments that select a schedule."""

from argparse import ArgumentParser, Namespace
from collections.abc import Mapping
from typing import Any

from hf_strategies.cli.command import Command, terminal_width, warnings_as_lines
from hf_strategies.cli.schedule_parameters import (
    assignments,
    count,
    curve_parameters,
    positive,
    refuse_misplaced,
    steps_per_epoch,
)
from hf_strategies.errors import StrategyError
from hf_strategies.lengths import to_steps
from hf_strategies.report.schedules.flags import Usage, as_flags, as_python, as_yaml, is_triggered
from hf_strategies.schedules import Plan, load_entry_points
from hf_strategies.schedules.schedule import build, default_warmup_steps
from hf_strategies.schedules.stock import StockPlan, find_any_plan
from hf_strategies.values import number

__all__ = ["FlagsCommand"]

# The length of the training that parameters are checked against when none is given: any length in steps fits in.
_LONG = 1_000_000


class FlagsCommand(Command):
    """Print the TrainingArguments that select a schedule, after a trial build of the schedule."""

    name = "flags"
    help = "TrainingArguments to paste"
    description = "How to use a schedule."

    def add_flags(self, parser: ArgumentParser) -> None:
        """Add the name, the parameters, the lengths, and the form of the output."""
        add = parser.add_argument
        add("name", metavar="NAME", help="name of a schedule")
        add("--warmup_steps", metavar="W", help="steps, or a fraction of the training (0.1, or the schedule's own)")
        add("--learning_rate", metavar="LR", help="peak learning rate")
        add(
            "--set", nargs="+", action="extend", default=[], metavar="KEY=VALUE", help="parameters, min_lr, on_extend"
        )
        add("--monitor", metavar="METRIC", help="of a schedule with plateau_cooldown: its trigger (loss)")
        add("--total_steps", metavar="N", help="steps of the training, to check lengths against")
        add("--steps_per_epoch", metavar="N", help="steps of an epoch: allows lengths such as 2ep")
        forms = parser.add_mutually_exclusive_group()
        forms.add_argument("--yaml", dest="form", action="store_const", const="yaml", help="YAML lines instead")
        forms.add_argument(
            "--python", dest="form", action="store_const", const="python", help="a Python call instead"
        )

    def run(self, options: Namespace) -> str:
        """Return the arguments as flags, YAML lines or a Python call."""
        with warnings_as_lines():
            load_entry_points()
        rate, parameters = positive("learning_rate", options.learning_rate), assignments(options.set)
        plan = find_any_plan(options.name, rate)
        refuse_misplaced(parameters, options)
        warmup = _checked_warmup(plan, curve_parameters(plan, parameters, rate), options)
        # transformers' own schedules take no length in epochs.
        if (epoch := steps_per_epoch(options)) is not None and not isinstance(plan, StockPlan):
            parameters["steps_per_epoch"] = int(epoch) if epoch.is_integer() else epoch
        usage = Usage(plan, parameters, warmup or None, rate, _monitor(plan, options.monitor))
        width = terminal_width()
        if options.form == "python":
            return as_python(usage, width)
        text = as_yaml(usage, width) if options.form == "yaml" else as_flags(usage, width)
        return "\n".join([text, *usage.notes])


def _monitor(plan: Plan, given: str | None) -> str:
    """Return the metric that starts the cooldown; refuse one for a schedule that no metric changes."""
    if given is not None and not is_triggered(plan):
        raise StrategyError(
            f"--monitor {given} with {plan.name!r}, which follows no metric: leave it out, or take a schedule such as"
            " 'linear_warmup_plateau_cooldown'"
        )
    return "loss" if given is None else given


def _checked_warmup(plan: Plan, parameters: Mapping[str, Any], options: Namespace) -> int | float:
    """Return the warmup for TrainingArguments, after building the schedule to check all lengths and parameters."""
    total, epoch = count("total_steps", options.total_steps, 1, None, _LONG), steps_per_epoch(options)
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
    """Return the warmup as a number, because ``warmup_steps`` of TrainingArguments cannot be given in epochs."""
    if given is None:
        return default_warmup_steps(plan)
    if given.endswith("ep"):
        return to_steps("warmup_steps", given, total_steps=total, steps_per_epoch=epoch)
    return number("warmup_steps", given)
