"""Break real runs of a recipe on purpose, let them go on with the same command, and print what became of them.

python -m tests.faults                    # all scenarios, some minutes
python -m tests.faults --every 20         # each twentieth of them
python -m tests.faults --only "disk full" # one row of the table
"""

import argparse
import json
import os
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.faults.runs import STRATEGIES, Sandbox, results
from tests.faults.scenarios import Outcome, Reference, Scenario, files_of_a_killed_run, scenarios

Played = tuple[Scenario, Outcome]


def main(argv: Sequence[str] | None = None) -> int:
    """Play the chosen scenarios and print the table; return 1 unless all have survived with identical results."""
    options = _parser().parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="faults-") as name:
        base = Path(name)
        (base / "data").mkdir()
        references = {strategy: _whole_run(base, strategy) for strategy in options.strategy or STRATEGIES}
        chosen = _choose(list(scenarios(references)), options.only, options.each)
        played = _play_all(base, chosen, references, options.jobs)
    _print_operations(references)
    _print_table(played)
    return 0 if all(outcome.survived and outcome.identical for _, outcome in played) else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--only", action="append", metavar="FAULT", help="a row; may be repeated (default: all)")
    parser.add_argument("--strategy", action="append", choices=STRATEGIES, help="may be repeated (default: all)")
    parser.add_argument("--each", type=int, metavar="N", help="play N scenarios of each row (default: all)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="scenarios at the same time")
    return parser


def _choose(all_of_them: list[Scenario], only: list[str] | None, each: int | None) -> list[Scenario]:
    """Return the scenarios of the rows in ``only``, at most ``each`` of a row, from its middle on."""
    chosen: list[Scenario] = []
    for fault in only or dict.fromkeys(scenario.fault for scenario in all_of_them):
        rows = [scenario for scenario in all_of_them if scenario.fault == fault]
        start = 0 if each is None else max(0, (len(rows) - each) // 2)
        chosen += rows[start:][:each]
    return chosen


def _whole_run(base: Path, strategy: str) -> Reference:
    sandbox = Sandbox(base / "whole", base / "data", strategy)
    run = sandbox.run()
    if run.code != 0:
        raise SystemExit(f"the whole run of {strategy!r} ended with {run.code}:\n{run.output}")
    files = files_of_a_killed_run(Sandbox(base / "killed", base / "data", strategy))
    reference = Reference(results(sandbox.out), run.operations, files)
    shutil.rmtree(sandbox.folder)
    shutil.rmtree(base / "killed")
    return reference


def _play_all(base: Path, chosen: list[Scenario], references: dict[str, Reference], jobs: int) -> list[Played]:
    """Play the scenarios in forked processes, ``jobs`` at a time; return them with their outcomes, in order."""
    running: dict[int, int] = {}
    for number, scenario in enumerate(chosen):
        if len(running) >= jobs:
            _wait(running)
        if (child := os.fork()) == 0:
            _play(base / str(number), base / "data", scenario, references[scenario.strategy])
        running[child] = number
    while running:
        _wait(running)
    return [(each, _outcome(base / f"{number}.json")) for number, each in enumerate(chosen)]


def _wait(running: dict[int, int]) -> None:
    del running[os.wait()[0]]


def _play(folder: Path, data: Path, scenario: Scenario, reference: Reference) -> None:
    try:
        outcome = scenario.play(Sandbox(folder, data, scenario.strategy), reference)
    except Exception as mistake:  # a mistake of the scenario is a result that the table shows
        outcome = Outcome(False, False, f"{type(mistake).__name__}: {mistake}")
    folder.with_suffix(".json").write_text(json.dumps([outcome.survived, outcome.identical, outcome.detail]))
    shutil.rmtree(folder, ignore_errors=True)
    os._exit(0)


def _outcome(file: Path) -> Outcome:
    return Outcome(*json.loads(file.read_text()))


def _print_operations(references: dict[str, Reference]) -> None:
    for strategy, reference in references.items():
        counts = Counter(each.kind for each in reference.operations)
        kinds = ", ".join(f"{count} {kind}" for kind, count in counts.most_common())
        print(f"{strategy}: {len(reference.operations)} operations on files in a whole run ({kinds})")


def _print_table(played: list[Played]) -> None:
    table = Table("fault", "runs", "survived", "identical", title="Runs that were broken, and went on")
    for fault in dict.fromkeys(scenario.fault for scenario, _ in played):
        outcomes = [outcome for scenario, outcome in played if scenario.fault == fault]
        table.add_row(fault, *_counts(outcomes))
    table.add_row("all", *_counts([outcome for _, outcome in played]))
    console = Console(width=None if sys.stdout.isatty() else 110, markup=False, highlight=False)
    console.print(table)
    for scenario, outcome in played:
        mark = "ok " if outcome.survived and outcome.identical else "BAD"
        line = " | ".join((scenario.fault, scenario.strategy, scenario.name, outcome.detail))
        console.print(f"{mark} {line}", soft_wrap=True)


def _counts(outcomes: list[Outcome]) -> tuple[str, str, str]:
    survived = sum(outcome.survived for outcome in outcomes)
    return str(len(outcomes)), str(survived), str(sum(outcome.identical for outcome in outcomes))


if __name__ == "__main__":
    sys.exit(main())
