"""The command ``compare``: which strategy is better on a task, over seeds."""

import os
from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING

from hf_strategies.cli.command import Command, known_recipes, terminal_width
from hf_strategies.errors import StrategyError, did_you_mean, visible

if TYPE_CHECKING:
    from hf_strategies.comparison.summary import Comparison
    from hf_strategies.experiments.plan import Plan
    from hf_strategies.experiments.race import Race
    from hf_strategies.experiments.submission import Resources

__all__ = ["CompareCommand"]

_RESOURCES = {"gpus": "GPUs (0)", "cpus": "cores (1)", "memory": "GB of memory", "minutes": "the longest time (240)"}

_DESCRIPTION = """\
Tell which strategy is better on a task: a recipe is run for each strategy and each seed, and the paired
differences get an interval and a sentence that says what the data support. The first strategy is what the others
are compared with."""
_EXAMPLES = """\
TASK_CONFIG is a YAML file of a recipe's flags, and a strategy one with the flags that differ, or the name of a
preset. The recipe stands in TASK_CONFIG as `recipe: NAME`, or in --recipe.

Each run is a run of the recipe in a folder of its own, OUTPUT/STRATEGY/seed_N. The same command goes on where it
was interrupted; several of them, on one machine or on several with a shared disk, share the runs. Seeds and
strategies may be added later.

examples:
  hf-strategies compare task.yaml --strategies linear.yaml no_epochs --seeds 0..4
  hf-strategies compare task.yaml --strategies linear.yaml no_epochs averaged --jobs 2 --figure compared.png
  hf-strategies compare task.yaml --strategies linear.yaml no_epochs --table
"""


class CompareCommand(Command):
    """Run what a comparison lacks, and print its table and what it says."""

    name = "compare"
    help = "strategies on a task, over seeds"
    description = _DESCRIPTION
    examples = _EXAMPLES

    def add_flags(self, parser: ArgumentParser) -> None:
        """Add the task, the strategies, the seeds, and the files to write."""
        add = parser.add_argument
        add("task", metavar="TASK_CONFIG", help="YAML file of a recipe's flags")
        add("--strategies", nargs="+", default=[], metavar="STRATEGY", help="YAML files, names of presets")
        add("--seeds", default="0..4", metavar="LIST", help="0..4 or 0,1,7 (0..4)")
        add("--folds", metavar="K", help="cross-validation: each of K parts of train_file is the test set once")
        add("--recipe", metavar="NAME", help="recipe of the task, if TASK_CONFIG has no `recipe:` line")
        add("--output_dir", metavar="DIR", help="folder of the comparison (runs/compare_TASK_CONFIG)")
        add("--jobs", default="1", metavar="N", help="runs side by side, which share the cores (1)")
        add("--launcher", metavar="NAME", help="submitit: a job for each run, on SLURM or here (needs submitit)")
        add("--cluster", metavar="NAME", help="of submitit: slurm, local or debug (slurm where there is one)")
        for name, what in _RESOURCES.items():
            add(f"--{name}", metavar="N", help=f"of each job: {what}")
        add("--partition", metavar="NAME", help="of each job: the partition of SLURM")
        add("--metric", metavar="NAME", help="metric of the test set (accuracy, F1, ..., or the loss)")
        add("--mode", metavar="min|max", help="whether lower or higher is better (known for common metrics)")
        add("--worth", metavar="X", help="the difference that is worth finding, in the metric's unit (0.01)")
        add("--race", action="store_true", help="no more seeds for a strategy that has clearly lost")
        add("--table", action="store_true", help="the table of what is done; run nothing")
        add("--figure", metavar="FILE", help="write a figure: .png, .svg or .pdf (needs matplotlib)")

    def run(self, options: Namespace) -> str:
        """Check all that can be checked, run, and return the table."""
        from hf_strategies.report.comparison.text import comparison_data, comparison_text

        plan, jobs = _plan(options), _number("--jobs", options.jobs, 1, 256)
        resources = _resources(options)
        worth = _worth(options.worth)
        _check_figure(options.figure)
        race = _race(plan, options)
        failed = [] if options.table else _run(plan, jobs, resources, race)
        comparison = _comparison(plan, options, worth, race)
        from hf_strategies.files import write_json

        with plan.alone():  # of several processes that end together
            write_json(plan.folder / "comparison_results.json", comparison_data(comparison))
        lines = [comparison_text(comparison, terminal_width()), "", f"wrote {plan.folder}/comparison_results.json"]
        if options.figure is not None:
            from hf_strategies.report.comparison.figure import draw_comparison

            draw_comparison(comparison, options.figure)
            lines.append(f"wrote {options.figure}")
        if failed:
            print("\n".join(map(visible, lines)))
            raise SystemExit(1)
        return "\n".join(lines)


def _plan(options: Namespace) -> "Plan":
    from hf_strategies.experiments.plan import read_plan

    stem = os.path.splitext(os.path.basename(options.task))[0]
    folder = options.output_dir if options.output_dir is not None else os.path.join("runs", f"compare_{stem}")
    if len(options.strategies) < 2:
        raise StrategyError(f"--strategies has {len(options.strategies)} of the two or more that are to be compared")
    recipes = known_recipes()
    return read_plan(
        options.task,
        options.strategies,
        options.seeds,
        recipe=options.recipe,
        folder=folder,
        recipes=recipes,
        folds=None if options.folds is None else _number("--folds", options.folds, 2, 1000),
    )


def _race(plan: "Plan", options: Namespace) -> "Race | None":
    from hf_strategies.experiments.race import Race, is_greater_better

    if not options.race:
        return None
    if options.launcher is not None:
        raise StrategyError("--race with --launcher: all jobs are submitted at once, so give one or the other")
    if options.metric is not None:  # before any run, and not in the midst of them
        is_greater_better(f"test_{options.metric.removeprefix('test_').removeprefix('eval_')}", options.mode)
    return Race(plan, options.metric, options.mode)


def _run(plan: "Plan", jobs: int, resources: "Resources | None", race: "Race | None") -> list[object]:
    from hf_strategies.experiments.runner import Runner, check_flags

    check_flags(plan)
    plan.write()
    if resources is not None:
        from hf_strategies.experiments.submission import submit

        return list(submit(plan, resources))
    return list((Runner(plan, jobs) if race is None else Runner(plan, jobs, needless=race.needless)).run())


def _resources(options: Namespace) -> "Resources | None":
    """Return what jobs ask for; None without a launcher, which then refuses the flags of jobs."""
    from hf_strategies.experiments.submission import CLUSTERS, Resources

    given = {name: getattr(options, name) for name in ("cluster", *_RESOURCES, "partition")}
    given = {name: value for name, value in given.items() if value is not None}
    if options.launcher is None:
        for name in given:
            raise StrategyError(f"--{name} has no effect without --launcher submitit: give that too, or leave it out")
        return None
    if options.launcher != "submitit":
        raise StrategyError(f"--launcher {options.launcher}: {did_you_mean(options.launcher, ['submitit'])}")
    if given.get("cluster", "local") not in CLUSTERS:
        raise StrategyError(f"--cluster {given['cluster']}: {did_you_mean(given['cluster'], CLUSTERS)}")
    numbers = {name: _number(f"--{name}", given[name], 0, 10**6) for name in _RESOURCES if name in given}
    return Resources(**{**given, **numbers})


def _comparison(plan: "Plan", options: Namespace, worth: float | None, race: "Race | None") -> "Comparison":
    from hf_strategies.comparison.race import raced_records
    from hf_strategies.comparison.summary import summarize
    from hf_strategies.experiments.race import is_greater_better
    from hf_strategies.experiments.results import choose_metric, read_records

    metric = choose_metric(plan.runs, options.metric)
    is_greater = is_greater_better(metric, options.mode)
    records = read_records(plan.runs, metric)
    lost = {} if race is None else race.lost(records, metric)
    records = raced_records(records, lost, plan.seeds)
    order = {name: place for place, name in enumerate(plan.strategies)}
    records.sort(key=lambda record: order[record.strategy])
    return summarize(records, metric=metric, greater_is_better=is_greater, worth=worth, raced=lost)


def _number(flag: str, text: str, low: int, high: int) -> int:
    if not text.isdigit() or not low <= int(text) <= high:
        raise StrategyError(f"{flag} {text}: give a number from {low} to {high}")
    return int(text)


def _worth(text: str | None) -> float | None:
    if text is None:
        return None
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise StrategyError(f"--worth {text}: give a difference above 0, such as 0.01")
    return value


def _check_figure(file: str | None) -> None:
    if file is not None:
        from hf_strategies.report.figure_file import checked_path

        checked_path(file)
