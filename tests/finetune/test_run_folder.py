"""The output folder of a run: its identity, the process that writes into it, and what is deleted from it."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hf_strategies import StrategyError
from hf_strategies.finetune.run_folder import RUN_RECORD, RunFolder


@pytest.fixture
def other_process() -> Iterator[subprocess.Popen[bytes]]:
    """Another process on this host, which waits."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        yield process
        process.kill()


def record_of(folder: Path) -> Any:
    return json.loads((folder / RUN_RECORD).read_text(encoding="utf-8"))


def give_to(folder: Path, **process: Any) -> None:
    """Write the record of a run in a process."""
    folder.mkdir(exist_ok=True)
    owner = {"pid": os.getpid(), "host": socket.gethostname(), "began": "", "since": "yesterday"} | process
    (folder / RUN_RECORD).write_text(json.dumps({"run": "older", "process": owner}), encoding="utf-8")


def test_a_run_has_an_identity_of_its_own_that_stays(tmp_path: Path) -> None:
    RunFolder(tmp_path / "a").begin(None)
    RunFolder(tmp_path / "b").begin(None)
    first = RunFolder(tmp_path / "a").run
    assert first is not None
    assert first != RunFolder(tmp_path / "b").run
    RunFolder(tmp_path / "a").begin(first)
    assert RunFolder(tmp_path / "a").run == first
    RunFolder(tmp_path / "a").begin(None)
    assert RunFolder(tmp_path / "a").run != first


def test_a_folder_is_refused_while_another_process_writes_into_it(
    other_process: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    give_to(tmp_path, pid=other_process.pid)
    before = record_of(tmp_path)
    with pytest.raises(StrategyError, match=f"in use by process {other_process.pid}, since yesterday: wait until"):
        RunFolder(tmp_path).begin(None)
    assert record_of(tmp_path) == before


def test_the_folder_of_a_process_that_was_killed_is_taken_over(
    other_process: subprocess.Popen[bytes], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    give_to(tmp_path, pid=other_process.pid)
    other_process.kill()
    while Path(f"/proc/{other_process.pid}/stat").read_text().split()[2] != "Z":  # it is killed, but not yet gone
        pass
    RunFolder(tmp_path).begin("older")
    assert "is taken over from process" in caplog.text
    assert record_of(tmp_path)["process"]["pid"] == os.getpid()


def test_a_number_that_another_process_has_got_since_is_not_that_process(
    other_process: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    give_to(tmp_path, pid=other_process.pid, began="another boot 17")
    RunFolder(tmp_path).begin("older")
    assert record_of(tmp_path)["process"]["pid"] == os.getpid()


def test_a_process_of_another_host_is_not_judged_from_here(tmp_path: Path) -> None:
    give_to(tmp_path, pid=1, host="elsewhere")
    with pytest.raises(StrategyError, match=r"process 1 on elsewhere, .*or delete '.*_run.json' if that run is over"):
        RunFolder(tmp_path).begin(None)


def test_a_folder_is_free_when_its_run_has_ended(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.begin(None)
    folder.note(trained={"step": 3})
    folder.end()
    assert record_of(tmp_path) == {"run": folder.run, "trained": {"step": 3}}


@pytest.mark.parametrize("content", ["", "{", "[]", '{"run": 3, "process": 7}', '{"process": {"pid": "x"}}'])
def test_a_record_that_cannot_be_read_is_that_of_no_run(content: str, tmp_path: Path) -> None:
    (tmp_path / RUN_RECORD).write_text(content, encoding="utf-8")
    assert RunFolder(tmp_path).run is None
    RunFolder(tmp_path).begin(None)
    assert RunFolder(tmp_path).run is not None


@pytest.mark.parametrize(
    "process",
    [{"pid": 10**30}, {"pid": -1}, {"pid": 0}, {"pid": True}, {"pid": "5"}, {"host": ""}, {"host": [1]}],
)
def test_an_entry_that_names_no_process_is_none(process: dict[str, Any], tmp_path: Path) -> None:
    give_to(tmp_path, **process)
    RunFolder(tmp_path).refuse_other_process()
    RunFolder(tmp_path).begin(None)
    assert record_of(tmp_path)["process"]["pid"] == os.getpid()


class TestClear:
    """What an older run has left is deleted, and nothing else."""

    WRITTEN = (
        "checkpoint-4/model.safetensors",
        "_best_weights-eval_loss-1f/waiting-4/best.safetensors",
        "_weight_average/waiting-4/weight_average.safetensors",
        "raw/training_args.bin",
        "raw/model.safetensors",
        "adapter/adapter_config.json",
        "all_results.json",
        "_all_results.tmp.json",
        "train_results.json",
        "predictions.jsonl",
        "trainer_state.json",
        "training_args.bin",
        "README.md",
        "training.png",
    )
    MODEL = ("model.safetensors", "model-00001-of-00002.safetensors", "config.json", "tokenizer.json")
    OTHERS = (
        "notes.md",
        "results.json",
        "my_model.safetensors",
        "checkpoint-best/model.safetensors",
        "adapters/a.txt",
        "data/train.csv",
        "_x.tmp.json",
        "runs/events",
    )

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        """A folder with files of an older run, and others."""
        for name in (*self.WRITTEN, *self.MODEL, *self.OTHERS):
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text("{}", encoding="utf-8")
        return tmp_path

    @staticmethod
    def files(folder: Path) -> set[str]:
        names = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
        return names - {RUN_RECORD, "_run.lock"}

    def test_the_user_s_own_files_stay(self, folder: Path) -> None:
        RunFolder(folder).begin(None, clear=True)
        assert self.files(folder) == set(self.OTHERS)

    def test_the_model_stays_where_the_new_run_begins_with_it(self, folder: Path) -> None:
        RunFolder(folder).begin(None, clear=True, keep_model=True)
        assert self.files(folder) == {*self.OTHERS, *self.MODEL}

    def test_a_run_killed_while_it_deletes_is_known_as_such(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def kill(path: Path) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(Path, "unlink", kill)
        with pytest.raises(KeyboardInterrupt):
            RunFolder(folder).begin(None, clear=True)
        monkeypatch.undo()
        assert RunFolder(folder).is_being_cleared
        RunFolder(folder).begin(RunFolder(folder).run, clear=True)
        assert not RunFolder(folder).is_being_cleared
        assert self.files(folder) == set(self.OTHERS)
