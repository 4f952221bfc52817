"""The command ``averages``: the averages of weights, or all about one of them."""

from argparse import ArgumentParser, Namespace

from hf_strategies.averaging import AVERAGES
from hf_strategies.cli.command import Command, terminal_width
from hf_strategies.errors import StrategyError, did_you_mean
from hf_strategies.report.averages_text import average_sheet, averages_overview
from hf_strategies.report.lines import fit

__all__ = ["AveragesCommand"]


class AveragesCommand(Command):
    """Print the table of the averages, or the formula and parameters of one."""

    name = "averages"
    help = "averages of weights"
    description = "Averages of weights, or all about one."

    def add_flags(self, parser: ArgumentParser) -> None:
        """Add the name of the average."""
        parser.add_argument("name", nargs="?", metavar="NAME", help="name of an average")

    def run(self, options: Namespace) -> str:
        """Return the table, or the sheet of one average."""
        if options.name is None:
            return fit(averages_overview(), terminal_width())
        if options.name not in AVERAGES:
            raise StrategyError(f"unknown average {options.name!r}: {did_you_mean(options.name, AVERAGES)}")
        width = terminal_width()
        return fit(average_sheet(AVERAGES[options.name], width), width)
