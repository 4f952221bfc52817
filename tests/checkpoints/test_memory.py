"""The memory of the command: a few tensors, however large the model is and however many its checkpoints."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.checkpoints.runs import write_checkpoint

pytestmark = pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="the peak memory is read from /proc")


def grown(tmp_path: Path, *, matrices: int, mib: int, checkpoints: int) -> float:
    """By how many MiB the peak memory grows when checkpoints of so many matrices of ``mib`` MiB are averaged."""
    for number in range(1, checkpoints + 1):
        tensors = {f"w{index}": torch.full((mib, 512, 512), float(number)) for index in range(matrices)}
        write_checkpoint(tmp_path / f"checkpoint-{number}", tensors)
    program = "tests.checkpoints.programs.averaging_memory"
    command = [sys.executable, "-m", program, str(tmp_path), "--last", str(checkpoints)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    peak = json.loads(done.stdout.splitlines()[-1])
    size = (tmp_path / "average" / "model.safetensors").stat().st_size / 2**20
    print(f"{size:.0f} MiB x {checkpoints}: peak grows by {peak['after'] - peak['before']:.1f} MiB")
    assert size > matrices * mib
    return float(peak["after"] - peak["before"])


def test_less_than_one_model_is_in_memory(tmp_path: Path) -> None:
    assert grown(tmp_path, matrices=24, mib=4, checkpoints=3) < 0.75 * 24 * 4


@pytest.mark.slow
def test_a_model_of_200_mib_with_five_checkpoints_takes_a_few_tensors(tmp_path: Path) -> None:
    assert grown(tmp_path, matrices=50, mib=4, checkpoints=5) < 0.25 * 50 * 4
