"""When should the cooldown start? Every start is tried on the same training, then every criterion is judged by it.

python -m benchmarks.triggers                  # the tasks to choose on -> results/triggers.jsonl
python -m benchmarks.triggers --table          # results/triggers.md and triggers.png
"""

import os

# One thread a process: more would change the sums.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path

from benchmarks import RESULTS
from benchmarks.strategies.tasks import TASKS
from benchmarks.triggers.table import write_report
from hf_strategies.errors import StrategyError, did_you_mean
from hf_strategies.schedules.plateau_cooldown import Cooldown

TO_CHOOSE = tuple(name for name, task in TASKS.items() if task.role == "choose")


def read_arguments() -> Namespace:
    """Read the command line."""
    parser = ArgumentParser(prog="python -m benchmarks.triggers", description="Try every start of the cooldown.")
    parser.add_argument("--tasks", nargs="+", default=list(TO_CHOOSE), help=f"of {', '.join(TASKS)}")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2], help="0 1 2")
    parser.add_argument("--layers", type=int, default=3, help="of MiniLM, from the first; it has 6 (3)")
    parser.add_argument("--epochs", type=int, default=10, help="at the full rate (10)")
    parser.add_argument("--cooldown", type=float, default=0.5, help="its length, a fraction of the steps done (0.5)")
    parser.add_argument("--results", type=Path, default=RESULTS / "triggers.jsonl", help="a line for each training")
    parser.add_argument("--table", action="store_true", help="write the table and the figure, run nothing")
    args = parser.parse_args()
    _check(args)
    return args


def _check(args: Namespace) -> None:
    for task in args.tasks:
        if task not in TASKS:
            raise StrategyError(f"tasks={task!r} is unknown: {did_you_mean(task, TASKS)}")
    for name, most in (("layers", 6), ("epochs", 1000)):
        if not 1 <= getattr(args, name) <= most:
            raise StrategyError(f"{name}={getattr(args, name)}: give 1 to {most}")
    Cooldown.read(args.cooldown, "sqrt", 0.0)


def main() -> int:
    """Run or tabulate; a user's mistake is one line and exit code 2."""
    try:
        args = read_arguments()
        if args.table:
            print(write_report(args.results))
        else:
            from benchmarks.triggers.study import execute  # loads torch

            execute(args)
    except StrategyError as mistake:
        print(f"benchmarks.triggers: error: {mistake}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
