"""Comparisons that are killed, shared by processes, interrupted, or fail: no run is lost, and none is made twice."""

import os
import random
import signal
import time
from pathlib import Path

import pytest

from hf_strategies.experiments.plan import Plan, read_seeds
from hf_strategies.experiments.race import Race
from hf_strategies.experiments.results import read_records
from hf_strategies.experiments.runner import Runner, is_done
from tests.experiments.fakes import runs_of, start, table_of, trainings_of
from tests.experiments.programs.compare_fakes import command


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The table of the comparison that nothing interrupts."""
    folder = tmp_path_factory.mktemp("whole")
    process = start(folder)
    assert process.communicate(timeout=120)[1].count(": done in") == 10
    assert process.returncode == 0
    return table_of(folder)


def kill(process: "subprocess.Popen[str]", folder: Path, *, with_children: bool) -> None:  # type: ignore[name-defined]  # noqa: F821
    process.kill()
    process.communicate()
    if not with_children:
        return
    for path in Path("/proc").glob("[0-9]*/cmdline"):  # the children lead groups of their own
        try:
            words = path.read_bytes()
            if b"fake_recipe" in words and os.fsencode(f"{folder}/") in words:
                os.kill(int(path.parent.name), signal.SIGKILL)
        except (OSError, ValueError):
            continue


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="looks for processes in /proc")
def test_a_comparison_that_is_killed_ten_times_ends_with_the_same_table(whole: str, tmp_path: Path) -> None:
    chance = random.Random(0)
    for number in range(10):
        process = start(tmp_path)
        time.sleep(chance.uniform(0.2, 1.2))
        kill(process, tmp_path, with_children=number % 2 == 1)
        for lock in tmp_path.glob("*/*/writer.lock"):  # a killed stand-in leaves it
            if number % 2 == 1:
                lock.unlink(missing_ok=True)
    process = start(tmp_path)
    error = process.communicate(timeout=120)[1]
    assert process.returncode == 0, error
    assert table_of(tmp_path) == whole
    assert set(trainings_of(tmp_path).values()) == {1}


def test_two_processes_by_two_paths_share_the_runs_of_a_folder(whole: str, tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "view").symlink_to(tmp_path / "disk")
    processes = [start(tmp_path / name) for name in ("disk", "view")]
    ended = [process.communicate(timeout=120)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], ended
    made = [error.count(": done in") for error in ended]
    assert sum(made) == 10
    assert min(made) > 0
    assert table_of(tmp_path / "disk") == whole
    assert set(trainings_of(tmp_path / "disk").values()) == {1}


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), pytest.param(signal.SIGTERM, 143, marks=pytest.mark.slow)]
)
def test_a_signal_ends_what_trains_and_the_claims(number: signal.Signals, code: int, tmp_path: Path) -> None:
    process = start(tmp_path)
    while not list(tmp_path.glob("*/*.child")):
        time.sleep(0.01)
    time.sleep(0.1)
    process.send_signal(number)
    process.communicate(timeout=60)
    assert process.returncode == code
    again = start(tmp_path)
    assert "waiting" not in again.communicate(timeout=120)[1]
    assert set(trainings_of(tmp_path).values()) == {1}


@pytest.mark.slow
def test_a_finished_comparison_makes_no_run(tmp_path: Path) -> None:
    start(tmp_path, seeds="0..1").communicate(timeout=60)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*/seed_*/*")}
    start(tmp_path, seeds="0..1").communicate(timeout=60)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.glob("*/seed_*/*")} == before
    start(tmp_path, seeds="0..2").communicate(timeout=60)  # a seed more
    assert list(trainings_of(tmp_path, "0..2").values()) == [1] * 6


def test_a_run_that_fails_is_told_and_the_others_are_made(tmp_path: Path) -> None:
    start(tmp_path, seeds="0").communicate(timeout=60)
    broken = runs_of(tmp_path, "0..1")[2]
    broken.folder.mkdir()
    (broken.folder / "writer.lock").touch()
    process = start(tmp_path, seeds="0..1")
    error = process.communicate(timeout=60)[1]
    assert process.returncode == 1
    assert "first seed 1: failed with exit code 1: FileExistsError" in error
    assert trainings_of(tmp_path, "0..1") == {"first 0": 1, "second 0": 1, "first 1": 0, "second 1": 1}


def test_a_race_makes_no_more_seeds_of_a_strategy_that_has_lost(tmp_path: Path) -> None:
    strategies = {"first": {"mean": 0.7, "takes": 0.01}, "second": {"mean": 0.2, "takes": 0.01}}
    plan = Plan("fake", {}, strategies, read_seeds("0..6"), tmp_path)
    plan.write()
    race = Race(plan)
    assert Runner(plan, 1, command, needless=race.needless).run() == []
    made = [run for run in plan.runs if is_done(run)]
    records = read_records(plan.runs, "test_accuracy")
    count = race.lost(records, "test_accuracy")["second"]
    assert count < 7
    assert [run.seed for run in made if run.strategy == "second"] == list(range(count))
    assert sum(run.strategy == "first" for run in made) == 7
