"""The command ``report``: what runs of the Trainer did, as a table, a figure, and a page."""

from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hf_strategies.cli.command import Command, terminal_width
from hf_strategies.cli.run_folders import read_state, refuse_twins, report_file, state_file
from hf_strategies.errors import StrategyError, announce, visible
from hf_strategies.files import read_json

if TYPE_CHECKING:
    from hf_strategies.report.run.logged_run import LoggedRun

__all__ = ["ReportCommand"]

_WIDTH = 80  # where the output is no terminal

_DESCRIPTION = """\
Show what runs of the Trainer did: best value, steps, cost, why each ended, what in its log is worth another look,
and with several runs the settings that differ. Reads the trainer_state.json of any run, also of one without
this package, or of its newest checkpoint."""
_EXAMPLES = """\
The figure and the page have the learning rate of each group, the losses, every metric with its best, and what
happened: the end of the warmup, plateaus, the cooldown, the start of an average, the stop. The page works without
a network: values under the pointer, zoom, runs and series on and off, a table that sorts.

examples:
  hf-strategies report runs/demo
  hf-strategies report runs/demo --figure demo.png
  hf-strategies report runs/seed_* --monitor accuracy --html seeds.html
"""


class ReportCommand(Command):
    """Print the table of runs, and write their figure and their page."""

    name = "report"
    help = "what runs did: table, figure, page"
    description = _DESCRIPTION
    examples = _EXAMPLES
    list_argument = "runs"

    def add_flags(self, parser: ArgumentParser) -> None:
        """Add the runs, the metric, and the files to write."""
        add = parser.add_argument
        add("runs", nargs="*", metavar="RUN_DIR", help="folder of a run or checkpoint, or a trainer_state.json")
        add("--html", metavar="FILE", help="write a page, .html (needs plotly)")
        add("--figure", metavar="FILE", help="write a figure: .png, .svg or .pdf (needs matplotlib)")
        add("--monitor", metavar="METRIC", help="metric to compare by (what the run watched, or loss)")
        add("--mode", metavar="min|max", help="whether lower or higher is better (known for common metrics)")

    def run(self, options: Namespace) -> str:
        """Check the names of the files, read the runs, write what is asked for, and return the table."""
        from hf_strategies.report.run.summary import summary_text

        if not options.runs:
            raise StrategyError("RUN_DIR is missing: see hf-strategies report --help")
        if options.mode is not None and options.monitor is None:
            raise StrategyError(
                f"--mode {options.mode} has no effect without --monitor: give that too, or leave it out"
            )
        _check_files(options)
        runs = _read(options)
        wrote = _write(runs, options)
        return "\n\n".join([summary_text(runs, terminal_width() or _WIDTH), *wrote])


def _check_files(options: Namespace) -> None:
    """Refuse a name of a file before a long log is read."""
    if options.figure is not None:
        from hf_strategies.report.figure_file import checked_path

        checked_path(options.figure)
    if options.html is not None:
        from hf_strategies.report.run.page import checked_page

        checked_page(options.html)


def _read(options: Namespace) -> "list[LoggedRun]":
    from hf_strategies.report.run.logged_run import LoggedRun

    runs = []
    for path in options.runs:
        file = state_file(path)
        state, settings = read_state(path, file), _settings(report_file(file))
        runs.append(
            LoggedRun.of_state(visible(path), state, monitor=options.monitor, mode=options.mode, settings=settings)
        )
    refuse_twins([run.past for run in runs])
    return runs


def _settings(file: Path) -> dict[str, str] | None:
    """Return the settings in the report that `RunReport` has written for a run; None where there is none."""
    from hf_strategies.report.run.document import settings_of

    if not file.is_file():
        return None
    settings = settings_of(read_json(file))
    if settings is None:
        announce(f"{file} is not read: it is no report of this version of hf_strategies")
    return settings


def _write(runs: "Sequence[LoggedRun]", options: Namespace) -> list[str]:
    """Write the figure and the page that are asked for; return a line for each."""
    if options.figure is not None:
        from hf_strategies.report.run.runs_figure import draw_runs

        draw_runs(runs, options.figure)
    if options.html is not None:
        from hf_strategies.report.run.page import write_page

        write_page(runs, options.html)
    return [f"wrote {file}" for file in (options.figure, options.html) if file is not None]
