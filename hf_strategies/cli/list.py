"""The command ``list``: the names of the schedules."""

from argparse import ArgumentParser, Namespace
from fnmatch import fnmatchcase

from hf_strategies.cli.command import Command, terminal_width, warnings_as_lines
from hf_strategies.errors import StrategyError, did_you_mean, short
from hf_strategies.report.lines import fit
from hf_strategies.report.schedules.text import names_and_summaries, overview
from hf_strategies.schedules import DECAYS, SCHEDULES, WARMUPS, load_entry_points

__all__ = ["ListCommand"]

_LONGEST = 200  # characters of a pattern; no name is as long


class ListCommand(Command):
    """Print the tables of all schedules, those that match a pattern, or the names alone."""

    name = "list"
    help = "names of schedules"
    description = "Names of schedules."

    def add_flags(self, parser: ArgumentParser) -> None:
        """Add the pattern and ``--names``."""
        parser.add_argument("pattern", nargs="?", metavar="PATTERN", help="part of a name, or such as '*_step_*'")
        parser.add_argument("--names", action="store_true", help="names alone, one on each line")

    def run(self, options: Namespace) -> str:
        """Return the tables or the names."""
        with warnings_as_lines():
            load_entry_points()
        if options.pattern is None and not options.names:
            return fit(overview(), terminal_width())
        names = list(SCHEDULES) if options.pattern is None else _matching(options.pattern)
        return "\n".join(names) if options.names else fit(names_and_summaries(names), terminal_width())


def _matching(pattern: str) -> list[str]:
    """Return the names that contain the pattern or, if it has wildcards, match it as a whole."""
    if not pattern or len(pattern) > _LONGEST:
        raise StrategyError(f"PATTERN={short(pattern)!r} matches no name: give part of a name, or such as '*_step_*'")
    lower = pattern.lower()
    if any(character in lower for character in "*?["):
        names = [name for name in SCHEDULES if fnmatchcase(name, lower)]
    else:
        names = [name for name in SCHEDULES if lower in name]
    if not names:
        raise StrategyError(
            f"no schedule's name matches {pattern!r}: {did_you_mean(lower, {*SCHEDULES, *WARMUPS, *DECAYS})}"
        )
    return names
