"""A recipe's training as one job of submitit: its two tasks are the two processes of one training."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import CHECKOUT
from tests.finetune.runs import QUIET, predictions, read, reviews, write_csv_splits

pytest.importorskip("submitit")


@pytest.mark.slow
def test_two_tasks_of_a_job_are_one_training_that_another_job_finds_ended(tmp_path: Path) -> None:
    flags = [*write_csv_splits(tmp_path, reviews), *QUIET, "--num_train_epochs", "2", "--max_length", "24"]
    flags += ["--per_device_train_batch_size", "5", "--output_dir", str(tmp_path / "out")]
    words = ["--cluster", "local", "--tasks", "2", "--minutes", "5", "--log_dir", str(tmp_path / "jobs")]
    command = [sys.executable, "recipes/submitit/train.py", *words, "text_classification", *flags]
    environment = os.environ | {"PYTHONPATH": str(CHECKOUT), "ACCELERATE_USE_CPU": "true"}
    for _ in range(2):
        done = subprocess.run(command, cwd=CHECKOUT, env=environment, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr[-3000:]
    assert (
        read(tmp_path / "out" / "trainer_state.json")["global_step"] == 60 // (5 * 2) * 2
    )  # one process would make 24
    assert len(predictions(tmp_path / "out")) == 15
    logs = [file.read_text() for file in sorted((tmp_path / "jobs").glob("*_log.err"))]
    assert len(logs) == 4
    assert sum("has ended, at step 12" in log for log in logs) == 1  # the first task of the second job
