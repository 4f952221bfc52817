"""The command ``search``: the flags of a recipe that are best on a task, by Optuna, on one machine or several."""

import os
from argparse import ArgumentParser, Namespace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from hf_strategies.cli.command import Command, known_recipe, terminal_width
from hf_strategies.cli.schedule_parameters import count
from hf_strategies.errors import StrategyError, did_you_mean

if TYPE_CHECKING:
    from hf_strategies.search.worker import Search

__all__ = ["SearchCommand"]

_SAMPLERS = ("tpe", "random")
_DESCRIPTION = """\
Search flags, schedules by name with their parameters, and strategies of a recipe. Each trial is a run of the recipe
in a folder of its own, ranked by the validation set and the weights that it keeps. The same command on several
machines, or again after an interruption, works on the same search."""
_EXAMPLES = """examples:
  hf-strategies search task.yaml --space space.yaml --trials 30
  hf-strategies search task.yaml --space space.yaml --trials 30 --storage sqlite:///search.db --jobs 2
  hf-strategies search task.yaml --space space.yaml --objective f1 --prune 'patience(3)'

task.yaml has the line recipe: NAME and the flags that all trials share. A row of space.yaml:
  learning_rate: {float: [1e-5, 1e-3], log: true}"""


class SearchCommand(Command):
    """Check everything, run trials until all have ended, and show what was found."""

    name = "search"
    help = "best flags of a recipe, by Optuna"
    description = _DESCRIPTION
    examples = _EXAMPLES

    def add_flags(self, parser: ArgumentParser) -> None:
        """Add the files, the objective, the study and the workers."""
        add = parser.add_argument
        add("task", metavar="TASK_CONFIG", help="YAML file: recipe: NAME, and flags of the recipe")
        add("--space", metavar="FILE", help="YAML file: what is searched, a row for each flag")
        add("--trials", metavar="N", help="trials in all, of all workers together (30)")
        add("--recipe", metavar="NAME", help="the recipe, in place of the one in the file")
        add("--objective", metavar="METRIC", help="of the validation set (what the task watches, or loss)")
        add("--mode", metavar="min|max", help="whether lower or higher is better (known for common metrics)")
        add("--prune", metavar="WHEN", default="none", help="a criterion such as 'patience(3)', or median (none)")
        add("--storage", metavar="URL", help="data base of the study (sqlite in the output folder)")
        add("--study", metavar="NAME", help="name of the study (that of TASK_CONFIG)")
        add("--jobs", metavar="N", help="trials at a time on this machine (1)")
        add("--sampler", metavar="NAME", default="tpe", help="tpe or random (tpe)")
        add("--seed", metavar="N", help="seed of the sampler (none)")
        add("--heartbeat", metavar="SECONDS", help="between signs of life; dead after twice as long (60)")
        add("--output_dir", metavar="DIR", help="folder of the trials and the result (runs/search-STUDY)")

    def run(self, options: Namespace) -> str:
        """Check the search, run the workers of this machine, and return the text about the result."""
        from hf_strategies.search.run import check_search, run_workers

        search, jobs = _read(options), count("jobs", options.jobs, 1, 1024, 1)
        check_search(search)
        search.folder.parent.mkdir(parents=True, exist_ok=True)
        search.open()  # in the main thread first: the tables are made once
        run_workers(search, jobs)
        return _result(search)


def _read(options: Namespace) -> "Search":
    """Read the files and flags, and refuse mistakes that show without the recipe."""
    from hf_strategies.search.pruning import read_pruning
    from hf_strategies.search.space import read_space
    from hf_strategies.search.study import Plan, require_optuna
    from hf_strategies.search.task import read_task
    from hf_strategies.search.worker import Search

    if options.space is None:
        raise StrategyError("--space is missing: give a YAML file with what is searched")
    if options.sampler not in _SAMPLERS:
        raise StrategyError(f"--sampler {options.sampler}: {did_you_mean(options.sampler, _SAMPLERS)}")
    task = read_task(options.task, options.recipe, options.objective, options.mode)
    known_recipe(task.recipe)
    space = read_space(options.space, task.schedule)
    pruning = read_pruning(options.prune, task.objective, task.mode)
    require_optuna()
    pruning.make_pruner()
    jobs = count("jobs", options.jobs, 1, 1024, 1)
    name = options.study or Path(options.task).stem
    folder = Path(options.output_dir or Path("runs", f"search-{name}"))
    plan = Plan(
        options.storage or f"sqlite:///{folder / 'search.db'}",
        name,
        count("trials", options.trials, 1, None, 30),
        options.sampler,
        None if options.seed is None else count("seed", options.seed, 0, None, 0),
        count("heartbeat", options.heartbeat, 1, None, 60),
    )
    threads = None if jobs == 1 else max(1, (os.cpu_count() or 1) // jobs)
    return Search(task, space, plan, options.prune, pruning, folder / "trials", threads)


def _result(search: "Search") -> str:
    from hf_strategies.search.figure import draw_search
    from hf_strategies.search.result import result_of, result_text, write_best

    result = result_of(search, search.open())
    best = write_best(search, result)
    text = result_text(search, result, best, terminal_width())
    if find_spec("matplotlib") is None:
        return f"{text}\n\nno figure, because matplotlib is not installed: pip install 'hf-strategies[plots]'"
    figure = best.with_name("search.png")
    draw_search(result, search.space, figure)
    return f"{text}\n\nwrote {best} and {figure}"
