"""The benchmark of the speed of training: its arithmetic, and a run on this machine."""

import json
import subprocess
import sys
from argparse import Namespace
from pathlib import Path

import pytest

from benchmarks import throughput


def test_operations_are_six_a_weight_and_token_and_those_of_attention() -> None:
    # One layer of width 64, 10 tokens, 1000 weights: 10 * (6 * 1000 + 12 * 1 * 64 * 10) = 10 * (6000 + 7680).
    assert throughput.flops(Namespace(layers=1, hidden=64, length=10), 1000) == 136_800


def test_utilisation_is_the_share_of_the_peak() -> None:
    args = Namespace(layers=1, hidden=64, length=10, batch=4, compiled="off", peak_tflops=0.0)
    # 1e6 samples/s of 136,800 operations are 0.1368 TFLOP/s.
    assert throughput.figures(args, 1e6, 1000, "no")["TFLOP/s"] == "0.137"
    args.peak_tflops = 0.5
    assert throughput.figures(args, 1e6, 1000, "no")["utilisation"] == "27.4%"


@pytest.mark.slow
def test_a_line_of_the_table_is_measured_in_the_precision_of_this_machine(checkout: Path) -> None:
    sizes = {"layers": 1, "hidden": 64, "steps": 3, "skip": 1, "length": 8, "batch": 2, "compiled": "off"}
    words = [word for name, value in sizes.items() for word in (f"--{name}", str(value))]
    command = [sys.executable, "-m", "benchmarks.throughput", *words]
    done = subprocess.run(command, cwd=checkout, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    line = json.loads(done.stdout.splitlines()[-1])
    assert (line["tokens"], line["batch"], line["compile"]) == (8, 2, "off")
    assert float(line["samples/s"]) > 0
    assert throughput.table([line]).count("\n") == 2


@pytest.mark.parametrize("words", [["--hidden", "100"], ["--steps", "4", "--skip", "4"]])
def test_a_mistake_is_one_line_and_exit_code_2(words: list[str], checkout: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.throughput", *words]
    done = subprocess.run(command, cwd=checkout, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "give 0 < skip < steps" in done.stderr
