"""The command ``show``: all about one schedule."""

from argparse import ArgumentParser, Namespace

from hf_strategies.cli.command import Command, terminal_width, warnings_as_lines
from hf_strategies.report.lines import fit
from hf_strategies.report.schedules.text import sheet
from hf_strategies.schedules import load_entry_points
from hf_strategies.schedules.stock import find_any_plan

__all__ = ["ShowCommand"]


class ShowCommand(Command):
    """Print a schedule's formula, parameters, values, source and flags."""

    name = "show"
    help = "formula, parameters, values"
    description = "All about a schedule."

    def add_flags(self, parser: ArgumentParser) -> None:
        """Add the name of the schedule."""
        parser.add_argument("name", metavar="NAME", help="name of a schedule")

    def run(self, options: Namespace) -> str:
        """Return the sheet of the schedule."""
        with warnings_as_lines():
            load_entry_points()
        width = terminal_width()
        return fit(sheet(find_any_plan(options.name), width), width)
