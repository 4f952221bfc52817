"""The demo, as `make demo` runs it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from hf_strategies.cli.main import main


@pytest.mark.slow
def test_replaying_the_demo_agrees_with_what_it_did(
    tmp_path: Path, checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = [sys.executable, "recipes/text_classification.py", "--config", "recipes/configs/demo.yaml"]
    done = subprocess.run(
        [*command, "--output_dir", str(tmp_path / "demo")],
        cwd=checkout,
        env=os.environ | {"CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        timeout=590,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    state = json.loads((tmp_path / "demo" / "trainer_state.json").read_text())
    live = state["stateful_callbacks"]["early_stopping"]
    assert live["stopped"] is True
    words = ["replay", str(tmp_path / "demo"), "--monitor", "accuracy", "--patience", "3", "--format", "json"]
    assert main(words) == 0
    (replayed,) = json.loads(capsys.readouterr().out)["outcomes"]
    assert replayed["stop_step"] == live["stop_step"] == state["global_step"]
    assert (replayed["best_step"], replayed["kept"]) == (live["best_step"], live["best_value"])
