"""The command line of the benchmark of the package's own costs: small runs, and mistakes."""

import subprocess
import sys
from pathlib import Path

import pytest

SMALL = ["--runs", "1", "--rounds", "1", "--steps", "8", "--every", "2"]


def run(checkout: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "benchmarks.schedules", *words]
    return subprocess.run(command, cwd=checkout, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_commands_schedules_and_callbacks_are_measured(checkout: Path) -> None:
    done = run(checkout, *SMALL)
    assert done.returncode == 0, done.stderr
    rows = [line.strip().removeprefix("|") for line in done.stdout.splitlines()]
    for name in ("hf-strategies list (-m)", "one_cycle", "EarlyStopping", "PlateauCooldown, cooldown"):
        assert [row for row in rows if row.startswith(name)], name


@pytest.mark.slow
def test_a_checkout_beside_itself_loads_the_same_modules(checkout: Path) -> None:
    done = run(checkout, *SMALL, "--beside", str(checkout))
    assert done.returncode == 0, done.stderr
    cells = {row[1]: row[2:5] for line in done.stdout.splitlines() if len(row := line.split("|")) == 6}
    other, here, ratio = cells["`import hf_strategies`, modules"]
    assert float(other) == float(here) > 10
    assert ratio == "1.00"
    assert "PlateauCooldown, held / EarlyStopping: step events" in cells


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--runs", "0"], "--runs 0: give at least 1"),
        (["--steps", "500"], "--steps 500: give a multiple of --every, 800 or more"),
        (["--steps", "6", "--every", "2"], "--steps 6: give a multiple of --every, 8 or more"),
        (["--beside", "nowhere"], "--beside nowhere: give a checkout of this project"),
    ],
)
def test_a_mistake_is_named_and_ends_with_exit_code_2(words: list[str], message: str, checkout: Path) -> None:
    done = run(checkout, *words)
    assert done.returncode == 2
    assert message in done.stderr.splitlines()[-1]
