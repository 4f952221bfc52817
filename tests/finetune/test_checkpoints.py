"""Checkpoints: which are whole, and which of a folder a run goes on from."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from hf_strategies.finetune.checkpoints import (
    CHECKPOINT_RECORD,
    Choice,
    Losses,
    damage,
    losses_of,
    missing_state,
    newest_whole,
    record_checkpoint,
    run_of,
)

LOSSES = Losses(total=2.5, since_log=0.25, last_log=3)


def make_checkpoint(folder: Path, step: int = 4, run: str | None = None) -> Path:
    """Write the files that a Trainer writes for a small model."""
    checkpoint = folder / f"checkpoint-{step}"
    checkpoint.mkdir(parents=True)
    save_file({"weight": torch.arange(60.0)}, checkpoint / "model.safetensors")
    for name in ("optimizer.pt", "scheduler.pt", "rng_state.pth", "training_args.bin"):
        torch.save({"values": torch.arange(30.0)}, checkpoint / name)
    for name in ("config.json", "tokenizer.json"):
        (checkpoint / name).write_text(json.dumps({"name": name}), encoding="utf-8")
    write_state(checkpoint, step)
    if run is not None:
        record_checkpoint(checkpoint, run, LOSSES, is_written=True)
    return checkpoint


def write_state(checkpoint: Path, step: int) -> None:
    state = {"global_step": step, "log_history": [{"loss": 1.0, "step": step}]}
    (checkpoint / "trainer_state.json").write_text(json.dumps(state), encoding="utf-8")


def halve(file: Path) -> None:
    os.truncate(file, file.stat().st_size // 2)


def fill(file: Path) -> None:
    file.write_bytes(bytes(range(256)) * 4)


def test_a_checkpoint_of_a_plain_trainer_is_whole(make_trainer: Callable[..., Any], tmp_path: Path) -> None:
    make_trainer(max_steps=2, save_strategy="steps", save_steps=1).train()
    choice = newest_whole(tmp_path / "out", "some run")
    assert choice.folder == tmp_path / "out" / "checkpoint-2"
    assert choice.skipped == {}


def test_a_checkpoint_of_the_model_only_is_whole(make_trainer: Callable[..., Any], tmp_path: Path) -> None:
    make_trainer(max_steps=1, save_strategy="steps", save_steps=1, save_only_model=True).train()
    assert newest_whole(tmp_path / "out", None).folder == tmp_path / "out" / "checkpoint-1"


@pytest.mark.parametrize("has_record", [True, False], ids=["with a record", "without"])
@pytest.mark.parametrize("break_file", [Path.unlink, halve, fill, Path.touch])
@pytest.mark.parametrize("name", ["model.safetensors", "optimizer.pt", "scheduler.pt", "rng_state.pth"])
def test_a_file_that_is_gone_cut_or_garbage_is_named(
    name: str, break_file: Callable[[Path], None], has_record: bool, tmp_path: Path
) -> None:
    checkpoint = make_checkpoint(tmp_path, run="mine" if has_record else None)
    break_file(checkpoint / name)
    reason = newest_whole(tmp_path, "mine").skipped.get(checkpoint)
    if break_file is Path.touch:  # nothing is broken
        assert reason is None
    else:
        words = {"model.safetensors": "weights", "optimizer.pt": "optimizer", "scheduler.pt": "schedule"}
        assert reason is not None
        assert name in reason or words.get(name, "random numbers") in reason
        assert "\n" not in reason


@pytest.mark.parametrize("has_record", [True, False], ids=["with a record", "without"])
@pytest.mark.parametrize("name", ["optimizer.pt", "scheduler.pt", "rng_state.pth", "model.safetensors"])
def test_a_folder_in_the_place_of_a_file_is_named(name: str, has_record: bool, tmp_path: Path) -> None:
    checkpoint = make_checkpoint(tmp_path, run="mine" if has_record else None)
    (checkpoint / name).unlink()
    (checkpoint / name).mkdir()
    assert name in newest_whole(tmp_path, "mine").skipped[checkpoint]


@pytest.mark.parametrize(
    "record",
    ["[1]", "{}", "{", '{"run": 5}', '{"run": "mine", "files": {"a": 5}}', '{"run": "mine", "files": {"a": "abc"}}'],
)
def test_a_record_that_is_none_is_named(record: str, tmp_path: Path) -> None:
    checkpoint = make_checkpoint(tmp_path)
    (checkpoint / CHECKPOINT_RECORD).write_text(record, encoding="utf-8")
    assert damage(checkpoint) == "its _run.json is no record of a checkpoint"


def test_losses_that_are_no_numbers_are_none(tmp_path: Path) -> None:
    checkpoint = make_checkpoint(tmp_path)
    losses = {"total": "x", "since_log": None, "last_log": []}
    (checkpoint / CHECKPOINT_RECORD).write_text(json.dumps({"run": "mine", "losses": losses}), encoding="utf-8")
    assert losses_of(checkpoint) is None


@pytest.mark.parametrize("name", ["trainer_state.json", "config.json", "tokenizer.json"])
@pytest.mark.parametrize("break_file", [halve, fill, lambda file: file.write_bytes(b"")])
def test_json_that_is_none_is_named(name: str, break_file: Callable[[Path], Any], tmp_path: Path) -> None:
    checkpoint = make_checkpoint(tmp_path)
    break_file(checkpoint / name)
    assert damage(checkpoint) == f"its {name} is no JSON"


def test_weights_that_changed_after_they_were_written_are_noticed(tmp_path: Path) -> None:
    checkpoint = make_checkpoint(tmp_path, run="mine")
    content = bytearray((checkpoint / "model.safetensors").read_bytes())
    content[-3] ^= 1
    (checkpoint / "model.safetensors").write_bytes(content)
    assert damage(checkpoint) == "its model.safetensors has changed since it was written"


def test_a_state_of_another_step_is_no_state_of_this_checkpoint(tmp_path: Path) -> None:
    checkpoint = make_checkpoint(tmp_path)
    write_state(checkpoint, 3)
    assert damage(checkpoint) == "its trainer_state.json is of step 3"


def test_the_newest_whole_checkpoint_is_taken_and_none_is_deleted(tmp_path: Path) -> None:
    whole = make_checkpoint(tmp_path, 8)
    make_checkpoint(tmp_path, 4)
    (make_checkpoint(tmp_path, 12) / "trainer_state.json").unlink()
    (tmp_path / "checkpoint-99999").mkdir()
    (tmp_path / "checkpoint-77").write_text("no folder", encoding="utf-8")
    for name in ("tmp-checkpoint-16", "checkpoint-16.tmp", "checkpoint-best"):
        shutil.copytree(whole, tmp_path / name)
    before = sorted(tmp_path.rglob("*"))
    choice = newest_whole(tmp_path, None)
    assert choice.folder == whole
    reasons = {path.name: reason for path, reason in choice.skipped.items()}
    assert reasons == {"checkpoint-99999": "it is empty", "checkpoint-12": "it has no trainer_state.json"}
    assert sorted(tmp_path.rglob("*")) == before


def test_steps_are_compared_as_numbers(tmp_path: Path) -> None:
    make_checkpoint(tmp_path, 9)
    assert newest_whole(tmp_path, None).folder == tmp_path / "checkpoint-9"
    assert newest_whole(tmp_path, None).folder != make_checkpoint(tmp_path, 10)
    assert newest_whole(tmp_path, None).folder == tmp_path / "checkpoint-10"


def test_a_checkpoint_of_another_run_is_passed_over_and_one_of_no_run_is_taken(tmp_path: Path) -> None:
    make_checkpoint(tmp_path, 8, run="older")
    nobodys = make_checkpoint(tmp_path, 4)
    choice = newest_whole(tmp_path, "mine")
    assert choice.folder == nobodys
    assert list(choice.skipped.values()) == ["it belongs to another run"]
    assert newest_whole(tmp_path, None).folder == tmp_path / "checkpoint-8"


def test_a_checkpoint_without_the_record_that_an_older_one_of_the_run_has_is_passed_over(tmp_path: Path) -> None:
    recorded, bare = make_checkpoint(tmp_path, 4, "mine"), make_checkpoint(tmp_path, 6)
    assert newest_whole(tmp_path, "mine") == Choice(recorded, {bare: "it has no _run.json"})
    # A plain Trainer has written the older one; the recipe has gone on from there.
    make_checkpoint(tmp_path / "after", 2)
    newer = make_checkpoint(tmp_path / "after", 4, "mine")
    assert newest_whole(tmp_path / "after", "mine") == Choice(newer, {})
    (newer / "_run.json").unlink()
    assert newest_whole(tmp_path / "after", "mine").folder == newer


def test_the_record_names_the_run_and_its_losses_before_all_is_written(tmp_path: Path) -> None:
    record_checkpoint(tmp_path / "checkpoint-4", "mine", LOSSES, is_written=False)
    assert (run_of(tmp_path / "checkpoint-4"), losses_of(tmp_path / "checkpoint-4")) == ("mine", LOSSES)
    assert damage(tmp_path / "checkpoint-4") == "it has no trainer_state.json"


class TestLayouts:
    """Weights and states in the files of other kinds of training."""

    def test_several_files_of_weights_are_all_needed(self, tmp_path: Path) -> None:
        checkpoint = make_checkpoint(tmp_path)
        names = [f"model-0000{part}-of-00002.safetensors" for part in (1, 2)]
        for name in names:
            shutil.copy(checkpoint / "model.safetensors", checkpoint / name)
        (checkpoint / "model.safetensors").unlink()
        index = {"weight_map": {"a": names[0], "b": names[1]}}
        (checkpoint / "model.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")
        assert damage(checkpoint) is None
        (checkpoint / names[1]).unlink()
        assert damage(checkpoint) == f"it has no {names[1]}"

    def test_adapters_are_weights(self, tmp_path: Path) -> None:
        checkpoint = make_checkpoint(tmp_path)
        (checkpoint / "model.safetensors").rename(checkpoint / "adapter_model.safetensors")
        assert damage(checkpoint) is None
        halve(checkpoint / "adapter_model.safetensors")
        assert str(damage(checkpoint)).startswith("its adapter_model.safetensors is damaged")

    def test_folders_of_fsdp_are_weights_and_state(self, tmp_path: Path) -> None:
        checkpoint = make_checkpoint(tmp_path)
        for name in ("model.safetensors", "optimizer.pt"):
            (checkpoint / name).unlink()
        for name in ("pytorch_model_fsdp_0", "optimizer_0"):
            (checkpoint / name).mkdir()
            (checkpoint / name / ".metadata").write_bytes(b"x")
        assert damage(checkpoint) is None
        assert missing_state(checkpoint) is None

    def test_the_folder_of_deepspeed_is_weights_and_state(self, tmp_path: Path) -> None:
        checkpoint = make_checkpoint(tmp_path)
        for name in ("model.safetensors", "optimizer.pt", "scheduler.pt"):
            (checkpoint / name).unlink()
        (checkpoint / "latest").write_text("global_step4", encoding="utf-8")
        assert damage(checkpoint) == "it has no weights of a model"
        (checkpoint / "global_step4").mkdir()
        torch.save({}, checkpoint / "global_step4" / "mp_rank_00_model_states.pt")
        assert damage(checkpoint) is None
        assert missing_state(checkpoint) is None

    def test_random_numbers_of_each_process_are_needed(self, tmp_path: Path) -> None:
        checkpoint = make_checkpoint(tmp_path)
        (checkpoint / "rng_state.pth").rename(checkpoint / "rng_state_0.pth")
        assert missing_state(checkpoint, processes=2) == "it has no rng_state_1.pth"
        shutil.copy(checkpoint / "rng_state_0.pth", checkpoint / "rng_state_1.pth")
        assert missing_state(checkpoint, processes=2) is None
        assert missing_state(checkpoint, processes=1) is None

    def test_what_the_trainer_itself_marks_as_unfinished_is(self, tmp_path: Path) -> None:
        checkpoint = make_checkpoint(tmp_path)
        (checkpoint / "checkpoint-is-incomplete.txt").touch()
        assert damage(checkpoint) == "it was not written to its end (checkpoint-is-incomplete.txt)"
