"""Workers as real processes on one storage, with trials that have no model: killed, interrupted, and too many."""

import random
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from hf_strategies.errors import StrategyError
from hf_strategies.search.result import Result, result_of
from tests.search.programs.worker import search_in
from tests.search.searches import write

SPACE = "learning_rate: {float: [1e-4, 1e-3]}\nseed: {int: [1, 9]}\n"


def start(folder: Path, trials: int, jobs: int = 1) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "tests.search.programs.worker", str(folder), str(trials), str(jobs)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def result(folder: Path, trials: int) -> Result:
    search = search_in(folder, trials)
    return result_of(search, search.open())


def ended(folder: Path) -> Counter[str]:
    """How often each trial has run to its end, by the four digits of its number."""
    return Counter(line[:4] for line in (folder / "trials" / "ended.txt").read_text(encoding="utf-8").split())


@pytest.mark.parametrize(
    ("kills", "trials"), [(2, 8), pytest.param(10, 60, marks=pytest.mark.slow)], ids=["2 kills", "10 kills"]
)
def test_workers_that_are_killed_at_random_leave_no_trial_out_and_none_counts_twice(
    kills: int, trials: int, tmp_path: Path
) -> None:
    write(tmp_path, SPACE)
    chance = random.Random(3)
    workers = [start(tmp_path, trials) for _ in range(2)]
    for _ in range(kills):
        time.sleep(chance.uniform(1.5, 2.5))
        victim = workers.pop(chance.randrange(len(workers)))
        victim.kill()
        victim.communicate()
        workers.append(start(tmp_path, trials))
    for worker in workers:
        _, errors = worker.communicate(timeout=200)
        assert worker.returncode == 0, errors
    found = result(tmp_path, trials)
    assert [trial.state for trial in found.trials] == ["completed"] * trials
    assert len({trial.number for trial in found.trials}) == trials
    # A trial whose worker was killed between its end and the note of it has run again; the study counts it once.
    assert sum(ended(tmp_path).values()) - trials <= kills
    assert set(ended(tmp_path)) == {f"{trial.number:04d}" for trial in found.trials}
    assert found.best.value == max(1 - trial.parameters["learning_rate"] for trial in found.trials)


@pytest.mark.parametrize(
    ("kind", "code"),
    [pytest.param(signal.SIGINT, 130, marks=pytest.mark.slow), (signal.SIGTERM, 143)],
    ids=["SIGINT", "SIGTERM"],
)
def test_a_signal_gives_the_trial_back_and_the_same_command_goes_on(
    kind: signal.Signals, code: int, tmp_path: Path
) -> None:
    write(tmp_path, SPACE)
    worker = start(tmp_path, 8)
    while not (tmp_path / "trials" / "0001.yaml").exists():  # the second trial has begun
        time.sleep(0.02)
    worker.send_signal(kind)
    _, errors = worker.communicate(timeout=60)
    assert worker.returncode == code
    assert errors.endswith("Interrupted: the same command goes on with the search\n")
    before = len(result(tmp_path, 8).trials)
    assert 1 <= before < 8
    again = start(tmp_path, before + 2)
    _, errors = again.communicate(timeout=60)
    assert again.returncode == 0
    # It waits for no dead worker, because the one before has given its trial back.
    assert "waiting" not in errors
    assert len(result(tmp_path, before + 2).trials) == before + 2
    assert set(ended(tmp_path).values()) == {1}


def test_jobs_share_one_process_and_more_trials_go_on_from_those_that_have_ended(tmp_path: Path) -> None:
    write(tmp_path, SPACE)
    for trials in (3, 5):
        worker = start(tmp_path, trials, jobs=3)
        _, errors = worker.communicate(timeout=60)
        assert worker.returncode == 0, errors
        assert len(result(tmp_path, trials).trials) == trials
    assert set(ended(tmp_path).values()) == {1}
    assert len(ended(tmp_path)) == 5


def test_trials_that_all_fail_end_the_search_with_their_error(tmp_path: Path) -> None:
    write(tmp_path, "learning_rate: {float: [0.1, 0.2]}\n")
    worker = start(tmp_path, 30)
    _, errors = worker.communicate(timeout=60)
    assert worker.returncode == 1  # a traceback here; the command prints the line of a StrategyError
    assert "StrategyError: the first 3 trials have failed, the last with: this learning rate is one" in errors
    with pytest.raises(StrategyError, match="no trial has completed: this learning rate"):
        _ = result(tmp_path, 30).best


def test_a_study_of_another_task_or_space_is_refused_with_what_differs(tmp_path: Path) -> None:
    write(tmp_path, SPACE)
    search_in(tmp_path, 2).open()
    search_in(tmp_path, 9).open()  # more trials are no other search
    write(tmp_path, SPACE.replace("1e-3", "1e-2"))
    with pytest.raises(StrategyError, match=r"space\.learning_rate\.float was \[0.0001, 0.001\] and is"):
        search_in(tmp_path, 2).open()
    write(tmp_path, SPACE, "recipe: text_classification\nmax_steps: 3\n")
    with pytest.raises(StrategyError, match=r"task\.max_steps was null and is 3: give the same files"):
        search_in(tmp_path, 2).open()


def test_a_storage_that_cannot_be_opened_is_one_line_without_its_password(tmp_path: Path) -> None:
    write(tmp_path, SPACE)
    search = search_in(tmp_path, 2)
    for url in ("nodatabase://me:secret@host/db", "secret"):
        bad = replace(search, plan=replace(search.plan, storage=url))
        with pytest.raises(StrategyError, match=r"cannot be opened: .*: give such as sqlite:///search.db") as mistake:
            bad.open()
        assert url == "secret" or "secret" not in str(mistake.value)
