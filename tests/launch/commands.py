"""How the tests start ``hf-strategies run``, and what they read of a program."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.conftest import CHECKOUT

__all__ = ["SCRIPT", "TRAINING", "python", "run", "state_of"]

SCRIPT = str(CHECKOUT / ("tests.launch.programs.script".replace(".", "/") + ".py"))

TRAINING = ["--output_dir", "out", "--use_cpu", "--report_to", "none", "--disable_tqdm", "true", "--max_steps", "8"]
TRAINING += ["--per_device_train_batch_size", "4", "--logging_steps", "1", "--save_strategy", "no"]


def python(words: Sequence[str], folder: Path, **options: Any) -> "subprocess.CompletedProcess[str]":
    """Run Python with these words in ``folder``, with the checkout on its path and one thread."""
    variables = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(CHECKOUT)} | options.pop("variables", {})
    return subprocess.run(
        [sys.executable, *words], cwd=folder, env=variables, capture_output=True, text=True, timeout=300, **options
    )


def run(words: Sequence[str], folder: Path, **options: Any) -> "subprocess.CompletedProcess[str]":
    """Run ``hf-strategies run`` with these words in ``folder``."""
    return python(["-m", "hf_strategies", "run", *words], folder, **options)


def state_of(done: "subprocess.CompletedProcess[str]") -> dict[str, Any]:
    """The state that the script has printed."""
    lines = [line for line in done.stdout.splitlines() if line.startswith("STATE ")]
    assert lines, done.stdout + done.stderr
    state: dict[str, Any] = json.loads(lines[0].removeprefix("STATE "))
    return state
