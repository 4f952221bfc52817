"""The benchmark of judging: a small run with another checkout beside it, and mistakes."""

import subprocess
import sys
from pathlib import Path

import pytest

SMALL = ["--lengths", "10", "40", "--steps", "40", "--evaluations", "20", "--rows", "30", "--rounds", "1"]


def run(checkout: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "benchmarks.judging", *words]
    return subprocess.run(command, cwd=checkout, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_each_callback_and_a_replay_are_measured_in_each_column(checkout: Path) -> None:
    done = run(checkout, *SMALL, "--repeats", "2", "--beside", str(checkout))
    assert done.returncode == 0, done.stderr
    rows = {cells[1]: cells[2:5] for line in done.stdout.splitlines() if len(cells := line.split("|")) == 6}
    names = ["EarlyStopping: an evaluation after 10, ms", "ReduceOnPlateau: an evaluation after 40, ms"]
    names += ["PlateauCooldown: an evaluation after 40, ms"]
    assert [name for name in names if all(float(cell) > 0 for cell in rows[name])] == names
    assert [cell == "-" for cell in rows["replay of 30 rows, s"]] == [False, True, False]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--lengths", "5", "--repeats", "5"], "lengths of at least 2 above --repeats"),
        (["--steps", "5", "--evaluations", "10"], "--steps 5 --evaluations 10: give at least 1 step an evaluation"),
        (["--beside", "nowhere"], "--beside nowhere: give a checkout of this project"),
    ],
)
def test_a_mistake_is_named_and_ends_with_exit_code_2(words: list[str], message: str, checkout: Path) -> None:
    done = run(checkout, *words)
    assert done.returncode == 2
    assert message in done.stderr.splitlines()[-1]
