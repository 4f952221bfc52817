"""Trainers with a command line of their own, LLaMA-Factory's and axolotl's, in a run; each in its own environment.

They pin other versions of transformers than TRL's tests do. ``LLAMAFACTORY_BIN`` and ``AXOLOTL_BIN`` name the folders
of the commands; without them they are looked for beside this interpreter.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from hf_strategies import schedule
from tests.conftest import CHECKOUT
from tests.trainers.small_models import causal_lm

pytestmark = [pytest.mark.trainers, pytest.mark.filterwarnings("default")]

STEP = "exponential_warmup_step_decay"
SETTINGS: dict[str, Any] = {
    "output_dir": "./out",
    "max_steps": 12,
    "eval_steps": 2,
    "logging_steps": 1,
    "bf16": False,
}
SETTINGS |= {"save_strategy": "no", "warmup_steps": 2, "learning_rate": 1e-2}
_PAIRS = [(time, how) for time in ("day", "night", "sun") for how in ("good", "bad", "fine")]
ROWS = [{"text": f"the {time} is {how} yes"} for time, how in _PAIRS] * 3

FACTORY = SETTINGS | {
    "model_name_or_path": "./model",
    "stage": "pt",
    "do_train": True,
    "finetuning_type": "full",
    "template": "default",
    "cutoff_len": 16,
    "packing": False,
    "dataset_dir": ".",
    "dataset": "tiny",
    "eval_dataset": "tiny",
    "eval_strategy": "steps",
    "per_device_train_batch_size": 4,
    "use_cpu": True,
    "report_to": "none",
    "lr_scheduler_type": STEP,
}
DATA = {"path": "./rows.json", "ds_type": "json", "type": "completion", "split": "train"}
AXOLOTL = SETTINGS | {
    "base_model": "./model",
    "datasets": [DATA],
    "test_datasets": [DATA],
    "sequence_len": 16,
    "sample_packing": False,
    "micro_batch_size": 4,
    "gradient_accumulation_steps": 1,
    "optimizer": "adamw_torch",
    "fp16": False,
    "tf32": False,
    "flash_attention": False,
    "lr_scheduler": STEP,
}


def folder_of(command: str, variable: str) -> Path:
    """Where the command lies; the test is skipped where it does not."""
    folder = Path(os.environ.get(variable, Path(sys.executable).parent))
    if not (folder / command).is_file():
        pytest.skip(f"{command} is not installed beside this interpreter, nor in the folder that {variable} names")
    return folder


def state_after(folder: Path, command: list[str], config: dict[str, Any], place: Path) -> dict[str, Any]:
    """Train a random model in a run with early stopping; return what trainer_state.json says."""
    causal_lm(folder / "model")
    (folder / "rows.json").write_text(json.dumps(ROWS))
    (folder / "dataset_info.json").write_text(
        json.dumps({"tiny": {"file_name": "rows.json", "columns": {"prompt": "text"}}})
    )
    # JSON is YAML.
    (folder / "cfg.yaml").write_text(json.dumps(config))
    ours = ["-m", "hf_strategies", "run", "--early_stopping_patience", "2", "--early_stopping_min_delta", "10"]
    variables = {
        "PATH": f"{place}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(CHECKOUT),
        "HF_HUB_OFFLINE": "1",
    }
    variables |= {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "AXOLOTL_DO_NOT_TRACK": "1"}
    words = [str(place / "python"), *ours, "--", *command, "train", "cfg.yaml"]
    done = subprocess.run(words, cwd=folder, env=os.environ | variables, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stderr[-3000:]
    state: dict[str, Any] = json.loads((folder / "out" / "trainer_state.json").read_text())
    return state


def check(state: dict[str, Any], stop: int) -> None:
    """The rates are those of the schedule up to the stop, whose reason is recorded."""
    rates = [entry["learning_rate"] for entry in state["log_history"] if "learning_rate" in entry]
    assert rates == schedule(STEP, total_steps=12, warmup_steps=2).learning_rates(1e-2)[:stop]
    record = state["stateful_callbacks"]["early_stopping"]
    assert record["stop_step"] == stop
    assert "has not improved by more than 10" in record["reason"]


def test_llama_factory_takes_the_name_of_a_schedule_and_stops_early(tmp_path: Path) -> None:
    place = folder_of("llamafactory-cli", "LLAMAFACTORY_BIN")
    check(state_after(tmp_path, ["llamafactory-cli"], FACTORY, place), stop=6)


def test_axolotl_takes_the_name_of_a_schedule_and_stops_early(tmp_path: Path) -> None:
    place = folder_of("axolotl", "AXOLOTL_BIN")
    # It evaluates before the first step as well, and the second evaluation after that is the one of step 4.
    check(state_after(tmp_path, ["axolotl"], AXOLOTL, place), stop=4)
