"""The command ``criteria``: the stop criteria, or all about one of them."""

from argparse import ArgumentParser, Namespace

from hf_strategies.cli.command import Command, terminal_width
from hf_strategies.errors import StrategyError, did_you_mean
from hf_strategies.report.criteria_text import criteria_overview, criterion_sheet
from hf_strategies.report.lines import fit
from hf_strategies.stopping import CRITERIA

__all__ = ["CriteriaCommand"]


class CriteriaCommand(Command):
    """Print the table of the stop criteria, or the formula and parameters of one."""

    name = "criteria"
    help = "when to stop"
    description = "Stop criteria, or all about one."

    def add_flags(self, parser: ArgumentParser) -> None:
        """Add the name of the criterion."""
        parser.add_argument("name", nargs="?", metavar="NAME", help="name of a criterion")

    def run(self, options: Namespace) -> str:
        """Return the table, or the sheet of one criterion."""
        if options.name is None:
            return fit(criteria_overview(), terminal_width())
        if options.name not in CRITERIA:
            raise StrategyError(f"unknown criterion {options.name!r}: {did_you_mean(options.name, CRITERIA)}")
        width = terminal_width()
        return fit(criterion_sheet(CRITERIA[options.name], width), width)
