"""The recipe for text classification in two CPU processes."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any


def torchrun(folder: Path, name: str, flags: list[str]) -> list[dict[str, Any]]:
    """Run the recipe in two processes, in ``folder``; return the report of each, which is in ``rank_report.py``."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    command += ["-m", "tests.recipe.rank_report", str(folder / f"{name}.json"), *flags]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"}
    environment |= {"PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    return [json.loads((folder / f"{name}.{rank}.json").read_text()) for rank in range(2)]
