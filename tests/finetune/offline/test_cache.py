"""The cache of the offline tasks: when it is read, when it is written anew, and where it is."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hf_strategies.finetune.offline import task as task_module
from hf_strategies.finetune.offline.cache import cache_root, read_rows, write_rows
from hf_strategies.finetune.offline.sentences import library_sentences
from hf_strategies.finetune.offline.task import load_offline
from tests.finetune.offline.packages import finish, start_loading, write_fakes


def test_processes_that_build_at_once_all_end_with_the_same_valid_cache(tmp_path: Path) -> None:
    write_fakes(tmp_path / "site")
    processes = [start_loading(tmp_path / "site", tmp_path / "cache") for _ in range(4)]
    outputs = {finish(process) for process in processes}
    assert len(outputs) == 1
    (folder,) = (tmp_path / "cache").iterdir()  # nothing temporary is left
    assert read_rows(folder) == json.loads(outputs.pop())


def forbid_building(monkeypatch: pytest.MonkeyPatch) -> None:
    def walk(*_: object, **__: object) -> None:
        raise AssertionError("built again")

    monkeypatch.setattr(task_module, "walk_docstrings", walk)


def test_the_second_load_builds_nothing_and_returns_what_was_built(
    fakes: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = load_offline(library_sentences(fakes), cache_dir=tmp_path / "cache")
    forbid_building(monkeypatch)
    assert load_offline(library_sentences(fakes), cache_dir=tmp_path / "cache") == first
    assert {split: len(rows) for split, rows in first.items()} == {"train": 160, "validation": 20, "test": 20}
    assert all(row.keys() == {"text", "label", "source"} for rows in first.values() for row in rows)


@pytest.mark.parametrize(
    "what", ["seed", "per_library", "libraries", "name", "version of the task", "version of a library"]
)
def test_another_setting_or_version_is_another_cache(
    what: str, fakes: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = library_sentences(fakes)
    load_offline(task, cache_dir=tmp_path / "cache")
    if what == "version of a library":
        monkeypatch.setattr("importlib.metadata.version", lambda name: "2.0")
    changes: dict[str, Any] = {
        "per_library": {"per_library": 90},
        "libraries": {"libraries": fakes[:1]},
        "name": {"name": "other"},
        "version of the task": {"version": 99},
    }
    changed = replace(task, **changes.get(what, {}))
    load_offline(changed, seed=1 if what == "seed" else 0, cache_dir=tmp_path / "cache")
    assert len(list((tmp_path / "cache").iterdir())) == 2


def test_the_cache_has_all_rows_where_a_task_uses_only_the_first(
    fakes: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    all_rows = load_offline(library_sentences(fakes), cache_dir=tmp_path)
    forbid_building(monkeypatch)
    few = load_offline(replace(library_sentences(fakes), max_rows=7), cache_dir=tmp_path)
    assert few == {split: rows[:7] for split, rows in all_rows.items()}


def cut_in_half(folder: Path) -> None:
    file = folder / "train.jsonl"
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


DAMAGES: dict[str, Callable[[Path], object]] = {
    "half written": cut_in_half,
    "a file is gone": lambda folder: (folder / "test.jsonl").unlink(),
    "an empty file": lambda folder: (folder / "validation.jsonl").write_bytes(b""),
    "no digests": lambda folder: (folder / "digests.json").unlink(),
    "digests are no JSON": lambda folder: (folder / "digests.json").write_text("{"),
    "digests of nothing": lambda folder: (folder / "digests.json").write_text("{}"),
    "digests are a list": lambda folder: (folder / "digests.json").write_text('["train"]'),
    "zeros": lambda folder: (folder / "train.jsonl").write_bytes(bytes(999)),
    "copied from other data": lambda folder: write_copy(folder),
}


def write_copy(folder: Path) -> None:
    shutil.rmtree(folder)
    write_rows(folder.with_name("other"), {split: [{"other": "a row"}] for split in ("train", "validation", "test")})
    folder.with_name("other").rename(folder)


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_cache_is_built_anew_and_mended(
    damage: Callable[[Path], object],
    fakes: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    first = load_offline(library_sentences(fakes), cache_dir=tmp_path / "cache")
    (folder,) = (tmp_path / "cache").iterdir()
    damage(folder)
    assert load_offline(library_sentences(fakes), cache_dir=tmp_path / "cache") == first
    assert caplog.messages == [f"The cache {folder} is incomplete, damaged or foreign: it is made anew."]
    assert list((tmp_path / "cache").iterdir()) == [folder]
    forbid_building(monkeypatch)
    assert load_offline(library_sentences(fakes), cache_dir=tmp_path / "cache") == first


def test_where_nothing_can_be_written_the_rows_come_with_one_line(
    fakes: list[str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("not a folder")
    rows = load_offline(library_sentences(fakes), cache_dir=tmp_path / "file")
    assert caplog.messages == [
        f"The offline data set is built anew in each run, because it cannot be kept in {tmp_path}/file (Not a"
        " directory): set HF_STRATEGIES_CACHE to a folder that can be written and has room."
    ]
    assert rows == load_offline(library_sentences(fakes), cache_dir=tmp_path / "cache")


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"HF_STRATEGIES_CACHE": "/one", "XDG_CACHE_HOME": "/two", "HOME": "/three"}, "/one"),
        ({"XDG_CACHE_HOME": "/two", "HOME": "/three"}, "/two/hf_strategies"),
        ({"HOME": "/three"}, "/three/.cache/hf_strategies"),
    ],
)
def test_the_cache_goes_where_the_environment_says(
    variables: dict[str, str], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HF_STRATEGIES_CACHE", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert cache_root() == Path(expected)
    assert cache_root(Path("/given")) == Path("/given")
