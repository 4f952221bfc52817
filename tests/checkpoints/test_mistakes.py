"""What cannot be averaged: one line with the remedy, exit code 2, and nothing written."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.checkpoints.runs import write_checkpoint
from tests.cli.commands import check_mistake

LOG = [{"step": 2, "eval_loss": 0.5, "eval_accuracy": 0.5}]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run of the checkpoints 2 and 4, of which the first was evaluated."""
    folder = tmp_path / "run"
    for step in (2, 4):
        write_checkpoint(folder / f"checkpoint-{step}", {"w": torch.full((2, 2), float(step))}, log=LOG)
    return folder


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ("", "nothing says what to average: give --last N, --best N, --shape CURVE or --greedy"),
        ("--last 3", "last=3 of 2 checkpoints (2, 4): ask for fewer, or train with --save_total_limit 3 or more"),
        ("--last 0", "last='0' is no number of checkpoints"),
        ("--last two", "last='two' is not a number"),
        ("--best 2", "best=2 of 2 checkpoints (2, 4), 1 of which with eval_loss"),
        ("--best 1 --metric acuracy", "metric='acuracy'"),
        ("--best 1 --metric acuracy --mode max", "was not measured at any checkpoint: did you mean 'accuracy'?"),
        ("--best 1 --metric my_score", "metric='my_score': no telling whether lower or higher is better"),
        ("--best 1 --mode up", "mode='up' is no direction"),
        ("--best 1 --last 1", "--best with --last: give one of the two"),
        ("--shape sqrt --greedy --recipe text_classification", "--greedy with --shape: give one of the two"),
        ("--shape cosin", "shape='cosin' is no curve: did you mean 'cosine'?"),
        ("--last 1 --metric loss", "--metric has no effect without --best or --greedy"),
        ("--last 1 --recipe text_classification", "--recipe has no effect without --greedy"),
        ("--last 1 --same_start", "--same_start has no meaning for the checkpoints of one run"),
        ("--greedy", "--greedy needs a recipe that evaluates"),
        ("--greedy --recipe text_clasification", "unknown recipe 'text_clasification': did you mean"),
        ("--greedy --recipe text_classification --do_train true", "--do_train is given to the recipe by --greedy"),
        ("--last 1 --output {run}/checkpoint-2", "exists: delete it, or give another --output"),
        ("--lst 1", "unknown flag --lst of hf-strategies average: did you mean '--last'"),
    ],
)
def test_a_flag_that_does_not_fit(run: Path, flags: str, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    check_mistake(f"average {run} {flags}".format(run=run), words, capsys)
    assert sorted(path.name for path in run.iterdir()) == ["checkpoint-2", "checkpoint-4"]


def lose_a_weight(newest: Path) -> None:
    write_checkpoint(newest, {"v": torch.zeros(2, 2)})


def change_a_shape(newest: Path) -> None:
    write_checkpoint(newest, {"w": torch.zeros(3, 2)})


def change_a_type(newest: Path) -> None:
    write_checkpoint(newest, {"w": torch.zeros(2, 2, dtype=torch.float16)})


def change_labels(newest: Path) -> None:
    write_checkpoint(newest, {"w": torch.zeros(2, 2)}, config={"model_type": "bert", "id2label": {"0": "a"}})


def become_an_adapter(newest: Path) -> None:
    (newest / "model.safetensors").rename(newest / "adapter_model.safetensors")


def cut_off(newest: Path) -> None:
    content = (newest / "model.safetensors").read_bytes()
    (newest / "model.safetensors").write_bytes(content[:-4])


def diverge(newest: Path) -> None:
    write_checkpoint(newest, {"w": torch.full((2, 2), float("nan"))})


def lose_the_state(newest: Path) -> None:
    (newest / "trainer_state.json").unlink()


def break_the_state(newest: Path) -> None:
    (newest / "trainer_state.json").write_text('{"log_history": 5}')


def be_pickled(newest: Path) -> None:
    (newest / "model.safetensors").rename(newest / "pytorch_model.bin")


def be_sharded_by_deepspeed(newest: Path) -> None:
    (newest / "model.safetensors").unlink()
    (newest / "latest").write_text("global_step4")


def be_sharded_by_fsdp(newest: Path) -> None:
    (newest / "model.safetensors").unlink()
    (newest / "pytorch_model_fsdp_0").mkdir()
    (newest / "pytorch_model_fsdp_0" / ".metadata").write_text("")


def have_nothing(newest: Path) -> None:
    (newest / "model.safetensors").unlink()


def name_files_elsewhere(newest: Path) -> None:
    index = {"weight_map": {"w": "../../checkpoint-2/model.safetensors"}}
    (newest / "model.safetensors.index.json").write_text(json.dumps(index))


def name_a_missing_shard(newest: Path) -> None:
    index = {"weight_map": {"w": "model-00001-of-00002.safetensors"}}
    (newest / "model.safetensors.index.json").write_text(json.dumps(index))


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lose_a_weight, "checkpoint-4 has no weight 'w', which"),
        (change_a_shape, "'w' is F32 2 x 2 in"),
        (change_a_type, "F16 2 x 2 in"),
        (change_labels, "id2label=null"),
        (become_an_adapter, "checkpoint-4 has an adapter and"),
        (cut_off, "is damaged or cannot be read"),
        (diverge, "'w' has values that are not finite in"),
        (lose_the_state, "has no trainer_state.json that can be read: wait until it is written"),
        (break_the_state, "has no log_history"),
        (be_pickled, "has weights in a .bin file, which may hold code: load it where you trust it"),
        (be_sharded_by_deepspeed, "zero_to_fp32.py"),
        (be_sharded_by_fsdp, "run accelerate merge-weights"),
        (have_nothing, "has no model.safetensors and no adapter_model.safetensors"),
        (name_files_elsewhere, "names no files of weights"),
        (name_a_missing_shard, "is damaged or cannot be read"),
    ],
)
def test_a_checkpoint_that_does_not_fit(
    run: Path, damage: Callable[[Path], None], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    damage(run / "checkpoint-4")
    check_mistake(f"average {run} --last 2", words, capsys)
    assert sorted(path.name for path in run.iterdir()) == ["checkpoint-2", "checkpoint-4"]


def test_adapters_of_another_base_or_scale_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def adapter(step: int, **config: Any) -> None:
        folder = write_checkpoint(
            tmp_path / f"checkpoint-{step}", {"a.lora_A.weight": torch.zeros(2, 2)}, name="adapter_model.safetensors"
        )
        (folder / "adapter_config.json").write_text(json.dumps({"r": 2, "lora_alpha": 4} | config))

    adapter(2)
    adapter(4, lora_alpha=8)
    check_mistake(f"average {tmp_path} --last 2", "lora_alpha=4", capsys)


def test_a_folder_that_is_no_run(tmp_path: Path, run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    check_mistake("average --last 1", "RUN_DIR is missing", capsys)
    check_mistake(
        f"average {tmp_path}/nowhere --last 1", "is no folder: give the output_dir of a Trainer's run", capsys
    )
    check_mistake(f"average {tmp_path} --last 1", "has no checkpoint: train with --save_strategy epoch", capsys)
    check_mistake(f"average {run}/checkpoint-2 --last 1", f"has no checkpoint: give the folder above, {run}", capsys)


def test_several_runs_take_an_output_and_no_choice_of_checkpoints(
    tmp_path: Path, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(run, tmp_path / "other")
    check_mistake(f"average {run} {tmp_path}/other", "--output is missing", capsys)
    both = f"average {run} {tmp_path}/other --output {tmp_path}/o"
    check_mistake(f"{both} --last 2", "--last has no meaning for the final models of several runs", capsys)
    check_mistake(both, "has no model.safetensors and no adapter_model.safetensors", capsys)
    check_mistake(f"average {run} {run}/ --output {tmp_path}/o", "is given twice", capsys)
    check_mistake(f"average {run} {tmp_path}/none --output {tmp_path}/o", "is no folder", capsys)


def test_an_adapter_alone_is_not_evaluated_by_a_recipe(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_checkpoint(tmp_path / "checkpoint-2", {"a": torch.zeros(2)}, name="adapter_model.safetensors")
    command = f"average {tmp_path} --greedy --recipe text_classification --validation_file x.csv"
    check_mistake(command, "checkpoint-2 has an adapter, and a recipe evaluates whole models", capsys)
