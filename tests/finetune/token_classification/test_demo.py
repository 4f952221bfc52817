"""The demo, as `make demo` runs it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
def test_the_demo_cools_down_stops_and_beats_what_counting_gives(tmp_path: Path, checkout: Path) -> None:
    command = [sys.executable, "recipes/token_classification.py", "--config", "recipes/configs/demo.yaml"]
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
    (live,) = (value for key, value in state["stateful_callbacks"].items() if key == "plateau_cooldown")
    assert live["trigger"] == "plateau"
    assert live["stop_step"] == live["cooldown_end"] == state["global_step"] < state["max_steps"]
    rates = {row["step"]: row["learning_rate"] for row in state["log_history"] if "learning_rate" in row}
    assert rates[max(rates)] < 0.1 * max(rates.values())
    ours, counted = (
        float(next(line for line in done.stdout.splitlines() if name in line).split("│")[4])
        for name in ("this model", "most frequent tag of each word")
    )
    assert ours > counted + 0.1
