"""Recipe runs that are interrupted: what they print and leave, and that they go on to the result of a whole run."""

import errno
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from hf_strategies import StrategyError
from hf_strategies.finetune.disk import DiskError
from hf_strategies.finetune.run_folder import RUN_RECORD, RunFolder
from hf_strategies.finetune.trainer import RecipeTrainer
from hf_strategies.recipes import text_classification
from tests.finetune.runs import QUIET, predictions, read, reviews, write_csv

LAST = ["--resume_from_checkpoint", "last"]
# 3 steps in an epoch: the run ends in the middle of the second one, between two log entries.
SETTINGS = [
    *("--per_device_train_batch_size", "8", "--max_steps", "5", "--logging_steps", "3", "--learning_rate", "3e-3"),
    *("--eval_strategy", "steps", "--eval_steps", "2", "--save_strategy", "steps", "--save_steps", "2"),
    *("--save_total_limit", "2", "--max_length", "24"),
    *("--early_stopping_patience", "9", "--early_stopping_monitor", "accuracy"),
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


def run(out: Path, files: list[str], *flags: str) -> RecipeTrainer:
    argv = [*QUIET, *SETTINGS, *files, "--output_dir", str(out), *flags]
    trainer = text_classification.main(argv)
    assert isinstance(trainer, RecipeTrainer)
    return trainer


def results(out: Path) -> dict[str, Any]:
    """What a run has left, without its times."""
    log = read(out / "trainer_state.json")["log_history"]
    return {
        "log": [without_times(entry) for entry in log],
        "results": without_times(read(out / "all_results.json")),
        "predictions": predictions(out),
        "weights": {name: value.tolist() for name, value in load_file(out / "model.safetensors").items()},
    }


def without_times(entry: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in entry.items() if not re.search(r"runtime|per_second", key)}


def content(out: Path) -> dict[str, bytes]:
    return {str(path.relative_to(out)): path.read_bytes() for path in out.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def whole(files: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nothing has interrupted."""
    out = tmp_path_factory.mktemp("whole") / "out"
    run(out, files)
    return out


@pytest.fixture
def at_step(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, Callable[[], object]], None]:
    """Let something happen in the middle of a step, once."""

    def arrange(step: int, happen: Callable[[], object]) -> None:
        original = RecipeTrainer.training_step

        def training_step(trainer: RecipeTrainer, *args: Any, **kwargs: Any) -> torch.Tensor:
            if trainer.state.global_step + 1 == step:
                monkeypatch.setattr(RecipeTrainer, "training_step", original)
                happen()
            return original(trainer, *args, **kwargs)

        monkeypatch.setattr(RecipeTrainer, "training_step", training_step)

    return arrange


def test_a_preempted_run_says_how_to_go_on_and_ends_as_a_whole_one(
    files: list[str], whole: Path, tmp_path: Path, at_step: Any, caplog: pytest.LogCaptureFixture
) -> None:
    at_step(3, lambda: os.kill(os.getpid(), signal.SIGTERM))
    with pytest.raises(SystemExit) as ended:
        run(tmp_path, files)
    assert ended.value.code == 143
    words = "the same command with --resume_from_checkpoint last goes on from checkpoint-3"
    assert f"Preempted by SIGTERM at step 3: {words}" in caplog.messages
    assert not {"all_results.json", "predictions.jsonl", "README.md", "model.safetensors"} & set(content(tmp_path))
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    run(tmp_path, files, *LAST)
    assert results(tmp_path) == results(whole)


def test_sigterm_after_training_says_how_to_go_on_and_ends_as_a_whole_run(
    files: list[str], whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    predict = RecipeTrainer.predict
    monkeypatch.setattr(RecipeTrainer, "predict", lambda *args, **kwargs: os.kill(os.getpid(), signal.SIGTERM))
    with pytest.raises(SystemExit) as ended:
        run(tmp_path, files)
    monkeypatch.setattr(RecipeTrainer, "predict", predict)
    assert ended.value.code == 143
    words = "the same command with --resume_from_checkpoint last goes on from checkpoint-5"
    assert f"Ended by SIGTERM: {words}" in caplog.messages
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    run(tmp_path, files, *LAST)
    assert results(tmp_path) == results(whole)


def test_a_second_ctrl_c_does_not_cut_off_the_line_of_the_first(
    files: list[str], tmp_path: Path, at_step: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = RunFolder.end

    def end(folder: RunFolder) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        release(folder)

    monkeypatch.setattr(RunFolder, "end", end)
    at_step(2, lambda: os.kill(os.getpid(), signal.SIGINT))
    with pytest.raises(KeyboardInterrupt, match="Interrupted: the same command with"):
        run(tmp_path, files)
    assert "process" not in read(tmp_path / RUN_RECORD)


def test_a_run_resumed_with_other_flags_says_which(
    files: list[str], whole: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shutil.copytree(whole, tmp_path / "out")
    shutil.rmtree(tmp_path / "out" / "checkpoint-5")
    run(tmp_path / "out", files, *LAST, "--seed", "9", "--learning_rate", "1e-3")
    lines = [line for line in caplog.messages if line.startswith("Resumed with")]
    assert lines == [
        "Resumed with other values of learning_rate, seed than this run has had: they hold for the steps from here"
        " on; the peak learning rate stays that of the checkpoint"
    ]


def test_a_checkpoint_of_other_labels_is_refused_and_the_folder_stays_as_it_is(
    files: list[str], whole: Path, tmp_path: Path
) -> None:
    rows = [row | {"label": ("good", "bad", "fair")[index % 3]} for index, row in enumerate(reviews(24, 5))]
    other = write_csv(tmp_path / "other.csv", rows)
    with pytest.raises(
        StrategyError, match=r"checkpoint-5' is of another run: it has classifier\.weight of the size 2"
    ):
        run(
            tmp_path / "out",
            files,
            *("--resume_from_checkpoint", str(whole / "checkpoint-5"), "--train_file", other),
            *("--validation_file", other, "--do_predict", "false"),
        )
    assert not (tmp_path / "out").exists()


def test_ctrl_c_says_how_to_go_on(files: list[str], tmp_path: Path, at_step: Any) -> None:
    at_step(4, lambda: os.kill(os.getpid(), signal.SIGINT))
    with pytest.raises(KeyboardInterrupt) as interrupted:
        run(tmp_path, files)
    words = "Interrupted: the same command with --resume_from_checkpoint last goes on from checkpoint-2"
    assert str(interrupted.value) == words
    assert "process" not in read(tmp_path / RUN_RECORD)


def test_a_full_disk_at_a_checkpoint_is_one_line_and_leaves_the_one_before(
    files: list[str], whole: Path, tmp_path: Path, at_step: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fill(*_args: Any, **_kwargs: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(tmp_path / "checkpoint-4" / "optimizer.pt"))

    with monkeypatch.context() as full:
        at_step(4, lambda: full.setattr(torch, "save", fill))
        with pytest.raises(DiskError, match=r"checkpoint-4/optimizer.pt' cannot be written: No space left on device"):
            run(tmp_path, files)
    assert sorted(path.name for path in tmp_path.glob("checkpoint-*")) == ["checkpoint-2"]
    run(tmp_path, files, *LAST)
    assert results(tmp_path) == results(whole)


def test_a_run_killed_after_training_goes_on_with_its_results(
    files: list[str], whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as killed:
        killed.setattr(RecipeTrainer, "predict", lambda *_args: os.kill(os.getpid(), signal.SIGINT))
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path, files)
    trained = (tmp_path / "train_results.json").read_bytes()
    run(tmp_path, files, *LAST)
    assert results(tmp_path) == results(whole)
    assert (tmp_path / "train_results.json").read_bytes() == trained


def test_a_finished_run_resumed_leaves_every_byte_as_it_was(
    files: list[str], whole: Path, caplog: pytest.LogCaptureFixture
) -> None:
    before = content(whole)
    trainer = run(whole, files, *LAST)
    assert content(whole) == before
    assert "has ended, at step 5, and is left as it is" in caplog.text
    assert trainer.state.global_step == 5
    saved = load_file(whole / "model.safetensors")
    assert all(torch.equal(value, saved[name]) for name, value in trainer.model.state_dict().items() if name in saved)


def test_a_run_that_ends_between_two_checks_of_its_last_step_is_not_trained_further(
    files: list[str], whole: Path, tmp_path: Path
) -> None:
    """Only the checkpoint of the last step is there, as after a kill before anything else was written."""
    shutil.copytree(whole / "checkpoint-5", tmp_path / "checkpoint-5")
    trainer = run(tmp_path, files, *LAST)
    assert trainer.state.global_step == 5
    assert results(tmp_path) == results(whole)


def test_overwriting_begins_a_run_of_which_nothing_older_is_left(
    files: list[str], whole: Path, tmp_path: Path, at_step: Any, caplog: pytest.LogCaptureFixture
) -> None:
    run(tmp_path, files, "--seed", "7", "--max_steps", "8")
    (tmp_path / "notes.txt").write_text("mine", encoding="utf-8")
    at_step(1, lambda: os.kill(os.getpid(), signal.SIGINT))
    with pytest.raises(KeyboardInterrupt, match="starts again, because no checkpoint is saved yet"):
        run(tmp_path, files, "--overwrite_output_dir")
    assert set(content(tmp_path)) == {RUN_RECORD, "_run.lock", "notes.txt"}
    run(tmp_path, files, "--overwrite_output_dir", *LAST)
    assert "there is no whole checkpoint" in caplog.text
    assert results(tmp_path) == results(whole)


def test_a_named_checkpoint_that_is_damaged_is_refused(files: list[str], whole: Path, tmp_path: Path) -> None:
    shutil.copytree(whole / "checkpoint-4", tmp_path / "checkpoint-4")
    (tmp_path / "checkpoint-4" / "trainer_state.json").write_text("{", encoding="utf-8")
    with pytest.raises(StrategyError, match=r"checkpoint-4' is damaged: its trainer_state.json is no JSON: give"):
        run(tmp_path / "out", files, "--resume_from_checkpoint", str(tmp_path / "checkpoint-4"))
    assert not (tmp_path / "out").exists()


def test_a_second_run_in_the_folder_is_refused(files: list[str], tmp_path: Path) -> None:
    owner = {"pid": os.getppid(), "host": os.uname().nodename, "began": "", "since": "today"}
    (tmp_path / RUN_RECORD).write_text(json.dumps({"run": "first", "process": owner}), encoding="utf-8")
    for flags in ([], LAST, ["--overwrite_output_dir"]):
        with pytest.raises(StrategyError, match=f"in use by process {os.getppid()}"):
            run(tmp_path, files, *flags)
    assert list(content(tmp_path)) == [RUN_RECORD]


@pytest.mark.slow
def test_a_real_limit_of_what_can_be_written_is_one_line(files: list[str], checkout: Path, tmp_path: Path) -> None:
    """The weights are the first file above the limit, and Rust writes them."""
    command = [sys.executable, "recipes/text_classification.py", *QUIET, *SETTINGS, *files, "--output_dir"]
    limit = ["bash", "-c", 'ulimit -f 200 && exec "$@"', "limited", *command, str(tmp_path / "out")]
    ended = subprocess.run(limit, cwd=checkout, capture_output=True, text=True, timeout=300)
    assert ended.returncode == 1
    assert "Traceback" not in ended.stderr
    line = ended.stderr.splitlines()[-1]
    assert line.startswith(f"error: '{tmp_path / 'out'}' cannot be written: File too large: free some space there")
    assert list((tmp_path / "out").glob("checkpoint-*")) == []
