"""Command line of the landing study; `benchmarks.landing.study` says what it runs."""

import argparse
from pathlib import Path

from benchmarks import RESULTS
from hf_strategies.errors import StrategyError


def _seeds(text: str) -> tuple[int, ...]:
    return tuple(int(seed) for seed in text.split(","))


def main() -> None:
    """Run the command that is named first."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.landing", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    prepare = commands.add_parser("prepare", help="encode the rows and cut MiniLM, for a machine without data")
    prepare.add_argument("folder", type=Path)
    prepare.add_argument("--tasks", nargs="+", help="default: all")
    prepare.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    prepare.add_argument("--layers", type=int, default=3, help="the first layers of MiniLM (default: 3)")
    run = commands.add_parser("run", help="train, and append the results of what has no line yet")
    run.add_argument("folder", type=Path, help="what `prepare` wrote")
    run.add_argument("--out", type=Path, default=RESULTS, help="folder of landing.jsonl and landing_rows*.npz")
    run.add_argument("--tasks", nargs="+", help="default: all")
    run.add_argument(
        "--seeds", type=_seeds, nargs="+", default=[(0,), (1,), (2,)], help="trained at once where 0,1,2"
    )
    run.add_argument("--device", default="cpu")
    run.add_argument("--workers", type=int, default=1, help="processes at once")
    run.add_argument("--seconds", type=float, default=float("inf"), help="time after which it ends")
    run.add_argument("--branches", type=int, default=24, help="cooldowns trained at once")
    table = commands.add_parser(
        "table", help="write landing.md and landing.png beside the results, and print the first"
    )
    table.add_argument("results", type=Path, nargs="?", default=RESULTS / "landing.jsonl", help="landing.jsonl")
    args = parser.parse_args()
    if args.command == "table":
        from benchmarks.landing.table import print_report as command
    elif args.command == "prepare":
        from benchmarks.landing.prepare import prepare as command
        from benchmarks.landing.tasks import TASKS

        args.tasks = args.tasks or list(TASKS)
    else:
        from benchmarks.landing.workers import run as command
    try:
        command(args)
    except StrategyError as mistake:
        parser.error(str(mistake))


if __name__ == "__main__":
    main()
