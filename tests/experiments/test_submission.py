"""Comparisons whose runs are jobs of submitit on this machine: two strategies, three seeds, one job taken away."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from hf_strategies.experiments.submission import Resources, RunJob
from tests.conftest import CHECKOUT
from tests.experiments.fakes import runs_of, table_of, trainings_of

pytest.importorskip("submitit")

SEEDS = "0..2"


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for processes in /proc")
@pytest.mark.parametrize("how", ["preempt", pytest.param("kill", marks=pytest.mark.slow)])
def test_a_job_that_is_taken_away_is_made_again(how: str, tmp_path: Path) -> None:
    words = [sys.executable, "-m", "tests.experiments.programs.submit_fakes", str(tmp_path), how]
    done = subprocess.run(
        words,
        cwd=CHECKOUT,
        env=os.environ | {"PYTHONPATH": str(CHECKOUT)},
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "interrupted").exists()
    assert done.stderr.count(": done by job") == 6
    assert set(trainings_of(tmp_path, SEEDS).values()) == {1}
    assert list(tmp_path.glob("*/seed_*.claim-1"))  # the run was claimed a second time
    assert table_of(tmp_path, SEEDS).splitlines()[1].split()[0] == "first"


def test_what_a_job_asks_for_goes_to_submitit_by_its_names() -> None:
    asked = Resources("slurm", gpus=2, cpus=4, memory=32, minutes=90, partition="short").parameters()
    assert asked == {
        "timeout_min": 90, "cpus_per_task": 4, "tasks_per_node": 1, "gpus_per_node": 2, "mem_gb": 32,
        "slurm_partition": "short",
    }  # fmt: skip
    assert Resources().parameters() == {"timeout_min": 240, "cpus_per_task": 1, "tasks_per_node": 1}


def test_a_job_of_a_run_that_is_done_makes_nothing(tmp_path: Path) -> None:
    (run,) = (each for each in runs_of(tmp_path, "0") if each.strategy == "first")
    run.folder.mkdir(parents=True)
    (run.folder / "_run.json").write_text('{"finished": "yes"}')
    (run.folder / "all_results.json").write_text("{}")
    assert RunJob(run, ["false"])() == 0
    assert not list(tmp_path.glob("*/*.claim-*"))
