"""What the package itself costs: its commands, its import, a call of a schedule, a callback at each optimizer step.

    python -m benchmarks.schedules                       # commands, schedules and callbacks of this checkout
    python -m benchmarks.schedules --beside ../older     # import, command line and callbacks of two checkouts

Each round goes through everything that is compared in turn, so that other work on the machine hits all of it alike.
The commands run as whole processes, beside a Python that does nothing and one that loads torch.
"""

import os
import platform
from argparse import ArgumentParser, Namespace
from pathlib import Path

from benchmarks import CHECKOUT
from benchmarks.schedules import beside, callbacks, commands, steps
from benchmarks.schedules.table import goal_table

STALLED = 4  # evaluations; at the first the metric is at its best, and the patience of the callbacks is 3


def machine() -> str:
    """Return what the numbers were taken on."""
    load = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    return f"{platform.platform()}, {os.cpu_count()} CPUs{load}, Python {platform.python_version()}"


def read_arguments() -> Namespace:
    """Read the command line."""
    parser = ArgumentParser(
        prog="python -m benchmarks.schedules", description="Time the commands, the schedules and the callbacks."
    )
    parser.add_argument("--runs", type=int, default=15, help="runs of each command (15)")
    parser.add_argument("--rounds", type=int, default=5, help="trainings with each callback (5)")
    parser.add_argument("--steps", type=int, default=2000, help="of a training, until the metric has stalled (2000)")
    parser.add_argument("--every", type=int, default=200, help="steps between two evaluations (200)")
    parser.add_argument("--beside", type=Path, metavar="CHECKOUT", help="measure this older checkout, too")
    args = parser.parse_args()
    if mistake := _mistake(args):
        parser.error(mistake)
    return args


def _mistake(args: Namespace) -> str | None:
    for name in ("runs", "rounds", "every"):
        if getattr(args, name) < 1:
            return f"--{name} {getattr(args, name)}: give at least 1"
    if args.steps % args.every or args.steps < STALLED * args.every:
        return f"--steps {args.steps}: give a multiple of --every, {STALLED * args.every} or more"
    if args.beside and not (args.beside / "hf_strategies" / "__init__.py").is_file():
        return f"--beside {args.beside}: give a checkout of this project; no hf_strategies/__init__.py is there"
    return None


def report_here(args: Namespace) -> None:
    """Measure this checkout, and print three tables."""
    title = f"Whole processes, seconds, {args.runs} runs each"
    times = commands.time_commands(args.runs)
    print(goal_table(title, times, commands.GOAL, lambda name: name.startswith("hf-strategies")))
    title = (
        f"\nmultiplier(step), microseconds, {steps.REPEATS} x {steps.CALLS} calls,"
        f" warmup {steps.WARMUP} of {steps.TOTAL} steps"
    )
    print(goal_table(title, steps.time_steps(), steps.GOAL, lambda name: name in steps.SCHEDULES))
    (rounds,) = callbacks.measure([CHECKOUT], args.rounds, args.steps, args.every)
    print(f"\nCallbacks, microseconds, median (least to most) of {_trainings(args)}\n\n{callbacks.table(rounds)}")


def report_beside(args: Namespace) -> None:
    """Measure this checkout and another one in turns, and print one table."""
    checkouts = [CHECKOUT, args.beside.resolve()]
    here, other = beside.measure(checkouts, args.runs, args.rounds, args.steps, args.every)
    print(f"{args.runs} runs of each process, {_trainings(args)}\n\n{beside.table(here, other)}")


def _trainings(args: Namespace) -> str:
    return f"{args.rounds} rounds of {args.steps} steps, an evaluation every {args.every}"


def main() -> None:
    """Measure and print."""
    args = read_arguments()
    print(machine(), end="\n\n")
    if args.beside:
        report_beside(args)
    else:
        report_here(args)


if __name__ == "__main__":
    main()
