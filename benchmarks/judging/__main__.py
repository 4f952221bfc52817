"""What judging the log costs as it grows: an evaluation, a whole training, a replay.

    python -m benchmarks.judging                       # this checkout, beside judging the whole log each time
    python -m benchmarks.judging --beside ../older     # an older checkout, too

Each round is a process of its own for each column, and the columns take turns. Times are those of the processor.
"""

import json
import resource
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks import CHECKOUT
from benchmarks.schedules.__main__ import machine
from benchmarks.schedules.processes import run_python
from benchmarks.schedules.table import markdown, spread

EVENTS = Path(__file__).with_name("events.py")
Samples = dict[str, list[float]]
"""The seconds of each row, one a round."""


@dataclass(frozen=True)
class Column:
    """A way to judge: in which checkout, whether the whole log each time, and whether a replay is measured."""

    name: str
    checkout: Path
    whole: bool
    replays: bool


def columns(beside: Path | None) -> list[Column]:
    """Return the columns of the table."""
    older = [Column("the older checkout", beside.resolve(), True, True)] if beside else []
    whole = Column("the whole log each time", CHECKOUT, True, False)
    return [*older, whole, Column("new entries only", CHECKOUT, False, True)]


def event_seconds(column: Column, args: Namespace) -> dict[str, float]:
    """Run `events.py` once; return the seconds of each row."""
    words = [str(EVENTS), "--lengths", *map(str, args.lengths), "--steps", str(args.steps)]
    words += ["--evaluations", str(args.evaluations), "--repeats", str(args.repeats)]
    done = run_python(column.checkout, words + (["--whole"] if column.whole else []))
    measured = json.loads(done.stdout.splitlines()[-1])
    if not Path(measured["package"]).resolve().is_relative_to(column.checkout.resolve()):
        raise RuntimeError(f"{column.checkout}: the package was imported from {measured['package']}")
    return {
        row(callback, what, args): seconds
        for callback, costs in measured["seconds"].items()
        for what, seconds in costs.items()
    }


def row(callback: str, what: str, args: Namespace) -> str:
    """Return the name of a row."""
    if what == "training":
        return f"{callback}: all {args.evaluations:,} evaluations of {args.steps:,} logged steps, s"
    return f"{callback}: an evaluation after {int(what):,}, ms"


def replay_seconds(checkout: Path, state: Path) -> float:
    """Return the processor's seconds of ``hf-strategies replay`` with its defaults, as a whole process."""
    start = _children_seconds()
    run_python(checkout, ["-m", "hf_strategies", "replay", str(state)])
    return _children_seconds() - start


def _children_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def write_state(file: Path, rows: int) -> None:
    """Write the state of a run with so many evaluations, of which each is an improvement: no patience ends it."""
    log = [
        {
            "eval_loss": 1.0 + 1.0 / (place + 1),
            "eval_accuracy": 0.5,
            "eval_runtime": 1.0,
            "eval_samples_per_second": 100.0,
            "eval_steps_per_second": 10.0,
            "epoch": place / 1000,
            "step": place + 1,
        }
        for place in range(rows)
    ]
    state = {"global_step": rows, "max_steps": rows, "log_history": log, "stateful_callbacks": {}}
    file.write_text(json.dumps(state), encoding="utf-8")


def measure(ways: Sequence[Column], args: Namespace) -> list[Samples]:
    """Return the samples of each column. A replay judges a log once, so that there is no other way in a checkout."""
    samples: list[Samples] = [{} for _ in ways]
    replays = f"replay of {args.rows:,} rows, s"
    with TemporaryDirectory(prefix="judging-") as folder:
        state = Path(folder) / "trainer_state.json"
        write_state(state, args.rows)
        for number in range(1, args.rounds + 1):
            for column, each in zip(ways, samples, strict=True):
                seconds = event_seconds(column, args)
                if column.replays:
                    seconds[replays] = replay_seconds(column.checkout, state)
                for name, value in seconds.items():
                    each.setdefault(name, []).append(value)
            print(f"judging: round {number} of {args.rounds}", file=sys.stderr, flush=True)
    return samples


def table(names: Sequence[str], samples: Sequence[Mapping[str, Sequence[float]]]) -> str:
    """Return the samples as a table, times of an evaluation in milliseconds."""
    rows = [[name, *(_cell(name, each.get(name, ())) for each in samples)] for name in samples[-1]]
    return markdown(["median (least to most)", *names], rows)


def _cell(name: str, seconds: Sequence[float]) -> str:
    factor = 1000 if name.endswith("ms") else 1
    return spread([factor * value for value in seconds]) if seconds else "-"


def read_arguments() -> Namespace:
    """Read the command line."""
    parser = ArgumentParser(prog="python -m benchmarks.judging", description="Time the judgement of long logs.")
    add = parser.add_argument
    add("--lengths", type=int, nargs="+", default=[1000, 10000, 100000], help="evaluations (1000 10000 100000)")
    add("--steps", type=int, default=100000, help="logged steps of a training (100000)")
    add("--evaluations", type=int, default=1000, help="of that training (1000)")
    add("--rows", type=int, default=200000, help="evaluations of a replay (200000)")
    add("--repeats", type=int, default=5, help="evaluations timed at each length (5)")
    add("--rounds", type=int, default=3, help="processes for each column (3)")
    add("--beside", type=Path, metavar="CHECKOUT", help="measure this older checkout, too")
    args = parser.parse_args()
    if args.beside and not (args.beside / "hf_strategies" / "__init__.py").is_file():
        parser.error(f"--beside {args.beside}: give a checkout of this project")
    if min(args.lengths) < args.repeats + 2 or args.repeats < 1 or args.rounds < 1 or args.rows < 2:
        parser.error("give at least 1 round and 1 repeat, 2 rows, and lengths of at least 2 above --repeats")
    if args.evaluations < 1 or args.steps < args.evaluations:
        parser.error(f"--steps {args.steps} --evaluations {args.evaluations}: give at least 1 step an evaluation")
    return args


def main() -> None:
    """Measure and print."""
    args = read_arguments()
    ways = columns(args.beside)
    text = table([way.name for way in ways], measure(ways, args))
    print(f"{machine()}, {args.rounds} rounds, time of the processor\n\n{text}")


if __name__ == "__main__":
    main()
