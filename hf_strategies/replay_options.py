"""What the command ``replay`` takes: its flags, and lists of values such as ``1..10`` or ``0,0.001``."""

import os
import re
from argparse import ArgumentParser, Namespace

from hf_strategies.errors import StrategyError

__all__ = ["REPLAY", "REPLAY_EXAMPLES", "add_replay_flags", "grid_lists"]

_RANGE = re.compile(r"(\d+)\s*([a-z]*)\.\.(\d+)\s*([a-z]*)")
_COMMA = re.compile(r",(?![^()]*\))")  # not one between parentheses
_LISTS = ("patience", "min_delta", "relative_delta", "z", "smoothing", "start_from")
_LONGEST_RANGE = 1000

REPLAY = """Tell where each setting of early stopping would have stopped past runs of the Trainer, which value it
would have kept, and what share of the optimizer steps it would have saved. Reads the logs that the runs
left; trains nothing. With several runs: means over the runs, and one setting suggested."""
REPLAY_EXAMPLES = """A LIST is values with commas between them, and ranges: 1..10, 1,2,5, 1..4ep, 0,0.001.
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


def add_replay_flags(parser: ArgumentParser) -> None:
    """Add the flags of the command to its parser."""
    add = parser.add_argument
    add("runs", nargs="*", metavar="RUN", help="trainer_state.json, or the folder of a run or checkpoint")
    add("--monitor", default="loss", metavar="METRIC", help="metric watched, or an expression of metrics (loss)")
    add("--mode", metavar="MODE", help="min or max, for a metric whose direction is not known")
    add("--patience", action="append", metavar="LIST", help="evaluations, 500 steps, 2ep, or fractions (1..10)")
    add("--stop_when", nargs="+", action="extend", metavar="CONDITION", help="conditions in place of --patience")
    add("--min_delta", action="append", metavar="LIST", help="least improvements, in the metric's unit (0)")
    add("--relative_delta", action="append", metavar="LIST", help="least improvements, as shares of the best (0)")
    add("--z", action="append", metavar="LIST", help="least improvements, in standard errors of the metric (0)")
    add("--samples", metavar="N", help="evaluation examples, for --z of a proportion such as accuracy")
    add("--smoothing", action="append", metavar="LIST", help="none, ema(WEIGHT), median(N), mean(N) (none)")
    add("--start_from", action="append", metavar="LIST", help="evaluations before these are not looked at (0)")
    add("--secondary", metavar="METRIC", help="another metric to show at the evaluation that is kept")
    add("--tolerance", metavar="SHARE", help="share that a suggested setting may give up (0; 0.01 for several runs)")
    add("--per_run", action="store_true", help="a table for each of several runs too")
    add("--format", metavar="FORMAT", help="text, csv or json (text)")
    add("--output", metavar="FILE", help="write a figure too: .png, .svg or .pdf (needs matplotlib)")


def grid_lists(options: Namespace) -> dict[str, list[str]]:
    """Return the lists that were given, read; patience 1 to 10 if there is neither patience nor a condition."""
    found = {name: _values(name, given) for name in _LISTS if (given := getattr(options, name)) is not None}
    if options.stop_when:
        for text in options.stop_when:
            if os.path.exists(text):
                raise StrategyError(f"--stop_when {text}: runs stand before --stop_when")
        return {"stop_when": _unique(options.stop_when), **found}
    return found if "patience" in found else {"patience": _values("patience", ["1..10"]), **found}


def _values(name: str, texts: list[str]) -> list[str]:
    parts = [part.strip() for text in texts for part in _COMMA.split(text)]
    if not all(parts):
        raise StrategyError(f"--{name} {','.join(texts)}: a value is missing: give a list such as 1,2,5")
    return _unique([value for part in parts for value in (_range(name, part) if ".." in part else [part])])


def _range(name: str, text: str) -> list[str]:
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
