"""Is the number of epochs worth choosing? Schedules over many budgets, stopping, and our cooldown, side by side.

    python -m benchmarks.strategies                          # what is missing in results/strategies.csv is run
    python -m benchmarks.strategies --strategies ours --tasks banking77 --seeds 0 1
    python -m benchmarks.strategies --table                  # results/strategies.md and strategies.png

The protocol is in benchmarks/README.md. Each run that ends is one line of the CSV file: interrupt it and start it
again as you like.
"""

import os

# One thread a process: more would change the sums, and two runs side by side use two cores better.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from time import strftime

from benchmarks import RESULTS
from benchmarks.strategies.results import Key, Record, append, unfinished
from benchmarks.strategies.strategies import GROUPS, STRATEGIES
from benchmarks.strategies.tasks import TASKS
from hf_strategies.errors import StrategyError, did_you_mean


def planned(args: Namespace) -> list[Key]:
    """Return the runs that are asked for: a seed goes through all tasks before the next one begins."""
    return [
        Key(task, seed, strategy, lr, TASKS[task].layers(args.layers), args.scale)
        for seed in args.seeds
        for task in args.tasks
        for strategy in args.strategies
        for lr in TASKS[task].rates
    ]


def execute(keys: Sequence[Key], jobs: int, path: Path) -> None:
    """Run what has no record yet, and append its records as they come."""
    keys = unfinished(keys, path)
    for name in dict.fromkeys(key.task for key in keys):
        TASKS[name].check()
    for number, record in enumerate(_records(keys, jobs, path), start=1):
        append(path, record)
        key = record.key
        print(
            f"{strftime('%H:%M:%S')} {number}/{len(keys)} {key.task} seed {key.seed} {key.strategy} {key.lr:g}:"
            f" {record.steps} steps, validation {record.validation:.1f}, test {record.test:.1f},"
            f" {record.seconds:.0f} s",
            flush=True,
        )


def _records(keys: Sequence[Key], jobs: int, path: Path) -> Iterator[Record]:
    from benchmarks.strategies.run import run

    if jobs == 1:
        for key in keys:
            if unfinished([key], path):  # another process may have made it meanwhile
                yield run(key)
        return
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        yield from pool.map(run, keys)


def read_arguments(given: Sequence[str] | None = None) -> Namespace:
    """Read the command line; names of strategies may be those of groups."""
    parser = ArgumentParser(
        prog="python -m benchmarks.strategies", description="Compare strategies on few examples of real tasks."
    )
    parser.add_argument("--tasks", nargs="+", default=list(TASKS), help=f"of {', '.join(TASKS)}")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2], help="0 1 2")
    parser.add_argument(
        "--strategies", nargs="+", default=["baselines", "ours"],
        help=f"of {', '.join([*GROUPS, *STRATEGIES])} (baselines ours)",
    )  # fmt: skip
    parser.add_argument("--layers", type=int, default=3, help="of MiniLM, from the first; it has 6 (3)")
    parser.add_argument("--scale", type=int, default=1, help="so many times the training and validation rows (1)")
    parser.add_argument("--jobs", type=int, default=1, help="runs side by side, one thread each (1)")
    parser.add_argument("--results", type=Path, default=RESULTS / "strategies.csv", help="the CSV file")
    parser.add_argument("--table", action="store_true", help="write the table and the figure, run nothing")
    args = parser.parse_args(given)
    args.strategies = _expanded(args.strategies)
    _check(args)
    return args


def _expanded(names: Sequence[str]) -> list[str]:
    groups = [group for name in names for group in GROUPS.get(name, ())]
    for name in names:
        if name not in GROUPS and name not in STRATEGIES:
            raise StrategyError(f"strategies={name!r} is unknown: {did_you_mean(name, [*GROUPS, *STRATEGIES])}")
    return [name for name, row in STRATEGIES.items() if name in names or row.group in groups]


def _check(args: Namespace) -> None:
    for task in args.tasks:
        if task not in TASKS:
            raise StrategyError(f"tasks={task!r} is unknown: {did_you_mean(task, TASKS)}")
    for name, least, most in (("layers", 1, 6), ("scale", 1, 1000), ("jobs", 1, 1000)):
        if not least <= getattr(args, name) <= most:
            raise StrategyError(f"{name}={getattr(args, name)}: give {least} to {most}")


def main() -> int:
    """Run or tabulate; a user's mistake is one line and exit code 2."""
    try:
        args = read_arguments()
        if args.table:
            from benchmarks.strategies.report import write_report

            print(write_report(args.results, args.layers, args.scale))
        else:
            execute(planned(args), args.jobs, args.results)
    except StrategyError as mistake:
        print(f"benchmarks.strategies: error: {mistake}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
