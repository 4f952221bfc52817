"""Programs in several CPU processes: how a test starts one, and how each of its processes reports.

A program is a module that is given, as its first argument, the folder that takes the reports.
"""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import PartialState

from hf_strategies.trainer.distributed import exit_process
from tests.conftest import CHECKOUT

ON_CPU = {"ACCELERATE_USE_CPU": "true"}
SHARDED_AND_RESUMED = pytest.mark.skipif(
    torch.__version__.startswith("2.6."),
    reason="torch 2.6 neither loads a state to 'cpu:0' nor shards (FSDP 2) on several CPU processes",
)


def run_in_processes(
    program: str, folder: Path, *words: str, processes: int = 2, environment: Mapping[str, str] = ON_CPU
) -> list[dict[str, Any]]:
    """Run ``python -m program folder words`` under torchrun, in ``folder``; return the report of each process.

    ``environment`` is added to this process's; it fails where a process hangs or ends with an error.
    """
    launcher = ["torch.distributed.run", "--standalone", f"--nproc_per_node={processes}", "-m"]
    return run_launcher([*launcher, program, str(folder), *words], folder, processes, environment)


def run_launcher(
    words: list[str], folder: Path, processes: int = 2, environment: Mapping[str, str] | None = None
) -> list[dict[str, Any]]:
    """Run ``python -m words``, which starts a program in ``folder``; return the report of each of its processes."""
    files = [folder / f"rank{rank}.json" for rank in range(processes)]
    for file in files:
        file.unlink(missing_ok=True)  # so that no report of an earlier run is read
    variables = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(CHECKOUT)} | (environment or {})
    done = subprocess.run(
        [sys.executable, "-m", *words], cwd=folder, env=variables, capture_output=True, text=True, timeout=500
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return [json.loads(file.read_text(encoding="utf-8")) for file in files]


def write_report(folder: Path, report: dict[str, Any]) -> None:
    """Write what this process saw, and end it: the last call of a program."""
    file = folder / f"rank{PartialState().process_index}.json"
    file.write_text(json.dumps(report), encoding="utf-8")
    exit_process()
