"""A recipe's ``main(argv)`` in two tasks of a job, as on a cluster: one training, two ranks."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import CHECKOUT
from tests.finetune.runs import reviews, write_csv_splits
from tests.two_processes import ON_CPU

pytest.importorskip("submitit")


@pytest.mark.slow
def test_a_recipe_trains_in_two_tasks_of_one_job(tmp_path: Path) -> None:
    out = tmp_path / "out"
    flags = [*write_csv_splits(tmp_path, reviews), "--max_steps", "4", "--max_length", "24", "--report_to", "none"]
    words = [sys.executable, "-m", "tests.experiments.programs.two_tasks", str(tmp_path / "jobs"), *flags]
    environment = os.environ | ON_CPU | {"PYTHONPATH": str(CHECKOUT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*words, "--output_dir", str(out)], cwd=CHECKOUT, env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.strip().splitlines()[-1] == "[(0, 2), (1, 2)]"
    report = json.loads((out / "strategy_report.json").read_text())
    assert (report["steps"], report["settings"]["processes"]) == (4, "2")
