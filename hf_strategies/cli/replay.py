"""The command ``replay``: what settings of early stopping would have done to past runs."""

import os
import re
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from hf_strategies.cli.command import Command, terminal_width
from hf_strategies.cli.run_folders import read_runs
from hf_strategies.errors import StrategyError, did_you_mean
from hf_strategies.stopping.metric import Metric, direction
from hf_strategies.stopping.replay.runs import PastRun, refuse_missing, replay
from hf_strategies.stopping.replay.settings import grid
from hf_strategies.stopping.replay.summary import suggest, summarise
from hf_strategies.stopping.settings import RULE_SETTINGS

if TYPE_CHECKING:
    from hf_strategies.report.replay.report import ReplayReport

__all__ = ["ReplayCommand"]

_RANGE = re.compile(r"([0-9]{1,12})\s*([a-z]*)\.\.([0-9]{1,12})\s*([a-z]*)")
_COMMA_OR_PARENTHESIS = re.compile(r"[,()]")
_LIST_FLAGS = ("patience", "min_delta", "relative_delta", "z", "smoothing", "start_from")
_LONGEST_RANGE = 1000
_FORMATS = ("text", "csv", "json")

_DESCRIPTION = """\
Tell where each setting of early stopping would have stopped past runs of the Trainer, which value it
would have kept, and what share of the optimizer steps it would have saved. Reads the logs that the runs
left; trains nothing. With several runs: means over the runs, and one setting suggested."""
_EXAMPLES = """\
A LIST is values with commas between them, and ranges: 1..10, 1,2,5, 1..4ep, 0,0.001.
Every combination of all lists is one setting.

Columns: stop, the evaluation at which training would have stopped; kept, the watched metric at the best
evaluation up to there, whose weights are restored; regret, its distance from the best of the whole run;
given up, the regret as a share of what the run gained after its first evaluation,
min(1, |kept - best| / |first - best|); saved, the share of the run's steps that were not needed.
A run that ended before its planned steps is known only up to there: a setting that would have gone on
"ran on", counts as saving nothing, and keeps the best of what is recorded.

Suggested is the setting that saves most among those whose mean "given up", plus its standard error over
runs, is at most --tolerance; with one run, 0: the cheapest setting that keeps the run's best value.

examples:
  hf-strategies replay runs/demo --monitor accuracy
  hf-strategies replay runs/seed_*/trainer_state.json --patience 1..10 --min_delta 0,0.001 --output replay.png
  hf-strategies replay runs/* --monitor loss --secondary accuracy --smoothing "none,ema(0.3),median(3)"
  hf-strategies replay runs/demo --stop_when "generalisation_loss(5)" "patience(3) or target(0.9)"
"""


def _help(setting: str) -> str:
    return RULE_SETTINGS[setting].help


class ReplayCommand(Command):
    """Print what each setting of early stopping would have done to the runs given."""

    name = "replay"
    help = "stop settings on past runs"
    description = _DESCRIPTION
    examples = _EXAMPLES
    list_argument = "runs"

    def add_flags(self, parser: ArgumentParser) -> None:
        """Add the runs, the lists of settings, and the form of the output."""
        add = parser.add_argument
        add("runs", nargs="*", metavar="RUN", help="trainer_state.json, or the folder of a run or checkpoint")
        add("--monitor", default="loss", metavar="METRIC", help=_help("monitor"))
        add("--mode", metavar="MODE", help=_help("mode"))
        add("--patience", action="append", metavar="LIST", help=f"{_help('patience')} (1..10)")
        add("--stop_when", nargs="+", action="extend", metavar="CONDITION", help=_help("stop_when"))
        for name in ("min_delta", "relative_delta", "z"):
            add(f"--{name}", action="append", metavar="LIST", help=f"{_help(name)} (0)")
        add("--samples", metavar="N", help=_help("samples"))
        add("--smoothing", action="append", metavar="LIST", help=f"{_help('smoothing')}; 'none' is the default")
        add("--start_from", action="append", metavar="LIST", help=f"{_help('start_from')} (0)")
        add("--secondary", metavar="METRIC", help="another metric to show at the evaluation that is kept")
        add(
            "--tolerance",
            metavar="SHARE",
            help="share that a suggested setting may give up (0; 0.01 for several runs)",
        )
        add("--per_run", action="store_true", help="a table for each of several runs too")
        add("--format", metavar="FORMAT", help="text, csv or json (text)")
        add("--output", metavar="FILE", help="write a figure too: .png, .svg or .pdf (needs matplotlib)")

    def run(self, options: Namespace) -> str:
        """Return the table, or the outcomes as CSV or JSON; write the figure if one is asked for."""
        from hf_strategies.report.replay.report import as_csv, as_json
        from hf_strategies.report.replay.table import as_text

        if options.format is not None and options.format not in _FORMATS:
            raise StrategyError(f"--format {options.format} is unknown: {did_you_mean(options.format, _FORMATS)}")
        report = _report(options)
        if options.output is not None:
            from hf_strategies.report.replay.figure import draw_replay

            draw_replay(report, options.output)
        if options.format in (None, "text"):
            wrote = f"\n\nwrote {options.output}" if options.output is not None else ""
            per_run = options.per_run or len(report.runs) == 1
            return as_text(report, per_run=per_run, width=terminal_width()) + wrote
        return as_csv(report) if options.format == "csv" else as_json(report)


def _report(options: Namespace) -> "ReplayReport":
    """Read the runs, and replay them with every setting of the grid."""
    from hf_strategies.report.replay.report import ReplayReport

    lists = _lists(options)
    if not options.runs:
        raise StrategyError("RUN is missing: see hf-strategies replay --help")
    runs = read_runs(options.runs)
    settings = grid(options.monitor, _mode(options, runs), samples=options.samples, **lists)
    outcomes = replay(runs, settings, secondary=options.secondary)
    summaries = summarise(outcomes)
    suggestion = suggest(summaries, options.tolerance)
    return ReplayReport(runs, settings, outcomes, summaries, suggestion, options.secondary)


def _mode(options: Namespace, runs: Sequence[PastRun]) -> str:
    """Return the direction of the metric, after a check of its name: an unknown metric has no known direction."""
    metric = Metric.read(options.monitor)
    for run in runs:
        refuse_missing(run, metric)
    try:
        return direction(options.monitor, options.mode)
    except StrategyError as mistake:
        raise StrategyError(f"{mistake} (--mode min, or --mode max)") from None


def _lists(options: Namespace) -> dict[str, list[str]]:
    """Return the values of each list that was given; patience 1 to 10 if neither patience nor a condition was."""
    lists = {name: _values(name, given) for name in _LIST_FLAGS if (given := getattr(options, name)) is not None}
    if options.stop_when:
        for text in options.stop_when:
            if os.path.exists(text):
                raise StrategyError(f"--stop_when {text}: runs stand before --stop_when")
        return {"stop_when": _unique(options.stop_when), **lists}
    return lists if "patience" in lists else {"patience": _values("patience", ["1..10"]), **lists}


def _values(name: str, texts: list[str]) -> list[str]:
    """Split the texts of a flag into values, with each range written out."""
    parts = [part.strip() for text in texts for part in _split(text)]
    if not all(parts):
        raise StrategyError(f"--{name} {','.join(texts)}: a value is missing: give a list such as 1,2,5")
    return _unique([value for part in parts for value in (_range(name, part) if ".." in part else [part])])


def _split(text: str) -> list[str]:
    """Split a list at the commas that are not between parentheses.

    >>> _split("none,ema(0.3),1")
    ['none', 'ema(0.3)', '1']
    """
    ends, depth = [-1], 0
    for found in _COMMA_OR_PARENTHESIS.finditer(text):
        depth += {"(": 1, ")": -1}.get(found[0], 0)
        if found[0] == "," and depth <= 0:
            ends.append(found.start())
    return [text[before + 1 : end] for before, end in pairwise([*ends, len(text)])]


def _range(name: str, text: str) -> list[str]:
    """Return the values of a range, each with its unit.

    >>> _range("patience", "1..3ep")
    ['1ep', '2ep', '3ep']
    """
    match = _RANGE.fullmatch(text)
    if not match or (match[2] and match[2] != match[4]):
        raise StrategyError(f"--{name} {text} is no range: give whole numbers such as 1..10 or 1..4ep, or each value")
    low, high = int(match[1]), int(match[3])
    if not low <= high < low + _LONGEST_RANGE:
        raise StrategyError(
            f"--{name} {text} is no range: give the lower end first, and at most {_LONGEST_RANGE} values"
        )
    unit = f" {match[4]}" if match[4].startswith(("step", "eval")) else match[4]
    return [f"{value}{unit}" for value in range(low, high + 1)]


def _unique(values: list[str]) -> list[str]:
    return list(dict.fromkeys(values))
