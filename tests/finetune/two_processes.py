"""The recipe for text classification in two CPU processes, beside one."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hf_strategies.recipes import text_classification
from tests.conftest import CHECKOUT
from tests.finetune.programs.rank_report import last_metrics

Rows = list[dict[str, Any]]


def write_rows(file: Path, rows: Rows) -> str:
    """Write a json line for each row; return the file's name."""
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(file)


def write_splits(folder: Path, rows: Callable[[int, int], Rows]) -> Path:
    """Write rows(count, seed) for each split; 19 validation rows do not fill the batches of two processes."""
    for seed, (split, count) in enumerate({"train": 64, "validation": 19, "test": 11}.items()):
        write_rows(folder / f"{split}.jsonl", rows(count, seed))
    return folder


def train_in_two(folder: Path, flags: list[str]) -> list[dict[str, Any]]:
    """Train on the splits in ``folder`` and evaluate; return what both processes saw. The model lies in ``two``."""
    files = [f"--{split}_file={split}.jsonl" for split in ("train", "validation", "test")]
    return torchrun(folder, "report", [*flags, *files, "--baselines", "--output_dir", "two"])


def measure_in_one(folder: Path, flags: list[str]) -> dict[str, float]:
    """Return the metrics that this process finds for the model of `train_in_two`."""
    files = [f"--{split}_file={folder / split}.jsonl" for split in ("validation", "test")]
    where = ["--model_name_or_path", str(folder / "two"), "--output_dir", str(folder / "one")]
    return last_metrics(text_classification.main([*flags, "--do_train", "false", *files, *where]).state.log_history)


def torchrun(folder: Path, name: str, flags: list[str]) -> list[dict[str, Any]]:
    """Run the recipe in two processes, in ``folder``; return the report of each, which is in ``rank_report.py``."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    command += ["-m", "tests.finetune.programs.rank_report", str(folder / f"{name}.json"), *flags]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"}
    environment |= {"PYTHONPATH": str(CHECKOUT)}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    return [json.loads((folder / f"{name}.{rank}.json").read_text()) for rank in range(2)]
