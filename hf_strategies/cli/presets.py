"""The command ``presets``: the presets, or all about one of them."""

from argparse import ArgumentParser, Namespace

from hf_strategies.cli.command import Command, terminal_width
from hf_strategies.presets import preset
from hf_strategies.report.lines import fit
from hf_strategies.report.presets_text import preset_sheet, presets_overview

__all__ = ["PresetsCommand"]


class PresetsCommand(Command):
    """Print the table of the presets, or the flags and the source of one."""

    name = "presets"
    help = "named bundles of settings"
    description = "Presets, or the flags and the source of one."

    def add_flags(self, parser: ArgumentParser) -> None:
        """Add the name of the preset."""
        parser.add_argument("name", nargs="?", metavar="NAME", help="name of a preset")

    def run(self, options: Namespace) -> str:
        """Return the table, or the sheet of one preset."""
        width = terminal_width()
        text = presets_overview() if options.name is None else preset_sheet(preset(options.name), width)
        return fit(text, width)
