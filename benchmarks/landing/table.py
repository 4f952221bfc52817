"""The report of the landing study: tables of the arms, the settings and the keep rules, and the figure."""

from argparse import Namespace
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.landing.arms import ARMS, BASELINE, KEEP_RULES, Arm
from benchmarks.landing.bootstrap import Difference, Draws
from benchmarks.landing.choose import HeldOut, Outcomes, by_validation, default, held_out, outcomes
from benchmarks.landing.records import RAW, Cell, Rows, read_cells

__all__ = ["Result", "print_report", "results", "write_report"]

NEAR = 0.5
"""Points within which a run is as good as the best of its trajectory."""


@dataclass(frozen=True)
class Result:
    """What is reported of an arm, with its options chosen on other data sets (or its default)."""

    name: str
    outcomes: Outcomes
    difference: Difference
    tasks: Mapping[str, Difference]
    tuned_rate: float
    steps: float
    near: float
    chosen: Mapping[str, Mapping[str, object]]
    inexact: int

    @property
    def worst(self) -> tuple[str, Difference]:
        """The setting in which it loses most, or gains least."""
        return min(self.tasks.items(), key=lambda item: item[1].mean)


def results(cells: Sequence[Cell], rows: Rows) -> list[Result]:
    """Return the result of every arm, held out, and of the defaults of those that have a choice."""
    draws, base = Draws(cells, rows), default(cells, ARMS[BASELINE])
    found = []
    for arm in ARMS.values():
        if len(arm.variants()) > 1:
            found.append(_result(f"{arm.name}, as it is", cells, draws, base, default(cells, arm), {}))
        held = held_out(cells, arm)
        found.append(_result(arm.name, cells, draws, base, held.outcomes, _stable(held, arm)))
    return found


def _stable(held: HeldOut, arm: Arm) -> Mapping[str, Mapping[str, object]]:
    return held.chosen if len(arm.variants()) > 1 else {}


def _result(
    name: str,
    cells: Sequence[Cell],
    draws: Draws,
    base: Outcomes,
    found: Outcomes,
    chosen: Mapping[str, Mapping[str, object]],
) -> Result:
    difference, tasks = draws.differences(found, base)
    steps = np.mean([found[cell.key].steps / base[cell.key].steps for cell in cells])
    near = np.mean([one.best - one.kept.test <= NEAR for one in found.values()])
    inexact = sum(not one.exact for one in found.values())
    tuned = _tuned_rate(cells, base, found)
    return Result(name, found, difference, tasks, tuned, float(steps), float(near), chosen, inexact)


def _tuned_rate(cells: Sequence[Cell], base: Outcomes, found: Outcomes) -> float:
    """Return the mean difference over the tasks, with the rate of each seed chosen by validation for both arms."""
    ours, theirs = by_validation(cells, found), by_validation(cells, base)
    tasks: dict[str, list[float]] = {}
    for name, cell in ours.items():
        gain = found[cell.key].kept.test - base[theirs[name].key].kept.test
        tasks.setdefault(cell.task, []).append(gain)
    return float(np.mean([np.mean(values) for values in tasks.values()]))


# --- text ---------------------------------------------------------------------------------------------------


def write_report(path: Path) -> str:
    """Write the table and the figure beside the records, and return the table."""
    from benchmarks.landing.figure import draw

    cells = read_cells(path)
    rows = Rows(sorted(path.parent.glob(f"{path.stem}_rows*.npz")))
    found = results(cells, rows)
    text = "\n".join([*_head(cells), *_arms(found), *_settings(found), *_choices(found), *_rules(cells)])
    path.with_suffix(".md").write_text(text + "\n", encoding="utf-8")
    draw(cells, found, path.with_suffix(".png"))
    return text


def print_report(args: Namespace) -> None:
    """Write the report on ``args.results`` and print the table."""
    print(write_report(args.results))


def _head(cells: Sequence[Cell]) -> list[str]:
    tasks = sorted({cell.task for cell in cells})
    seeds = sorted({cell.record["seed"] for cell in cells})
    devices = sorted({cell.record["device"] for cell in cells})
    seconds = sum(cell.record["seconds"] for cell in cells)
    return [
        "# Where to land",
        "",
        f"`python -m benchmarks.landing table` wrote this from {len(cells)} cells: {len(tasks)} settings, seeds"
        f" {', '.join(map(str, seeds))}, two peak rates; {seconds / 60:.0f} minutes on {', '.join(devices)}, several"
        " processes at once.",
        "",
    ]


def _arms(found: Sequence[Result]) -> list[str]:
    lines = [
        f"## Against `{BASELINE}`, mean of the settings",
        "",
        'Options chosen on the other data sets only; "as it is" are the defaults. Points of the test metric; the'
        " intervals (95 %) are over seeds and test rows.",
        "",
        "|arm|difference|rate chosen by validation|x its steps|within 0.5 of its best|worst setting|",
        "|-|-|-|-|-|-|",
    ]
    for each in found:
        task, worst = each.worst
        lines.append(
            f"|{each.name}|{each.difference}|{each.tuned_rate:+.2f}|{each.steps:.2f}|{each.near:.0%}|{task} {worst}|"
        )
    inexact = {each.name: each.inexact for each in found if each.inexact}
    note = ", ".join(f"{name} {count}" for name, count in inexact.items())
    return [*lines, "", f"Cooldowns from the nearest start that was trained: {note or 'none'}.", ""]


def _settings(found: Sequence[Result]) -> list[str]:
    base = next(each for each in found if each.name == BASELINE)
    shown = [each for each in found if each.name != BASELINE]
    lines = [
        "## By setting",
        "",
        f"|setting|`{BASELINE}`|{'|'.join(each.name for each in shown)}|",
        f"|-|-|{'-|' * len(shown)}",
    ]
    for task in base.tasks:
        mean = np.mean([one.kept.test for key, one in base.outcomes.items() if key.startswith(f"{task}/")])
        lines.append(f"|{task}|{mean:.1f}|{'|'.join(f'{each.tasks[task].mean:+.1f}' for each in shown)}|")
    return [*lines, ""]


def _choices(found: Sequence[Result]) -> list[str]:
    lines = ["## What was chosen, by the data set that was left out", ""]
    for each in found:
        for data, options in each.chosen.items():
            text = ", ".join(f"{name} {value}" for name, value in options.items())
            lines.append(f"- {each.name}, {data}: {text}")
    return [*lines, ""]


def _rules(cells: Sequence[Cell]) -> list[str]:
    """Compare the keep rules on the same cooldowns, those of the default trigger."""
    lines = [
        "## Which weights are kept: the same cooldowns, half of the steps, default trigger",
        "",
        "|rule|test, mean of the settings|below the better of best and end|at most|",
        "|-|-|-|-|",
    ]
    arm = ARMS["cooldown"]
    by_rule = {
        rule: outcomes(cells, arm, {"watch": RAW, "trigger": (2, 2), "length": 0.5, "keep": rule})
        for rule in KEEP_RULES
    }
    better = {
        cell.key: max(by_rule["best"][cell.key].kept.test, by_rule["end"][cell.key].kept.test) for cell in cells
    }
    tasks = sorted({cell.task for cell in cells})
    for rule, found in by_rule.items():
        regret = {cell.key: better[cell.key] - found[cell.key].kept.test for cell in cells}
        means = [np.mean([found[c.key].kept.test for c in cells if c.task == task]) for task in tasks]
        regrets = [np.mean([regret[c.key] for c in cells if c.task == task]) for task in tasks]
        lines.append(f"|{rule}|{np.mean(means):.2f}|{np.mean(regrets):.2f}|{max(regret.values()):.1f}|")
    return lines
