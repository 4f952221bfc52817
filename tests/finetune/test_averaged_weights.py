"""A recipe with averaged weights: the model that it saves, its results, and a run that is preempted."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from hf_strategies import StrategyError
from hf_strategies.finetune.trainer import RecipeTrainer
from hf_strategies.recipes import text_classification
from tests.finetune.runs import QUIET, predictions, read, reviews, write_csv

SETTINGS = [
    *("--per_device_train_batch_size", "8", "--max_steps", "5", "--learning_rate", "3e-3", "--max_length", "24"),
    *("--eval_strategy", "steps", "--eval_steps", "1", "--save_strategy", "steps", "--save_steps", "2"),
    *("--average_weights", "ema(over=3)", "--average_weights_keep_raw"),
]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The flags of three small files."""
    folder = tmp_path_factory.mktemp("data")
    counts = {"train": 24, "validation": 8, "test": 6}
    return [
        flag
        for seed, (split, count) in enumerate(counts.items())
        for flag in (f"--{split}_file", write_csv(folder / f"{split}.csv", reviews(count, seed)))
    ]


def run(out: Path, files: list[str], *flags: str) -> Any:
    return text_classification.main([*QUIET, *SETTINGS, *files, "--output_dir", str(out), *flags])


def evaluations(out: Path) -> list[float]:
    return [entry["eval_loss"] for entry in read(out / "trainer_state.json")["log_history"] if "eval_loss" in entry]


def test_the_average_is_saved_measured_and_predicts_and_a_preempted_run_ends_the_same(
    files: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    run(whole, files)
    averaged, raw = (load_file(folder / "model.safetensors") for folder in (whole, whole / "raw"))
    assert averaged.keys() == raw.keys()
    assert not all(torch.equal(averaged[name], raw[name]) for name in raw)
    # The last evaluation, and the one after training, are those of the saved model.
    assert evaluations(whole)[-1] == pytest.approx(read(whole / "all_results.json")["eval_loss"], rel=1e-6)
    words = "the average ema(over='3 steps') of the weights of steps 2 to 5"
    assert read(whole / "all_results.json")["final_weights"] == words
    assert f"- final weights: {words}\n" in (whole / "README.md").read_text(encoding="utf-8")
    # The raw model, evaluated alone, has another loss.
    again = tmp_path / "again"
    measure = ["--do_train", "false", "--max_length", "24", "--model_name_or_path", str(whole / "raw")]
    text_classification.main([*QUIET, *files, *measure, "--output_dir", str(again)])
    assert read(again / "all_results.json")["eval_loss"] != read(whole / "all_results.json")["eval_loss"]

    original = RecipeTrainer.training_step

    def training_step(trainer: RecipeTrainer, *args: Any, **kwargs: Any) -> torch.Tensor:
        if trainer.state.global_step == 2:
            monkeypatch.setattr(RecipeTrainer, "training_step", original)
            os.kill(os.getpid(), signal.SIGTERM)
        return original(trainer, *args, **kwargs)

    monkeypatch.setattr(RecipeTrainer, "training_step", training_step)
    with pytest.raises(SystemExit):
        run(broken, files)
    assert (broken / "checkpoint-3" / "weight_average.safetensors").is_file()
    run(broken, files, "--resume_from_checkpoint", "last")
    assert evaluations(broken) == evaluations(whole)
    assert predictions(broken) == predictions(whole)
    for folder in ("", "raw"):
        one, two = (load_file(out / folder / "model.safetensors") for out in (whole, broken))
        assert all(torch.equal(one[name], two[name]) for name in one)


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--load_best_model_at_end", "--save_steps", "1"], "load_best_model_at_end=True beside WeightAveraging"),
        (["--save_strategy", "best", "--metric_for_best_model", "loss"], "save_strategy='best' beside"),
        (["--average_weights", "tial(over=3)"], "there is no average 'tial': did you mean 'tail'"),
    ],
)
def test_a_mistake_is_found_before_any_data_is_read(flags: list[str], words: str, tmp_path: Path) -> None:
    with pytest.raises(StrategyError, match=words):
        run(tmp_path, ["--train_file", "missing.csv"], *flags)


@pytest.mark.slow
def test_the_command_ends_with_2_and_one_line_before_a_model_is_looked_for(checkout: Path) -> None:
    words = ["--average_weights", "ema(ovr='1ep')", "--model_name_or_path", "no/such-model", "--train_file", "x.csv"]
    command = [sys.executable, "recipes/text_classification.py", *words]
    done = subprocess.run(command, cwd=checkout, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    (line,) = [each for each in done.stderr.splitlines() if "average" in each]
    assert "ovr" in line
    assert "over" in line
    assert "Traceback" not in done.stderr
