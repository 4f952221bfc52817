"""A part of what ``make faults`` does: broken runs go on with the same command and end as the whole run does."""

import subprocess
import sys

import pytest

from tests.conftest import CHECKOUT

FAULTS = 13
"""The rows of the table, but its sum."""


@pytest.mark.slow
def test_broken_runs_end_as_the_whole_run() -> None:
    command = [sys.executable, "-m", "tests.faults", "--strategy", "early stopping", "--each", "1"]
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    outcomes = [line for line in done.stdout.splitlines() if line.startswith("ok ")]
    assert len(outcomes) == len({line.split(" | ")[0] for line in outcomes}) == FAULTS
