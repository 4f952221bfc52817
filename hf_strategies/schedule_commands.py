"""The commands ``list``, ``show``, ``plot`` and ``flags``: each turns its options into text to print."""

import json
import math
import shutil
import sys
import warnings
from argparse import Namespace
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from hf_strategies.checks import number
from hf_strategies.errors import StrategyError, did_you_mean
from hf_strategies.report.schedule_text import names_and_summaries, overview, sheet, usual_warmup
from hf_strategies.schedules import DECAYS, SCHEDULES, WARMUPS, Plan, Schedule, find_plan, load_entry_points
from hf_strategies.schedules.grid import build

__all__ = ["flags_command", "list_command", "plot_command", "show_command"]

# Steps to check flags against when the length of the training is not given: no length in steps is longer.
_LONG = 1_000_000
_NO_PARAMETERS = {"warmup_steps", "total_steps", "steps_per_epoch", "learning_rate"}


def list_command(options: Namespace) -> str:
    """Tell the names that there are: all in tables, those that match, or nothing but names."""
    _load_contributions()
    if options.pattern is None and not options.names:
        return overview(_terminal_width())
    found = list(SCHEDULES) if options.pattern is None else _matching(options.pattern)
    return "\n".join(found) if options.names else names_and_summaries(found, _terminal_width())


def show_command(options: Namespace) -> str:
    """Tell all there is to know of one schedule."""
    _load_contributions()
    return sheet(find_plan(options.name), _terminal_width())


def plot_command(options: Namespace) -> str:
    """Draw schedules in the terminal, or into a file."""
    from hf_strategies.report.schedule_curves import ScheduleCurves, draw_in_text

    _load_contributions()
    peak = None if options.peak is None else _positive("peak", options.peak)
    curves = ScheduleCurves(_schedules(options), peak, _epoch(options))
    if options.output is None:
        usual = min(_terminal_width() or 80, 120)
        width = _count("width", options.width, 40, 400, usual)
        height = _count("height", options.height, 5, 200, 17)
        return draw_in_text(curves, width=width, height=height, plain=options.ascii or not _prints("⠿┊"))
    from hf_strategies.report.schedule_figure import draw_schedules

    size = {
        "width": _count("width", options.width, 600, 10_000, 1080),
        "height": _count("height", options.height, 400, 10_000, 660),
    }
    draw_schedules(curves, options.output, **size)
    return f"wrote {options.output}"


def flags_command(options: Namespace) -> str:
    """Tell the TrainingArguments that give a schedule, once it has been built with them."""
    from hf_strategies.report import schedule_flags

    _load_contributions()
    plan, parameters = find_plan(options.name), _assignments(options.set)
    _refuse_misplaced(parameters, options)
    total = _count("total_steps", options.total_steps, 1, None, _LONG)
    # A number, because TrainingArguments knows no epochs here.
    warmup = usual_warmup(plan) if options.warmup_steps is None else number("warmup_steps", options.warmup_steps)
    try:
        build(plan, parameters, total_steps=total, warmup_steps=warmup)
    except StrategyError as mistake:
        if options.total_steps is None and str(_LONG) in str(mistake):
            raise StrategyError(f"{mistake} (checked for {_LONG} steps: give yours with --total_steps)") from None
        raise
    rate = None if options.learning_rate is None else _positive("learning_rate", options.learning_rate)
    write = {"yaml": schedule_flags.as_yaml, "python": schedule_flags.as_python}.get(
        options.form, schedule_flags.as_flags
    )
    return write(plan.name, parameters, warmup_steps=warmup or None, learning_rate=rate)


def _load_contributions() -> None:
    """Load other packages' schedules; what is wrong with one is told in a line."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        load_entry_points()
    for warning in told:
        print(f"warning: {' '.join(str(warning.message).split())}", file=sys.stderr)


def _matching(pattern: str) -> list[str]:
    wanted = pattern.lower()
    if any(sign in wanted for sign in "*?["):
        found = [name for name in SCHEDULES if fnmatchcase(name, wanted)]
    else:
        found = [name for name in SCHEDULES if wanted in name]
    if not found:
        raise StrategyError(
            f"no schedule's name matches {pattern!r}: {did_you_mean(wanted, {*SCHEDULES, *WARMUPS, *DECAYS})}"
        )
    return found


def _schedules(options: Namespace) -> dict[str, Schedule]:
    """Build the schedules to plot by their labels, from the parameters for all and those for each."""
    from hf_strategies.report.text_plot import MOST_CURVES

    shared = _assignments(options.set)
    names = list(dict.fromkeys(options.names))
    if not names:
        raise StrategyError("NAME is missing: see hf-strategies plot --help")
    if len(names) > MOST_CURVES:
        raise StrategyError(f"{len(names)} schedules are too many for one plot: give at most {MOST_CURVES} names")
    named = [_name_and_own(text) for text in names]
    plans = [find_plan(name) for name, _own in named]
    _refuse_misplaced(shared, options)
    _refuse_unused(shared, plans)
    total = _count("total_steps", options.total_steps, 1, None, 1000)
    built = {}
    for text, plan, (_name, own) in zip(names, plans, named, strict=True):
        given = {key: value for key, value in shared.items() if key in plan.parameters} | own
        # A warmup for all passes those by that take none, unless none of them takes one.
        for_all = options.warmup_steps if plan.has_warmup or not any(one.has_warmup for one in plans) else None
        warmup = given.pop("warmup_steps", for_all)
        warmup = usual_warmup(plan) if warmup is None else warmup
        built[text] = build(plan, given, total_steps=total, warmup_steps=warmup, steps_per_epoch=_epoch(options))
    return built


def _name_and_own(text: str) -> tuple[str, dict[str, Any]]:
    """Read ``NAME`` or ``NAME:key=value,key=value``, where a value may be JSON with commas in it."""
    name, _, rest = text.partition(":")
    own: dict[str, Any] = {}
    while rest:
        key, equals, rest = rest.partition("=")
        if not key or not equals:
            raise StrategyError(f"{text!r} has {key!r} without a value: give NAME:key=value,key=value")
        own[key], rest = _leading_value(rest)
    return name, own


def _leading_value(text: str) -> tuple[Any, str]:
    """Read the value that ``text`` begins with, JSON or else words up to a comma; return what follows it too."""
    try:
        value, end = json.JSONDecoder().raw_decode(text)
    except ValueError:
        end = -1
    if end < 0 or text[end : end + 1] not in ("", ","):
        word, _, rest = text.partition(",")
        return word, rest
    return value, text[end + 1 :]


def _assignments(texts: Iterable[str]) -> dict[str, Any]:
    """Read ``key=value`` texts; a value is JSON if it can be read as such, else text."""
    found: dict[str, Any] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not key or not equals:
            raise StrategyError(f"--set {text}: give KEY=VALUE, such as min_lr_ratio=0.1; names stand before --set")
        try:
            found[key] = json.loads(value)
        except ValueError:
            found[key] = value
    return found


def _refuse_misplaced(parameters: Mapping[str, Any], options: Namespace) -> None:
    for key in parameters:
        if key in _NO_PARAMETERS and key in vars(options):
            raise StrategyError(f"--set {key}={parameters[key]}: {key} is no parameter of a curve: give --{key}")


def _refuse_unused(parameters: Mapping[str, Any], plans: Sequence[Plan]) -> None:
    known = {key for plan in plans for key in plan.parameters}
    for key in parameters:
        if key not in known:
            raise StrategyError(f"--set {key}: no schedule plotted takes it: {did_you_mean(key, known)}")


def _count(name: str, given: str | None, low: int, high: int | None, usual: int) -> int:
    if given is None:
        return usual
    try:
        count = int(given)
    except ValueError:
        raise StrategyError(f"--{name} {given}: give an integer") from None
    if count < low or (high is not None and count > high):
        raise StrategyError(f"--{name} {given}: give {f'at least {low}' if high is None else f'{low} to {high}'}")
    return count


def _epoch(options: Namespace) -> float | None:
    return None if options.steps_per_epoch is None else _positive("steps_per_epoch", options.steps_per_epoch)


def _positive(name: str, given: str) -> float:
    value = float(number(f"--{name}", given))
    if not 0.0 < value < math.inf:
        raise StrategyError(f"--{name}={given!r} is out of range: give a number above 0")
    return value


def _terminal_width() -> int | None:
    """Return the columns of the terminal; None when the text goes elsewhere, where lines are not to be broken."""
    return max(40, shutil.get_terminal_size().columns) if sys.stdout.isatty() else None


def _prints(signs: str) -> bool:
    try:
        signs.encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return False
    return True
