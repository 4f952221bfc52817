"""How often the keep rule of `PlateauCooldown` keeps the truly better weights, on curves whose truth is known.

    python -m benchmarks.keep_rule                      # writes results/keep_rule.md
    python -m benchmarks.keep_rule --runs 100 --output -

A plateau of k evaluations and the end of a cooldown are measured on the same n rows. The true accuracy of the plateau
is 0.75, or wanders around it; that of the end differs from it by a known amount. A measurement adds two normal errors
whose variances add up to p (1 - p) / n: that of the choice of rows, which all evaluations share, and one of its own.
The package's `best_of` decides, with the standard error known from the number of rows, or from the scatter alone. It
is compared with always the end, always the better measured, and the rule before this one: the end, unless it is worse
than the median of the evaluations after the best one.

The regret of a rule is the true accuracy of the better of two candidates, the best measured evaluation of the plateau
and the end, minus that of the one which the rule keeps.
"""

from argparse import ArgumentParser
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks import RESULTS
from hf_strategies.stopping.plateau_cooldown import best_of
from hf_strategies.stopping.rule import StoppingRule

LEVEL = 0.75
ROWS = (128, 500, 2000)
EVALUATIONS = (3, 4, 6, 10)
COMMON = (0.5, 0.8)
WANDERS = (0.0, 0.01)
DIFFERENCES = (0.04, 0.02, 0.0, -0.02, -0.05)


class Setting(NamedTuple):
    """One kind of run: rows, evaluations of the plateau, share of the variance in common, wander, difference."""

    rows: int
    evaluations: int
    common: float
    wander: float
    difference: float


@dataclass(frozen=True)
class Run:
    """The true and the measured accuracies of a plateau, with that of the end as the last."""

    truth: np.ndarray
    measured: np.ndarray
    rows: int

    @property
    def best(self) -> int:
        """The first of the evaluations of the plateau that measured best."""
        return int(np.argmax(self.measured[:-1]))


def runs(setting: Setting, count: int, random: np.random.Generator) -> Iterator[Run]:
    """Yield runs of a setting."""
    k = setting.evaluations
    error = (LEVEL * (1 - LEVEL) / setting.rows) ** 0.5
    for _ in range(count):
        wander = np.append(random.normal(0.0, setting.wander, k), setting.difference)
        truth = LEVEL + wander
        own = random.normal(0.0, error * (1 - setting.common) ** 0.5, k + 1)
        measured = truth + random.normal(0.0, error * setting.common**0.5) + own
        yield Run(truth, np.clip(measured, 0.0, 1.0), setting.rows)


def _keeps_end(run: Run, keeping: str, samples: int | None) -> bool:
    """Whether the package keeps the end: what `PlateauCooldown` asks at the end of the cooldown."""
    rule = StoppingRule.read("accuracy", samples=samples)
    log = [{"eval_accuracy": float(value), "step": step} for step, value in enumerate(run.measured, start=1)]
    last = len(log)
    chosen = best_of(rule, log, last - 1, end=last, keeping=keeping).evaluation
    return chosen is not None and chosen.step == last


def _median_rule(run: Run) -> bool:
    after = run.measured[run.best + 1 : -1]
    return bool(run.measured[-1] >= (np.median(after) if len(after) else run.measured[run.best]))


RULES: dict[str, Callable[[Run], bool]] = {
    "always the end": lambda run: True,
    "always the best": lambda run: _keeps_end(run, "best", None),
    "median of the plateau": _median_rule,
    "noise-aware, standard error": lambda run: _keeps_end(run, "noise_aware", run.rows),
    "noise-aware, scatter": lambda run: _keeps_end(run, "noise_aware", None),
}
"""The rules that are compared; each tells of a run whether the end is kept."""


@dataclass(frozen=True)
class Outcome:
    """What a rule made of runs: how often it kept the truly better candidate, and its regrets, in points."""

    better: tuple[bool, ...]
    regrets: tuple[float, ...]

    @property
    def share(self) -> float:
        """The share of runs with a truly better candidate in which that one was kept; NaN without such runs."""
        return float(np.mean(self.better)) if self.better else float("nan")

    @property
    def regret(self) -> float:
        """The mean regret over all runs, in points."""
        return float(np.mean(self.regrets))


def outcomes(made: Iterable[Run]) -> dict[str, Outcome]:
    """Return what each rule makes of the same runs."""
    better: dict[str, list[bool]] = {name: [] for name in RULES}
    regrets: dict[str, list[float]] = {name: [] for name in RULES}
    for run in made:
        ahead = float(run.truth[-1] - run.truth[run.best])
        for name, keeps_end in RULES.items():
            lost = max(-ahead if keeps_end(run) else ahead, 0.0)
            regrets[name].append(100 * lost)
            if ahead:
                better[name].append(lost == 0.0)
    return {name: Outcome(tuple(better[name]), tuple(regrets[name])) for name in RULES}


def pooled(parts: Iterable[dict[str, Outcome]]) -> dict[str, Outcome]:
    """Return the outcomes of several settings as those of all their runs."""
    every = list(parts)
    return {
        name: Outcome(
            tuple(each for part in every for each in part[name].better),
            tuple(each for part in every for each in part[name].regrets),
        )
        for name in RULES
    }


def measured(count: int, seed: int) -> dict[Setting, dict[str, Outcome]]:
    """Return the outcomes of every setting; each has random numbers of its own."""
    settings = [Setting(*each) for each in product(ROWS, EVALUATIONS, COMMON, WANDERS, DIFFERENCES)]
    return {
        setting: outcomes(runs(setting, count, np.random.default_rng([seed, number])))
        for number, setting in enumerate(settings)
    }


def _line(cells: Iterable[str]) -> str:
    return f"|{'|'.join(cells)}|"


def _cell(outcome: Outcome) -> str:
    share = "none" if np.isnan(outcome.share) else f"{outcome.share:.0%}"
    return f"{share}, {outcome.regret:.2f}"


def table(cells: dict[Setting, dict[str, Outcome]], wander: float) -> str:
    """Return the table of one wander: a row for each number of rows and difference, and the mean of all."""
    here = {setting: outcome for setting, outcome in cells.items() if setting.wander == wander}
    lines = [_line(["rows", "true end - plateau, points", *RULES]), _line(["-"] * (len(RULES) + 2))]
    for rows, difference in product(ROWS, DIFFERENCES):
        of = pooled(o for s, o in here.items() if (s.rows, s.difference) == (rows, difference))
        lines.append(_line([str(rows), f"{100 * difference:+.0f}", *(_cell(of[name]) for name in RULES)]))
    for rows in ROWS:
        of = pooled(o for s, o in here.items() if s.rows == rows)
        lines.append(_line([str(rows), "all", *(f"**{_cell(of[name])}**" for name in RULES)]))
    return "\n".join(lines)


def text_of(cells: dict[Setting, dict[str, Outcome]], count: int) -> str:
    """Return the page with both tables."""
    parts = [
        "# The keep rule on curves whose truth is known",
        "`python -m benchmarks.keep_rule`. A cell has the share of runs in which the truly better weights were kept,"
        f" and the mean regret in points of accuracy; {count} runs for each of {len(EVALUATIONS)} lengths of the"
        f" plateau ({', '.join(map(str, EVALUATIONS))} evaluations) and each of two shares of the error that all"
        f" evaluations have in common ({', '.join(map(str, COMMON))}). True accuracy of the plateau: {LEVEL}.",
    ]
    for wander in WANDERS:
        kind = f"wanders by {100 * wander:.0f} point (standard deviation)" if wander else "is constant"
        parts += [f"## The truth of the plateau {kind}", table(cells, wander)]
    return "\n\n".join(parts) + "\n"


def main() -> None:
    """Simulate, print the tables and write them."""
    parser = ArgumentParser(prog="python -m benchmarks.keep_rule", description="The keep rule, simulated.")
    parser.add_argument("--runs", type=int, default=500, help="of each of the 240 settings (500)")
    parser.add_argument("--seed", type=int, default=0, help="of the random numbers (0)")
    parser.add_argument("--output", default=str(RESULTS / "keep_rule.md"), help="file of the tables, or - for none")
    args = parser.parse_args()
    text = text_of(measured(args.runs, args.seed), args.runs)
    if args.output != "-":
        Path(args.output).parent.mkdir(exist_ok=True)
        Path(args.output).write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
