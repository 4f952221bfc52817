"""The benchmark of averages of the weights: its arithmetic, and a run on this machine."""

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import averaging


def test_times_stand_as_the_median_with_the_least_and_the_most() -> None:
    assert averaging.spread([3.0, 1.0, 10.0]) == "3.0 [1.0, 10.0]"


@pytest.mark.slow
def test_each_type_of_weights_has_a_row_for_each_average(checkout: Path) -> None:
    words = ["--layers", "1", "--hidden", "64", "--batch", "1", "--length", "8", "--rounds", "2", "--output", "-"]
    command = [sys.executable, "-m", "benchmarks.averaging", *words]
    done = subprocess.run(command, cwd=checkout, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    rows = [line for line in done.stdout.splitlines() if line.startswith("|2M ")]
    assert [row.split("|")[1:3] for row in rows] == [
        [f"2M {dtype}", f"`{average}`"] for dtype in ("float32", "bfloat16") for average in averaging.AVERAGES
    ]
