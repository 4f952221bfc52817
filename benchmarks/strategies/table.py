"""From the records of the benchmark of strategies to a table, a verdict on the goals, and a figure.

What a user would do is done for each seed: of all runs that belong to a way of training (its learning rates, and
of a sweep its budgets) the one with the best validation metric is chosen, and its test metric counts. The cost is
the optimizer steps of all of them.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import mean, stdev

from benchmarks.strategies.results import Record
from benchmarks.strategies.strategies import BUDGETS, STRATEGIES, SWEEPS
from benchmarks.strategies.tasks import TASKS, Task

SWEEP = "linear sweep"
STOPPED = "linear_stop"
"""What ours has to beat: the linear schedule with transformers' EarlyStoppingCallback."""

SHARE = 1 / 3
GAIN = 1.0  # points


@dataclass(frozen=True)
class Choice:
    """What a way of training came to in one seed: the chosen run, and the steps of all runs it was chosen from."""

    test: float
    steps: int
    cost: int
    strategy: str


Ways = dict[str, dict[int, Choice]]
"""The choices by the name of the way of training and by seed."""


def choose(records: Sequence[Record], *, best: bool = False) -> Choice:
    """Choose the record with the best validation metric, of equal ones that of fewest steps.

    ``best`` takes the weights of a schedule's best evaluation in place of its last ones.
    """

    def validation(record: Record) -> float:
        value = record.validation_best if best else record.validation
        return -1e9 if value is None else value

    chosen = max(records, key=lambda record: (validation(record), -record.steps))
    test = chosen.test_best if best and chosen.test_best is not None else chosen.test
    return Choice(test, chosen.steps, sum(record.steps for record in records), chosen.key.strategy)


def ways(task: Task, records: Sequence[Record]) -> Ways:
    """Return all ways of training on a task, with the seeds for which all their runs are there."""
    choices: Ways = {}
    for sweep in SWEEPS:
        members = [f"{sweep}_{epochs}" for epochs in BUDGETS]
        choices[f"{sweep} sweep"] = _by_seed(task, records, members, best=False)
        choices[f"{sweep} sweep, best weights"] = _by_seed(task, records, members, best=True)
    for name in STRATEGIES:
        choices[name] = _by_seed(task, records, [name], best=False)
    return {name: by_seed for name, by_seed in choices.items() if by_seed}


def _by_seed(task: Task, records: Sequence[Record], members: Sequence[str], *, best: bool) -> dict[int, Choice]:
    wanted = {(member, lr) for member in members for lr in task.rates}
    choices = {}
    for seed in sorted({record.key.seed for record in records}):
        runs = [r for r in records if r.key.seed == seed and (r.key.strategy, r.key.lr) in wanted]
        if len(runs) == len(wanted):
            choices[seed] = choose(runs, best=best)
    return choices


def summary(choices: Iterable[Choice]) -> tuple[float, float, float, float]:
    """Return the mean test metric, its standard deviation (0 of one seed), mean steps and mean cost."""
    every = list(choices)
    tests = [choice.test for choice in every]
    spread = stdev(tests) if len(tests) > 1 else 0.0
    return mean(tests), spread, mean(choice.steps for choice in every), mean(choice.cost for choice in every)


@dataclass(frozen=True)
class Comparison:
    """A way of training against another on one task, over the seeds that both have.

    ``gain`` is the mean difference of their test metrics in points, ``error`` its standard error (None of one
    seed, which has none), ``share`` the ratio of their costs.
    """

    gain: float
    error: float | None
    share: float

    @property
    def holds_up(self) -> bool:
        """Whether it is no more than a standard error worse."""
        return self.gain >= -(self.error or 0.0)


def compare(way: Mapping[int, Choice], other: Mapping[int, Choice]) -> Comparison | None:
    """Compare seed by seed, since a seed has the same training set for both; None without a common seed."""
    seeds = sorted(set(way) & set(other))
    if not seeds:
        return None
    gains = [way[seed].test - other[seed].test for seed in seeds]
    error = stdev(gains) / sqrt(len(gains)) if len(gains) > 1 else None
    cost = sum(way[seed].cost for seed in seeds) / sum(other[seed].cost for seed in seeds)
    return Comparison(mean(gains), error, cost)


def best_sweep(task_ways: Ways) -> str | None:
    """Return which of the sweep's two ways, last weights or best ones, has the higher test metric."""
    names = [name for name in (SWEEP, f"{SWEEP}, best weights") if name in task_ways]
    return max(names, key=lambda name: summary(task_ways[name].values())[0], default=None)


def task_table(task: Task, task_ways: Ways) -> str:
    """Return the table of a task in Markdown."""
    sweep = best_sweep(task_ways)
    lines = [
        f"### {task.name}: {task.metric}, to {task.role} on",
        "",
        "|way of training|seeds|test|against the sweep|steps|all steps|of the sweep's|",
        "|-|-|-|-|-|-|-|",
    ]
    for name, choices in task_ways.items():
        value, spread, steps, cost = summary(choices.values())
        against = compare(choices, task_ways[sweep]) if sweep else None
        cells = f"{_gain(against)}|{steps:.0f}|{cost:.0f}|{against.share:.2f}" if against else "|".join("????")
        mark = " (the sweep)" if name == sweep else ""
        lines.append(f"|{name}{mark}|{len(choices)}|{value:.1f} ± {spread:.1f}|{cells}|")
    return "\n".join(lines)


def _gain(comparison: Comparison) -> str:
    error = "" if comparison.error is None else f" ± {comparison.error:.1f}"
    return f"{comparison.gain:+.1f}{error}"


def goals(everything: Mapping[str, Ways]) -> str:
    """Return whether the ways that need no number of epochs meet the two goals: by the tasks' role, and in all."""
    names = [n for n, row in STRATEGIES.items() if not row.is_swept and any(n in w for w in everything.values())]
    lines = [
        "|way of training|tasks to|no worse than the sweep|≤ 1/3 of its steps|goal 1"
        "|over linear_stop|of its steps|goal 2|",
        "|-|-|-|-|-|-|-|-|",
    ]
    for name in names:
        for role in ("choose", "confirm", "all"):
            chosen = [w for task, w in everything.items() if role in ("all", TASKS[task].role) and name in w]
            if chosen:
                lines.append(f"|{name}|{role}|{goal_1(name, chosen)}|{goal_2(name, chosen)}|")
    return "\n".join(lines)


def goal_1(name: str, tasks: Sequence[Ways]) -> str:
    """Return on how many tasks ``name`` is within a standard error of the sweep, and at a third of its cost."""
    compared = [compare(way[name], way[sweep]) for way in tasks if (sweep := best_sweep(way))]
    comparisons = [comparison for comparison in compared if comparison is not None]
    if not comparisons:
        return "-|-|not run"
    good, cheap = [c.holds_up for c in comparisons], [c.share <= SHARE for c in comparisons]
    verdict = "met" if all(good) and all(cheap) else "not met"
    return f"{sum(good)} of {len(comparisons)}|{sum(cheap)} of {len(comparisons)}|{verdict}"


def goal_2(name: str, tasks: Sequence[Ways]) -> str:
    """Return the mean gain of ``name`` over `STOPPED` on ``tasks``, the ratio of their costs, and the verdict."""
    compared = [compare(way[name], way[STOPPED]) for way in tasks if STOPPED in way]
    comparisons = [comparison for comparison in compared if comparison is not None]
    if not comparisons or name == STOPPED:
        return "-|-|-"
    gain, share = mean(c.gain for c in comparisons), mean(c.share for c in comparisons)
    return f"{gain:+.2f}|{share:.2f}|{'met' if gain >= GAIN and share <= 1 else 'not met'}"
