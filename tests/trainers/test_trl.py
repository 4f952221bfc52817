"""TRL: `SFTTrainer`, `DPOTrainer`, and the command ``trl sft`` with a YAML file."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset

import hf_strategies.auto  # noqa: F401
from hf_strategies import EarlyStopping, PlateauCooldown, RunReport, schedule
from tests.conftest import CHECKOUT
from tests.trainers.small_models import Seen, causal_lm, rates_of, reported, weights_of

trl = pytest.importorskip("trl")
# Warnings of these packages are not ours.
pytestmark = [pytest.mark.trainers, pytest.mark.filterwarnings("default")]

STEP = "exponential_warmup_step_decay"
EACH_STEP: dict[str, Any] = {"eval_strategy": "steps", "eval_steps": 2, "logging_steps": 1, "save_strategy": "no"}
SETTINGS: dict[str, Any] = {"use_cpu": True, "report_to": "none", "disable_tqdm": True, "max_steps": 12, **EACH_STEP}
SETTINGS |= {"learning_rate": 1e-2, "per_device_train_batch_size": 4, "bf16": False}
_PAIRS = [(time, how) for time in ("day", "night", "sun") for how in ("good", "bad", "fine")]
TEXTS = [{"text": f"the {time} is {how} yes"} for time, how in _PAIRS] * 3


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return causal_lm(tmp_path_factory.mktemp("llama"))


def sft(model: str, folder: Path, callback: Any, **options: Any) -> tuple[Any, Seen]:
    seen, rows = Seen(), Dataset.from_list(TEXTS)
    trainer = trl.SFTTrainer(
        model,
        args=trl.SFTConfig(str(folder), max_length=16, **(SETTINGS | options)),
        train_dataset=rows,
        eval_dataset=rows.select(range(6)),
        callbacks=[callback, seen],
    )
    seen.trainer = trainer
    trainer.train()
    return trainer, seen


def test_sft_has_the_rates_of_the_schedule_and_keeps_the_best_weights(model: str, tmp_path: Path) -> None:
    # No evaluation is better than the first by so much: training stops after the third.
    stopping = EarlyStopping("loss", patience=2, min_delta=10.0)
    trainer, seen = sft(model, tmp_path, stopping, lr_scheduler_type=STEP, warmup_steps=2)
    assert rates_of(trainer) == schedule(STEP, total_steps=12, warmup_steps=2).learning_rates(1e-2)[:6]
    assert (stopping.result.stop_step, stopping.result.kept_step) == (6, 2)
    assert "has not improved by more than 10" in stopping.result.reason
    assert torch.equal(weights_of(trainer.model), seen.at[2])


def test_sft_cools_down_at_a_plateau(model: str, tmp_path: Path) -> None:
    cooldown = PlateauCooldown("loss", patience=1, min_delta=10.0, cooldown=4, restore_best_weights="end")
    name = "linear_warmup_plateau_cooldown"
    trainer, seen = sft(model, tmp_path, cooldown, lr_scheduler_type=name, warmup_steps=1)
    assert (trainer.state.global_step, cooldown.result.kept) == (8, "end")
    # Held from the end of the warmup to step 4, then down along 1 - sqrt over four steps.
    held, down = [1e-2] * 3, [1e-2 * (1 - (k / 4) ** 0.5) for k in range(4)]
    assert rates_of(trainer) == pytest.approx([0.0, *held, *down])
    assert torch.equal(weights_of(trainer.model), seen.at[8])


def test_a_run_gets_a_report_and_a_page_with_the_metrics_of_trl(model: str, tmp_path: Path) -> None:
    trainer, _ = sft(model, tmp_path, RunReport(), lr_scheduler_type="cosine")
    report, page = reported(trainer)
    assert report["metrics"]["eval_mean_token_accuracy"]["evaluations"] == 6
    assert (report["end"]["kind"], report["schedule"]) == ("all steps", "cosine, peak 0.01, warmup_steps=0")
    assert "mean_token_accuracy" in page


def test_dpo_has_the_rates_of_the_schedule_and_keeps_the_best_weights(model: str, tmp_path: Path) -> None:
    rows = Dataset.from_list([{"prompt": "the day is", "chosen": "good yes", "rejected": "bad no"}] * 16)
    stopping, seen = EarlyStopping("loss", patience=2, min_delta=10.0), Seen()
    settings = SETTINGS | {"lr_scheduler_type": STEP, "warmup_steps": 2, "max_length": 16}
    trainer = trl.DPOTrainer(
        model,
        args=trl.DPOConfig(str(tmp_path), **settings),
        train_dataset=rows,
        eval_dataset=rows.select(range(8)),
        callbacks=[stopping, seen],
    )
    seen.trainer = trainer
    trainer.train()
    assert rates_of(trainer) == schedule(STEP, total_steps=12, warmup_steps=2).learning_rates(1e-2)[:6]
    assert (stopping.result.stop_step, stopping.result.kept_step) == (6, 2)
    assert torch.equal(weights_of(trainer.model), seen.at[2])


def test_the_command_trl_sft_takes_names_and_flags_in_a_run_and_only_there(model: str, tmp_path: Path) -> None:
    for split in ("train", "test"):
        (tmp_path / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in TEXTS))
    config = {
        "model_name_or_path": model,
        "dataset_name": str(tmp_path),
        "output_dir": str(tmp_path / "out"),
        "lr_scheduler_type": STEP,
        "warmup_steps": 2,
        "max_length": 16,
        **SETTINGS,
    }
    (tmp_path / "sft.yaml").write_text("\n".join(f"{name}: {json.dumps(value)}" for name, value in config.items()))
    command = [str(Path(sys.executable).with_name("trl")), "sft", "--config", "sft.yaml"]
    environment = os.environ | {"PYTHONPATH": str(CHECKOUT), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}

    def run(words: list[str]) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)

    alone = run(command)
    assert alone.returncode != 0
    assert STEP in alone.stderr
    strategy = ["--early_stopping_patience", "2", "--early_stopping_min_delta", "10"]
    done = run([sys.executable, "-m", "hf_strategies", "run", *strategy, "--", *command])
    assert done.returncode == 0, done.stderr[-3000:]
    state = json.loads((tmp_path / "out" / "trainer_state.json").read_text())
    rates = [entry["learning_rate"] for entry in state["log_history"] if "learning_rate" in entry]
    assert rates == schedule(STEP, total_steps=12, warmup_steps=2).learning_rates(1e-2)[:6]
    assert state["stateful_callbacks"]["early_stopping"]["stop_step"] == 6
