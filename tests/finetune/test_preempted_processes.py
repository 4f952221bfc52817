"""SIGTERM to one of two processes: both stop at the same step, and the resumed run ends as a whole one."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.finetune.runs import QUIET, predictions, write_csv_splits
from tests.finetune.runs import reviews as rows
from tests.two_processes import run_in_processes

PROGRAM = "tests.finetune.programs.preempted_run"
STEPS = [
    *("--per_device_train_batch_size", "4", "--max_steps", "10", "--eval_strategy", "steps", "--eval_steps", "2"),
    *("--save_strategy", "steps", "--save_steps", "4", "--early_stopping_patience", "9"),
]


@pytest.mark.slow
def test_both_processes_stop_at_one_step_and_go_on_to_the_same_result(tmp_path: Path) -> None:
    flags = [*QUIET, *STEPS, *write_csv_splits(tmp_path, rows)]

    def run(out: str, step: int, *more: str) -> list[dict[str, int]]:
        return run_in_processes(PROGRAM, tmp_path, str(step), *flags, "--output_dir", out, *more)

    assert run("whole", 0) == [{"code": 0, "world_size": 2}] * 2
    assert run("broken", 6) == [{"code": 143, "world_size": 2}] * 2
    assert [path.name for path in (tmp_path / "broken").glob("checkpoint-*")] == ["checkpoint-6"]
    assert not (tmp_path / "broken" / "predictions.jsonl").exists()
    assert run("broken", 0, "--resume_from_checkpoint", "last") == [{"code": 0, "world_size": 2}] * 2
    assert predictions(tmp_path / "broken") == predictions(tmp_path / "whole")
    one, two = (load_file(tmp_path / name / "model.safetensors") for name in ("whole", "broken"))
    assert all(torch.equal(one[name], two[name]) for name in one)
