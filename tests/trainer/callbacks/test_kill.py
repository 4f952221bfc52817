"""A run that is killed at any moment and resumed ends as if nothing had happened, bit for bit."""

import json
import random
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from hf_strategies import EarlyStopping
from tests.conftest import CHECKOUT
from tests.tiny import tiny_trainer
from tests.trainer.programs.killed_run import BEST, STOP

Kills = dict[str, list[list[Any]]]


def moments(count: int) -> Kills:
    """Random moments of the ten steps, always the same; in every fourth run there are two kills."""
    chance = random.Random(20)
    found: Kills = {}
    for number in range(count):
        kinds = [
            ["step", chance.randint(1, STOP)],
            ["save", 2 * chance.randint(1, STOP // 2), chance.randint(0, 2)],
            ["evaluate", chance.randint(1, STOP)],
            # A share of a second after a step began: in it, in its evaluation or checkpoint, or in the next ones.
            ["time", chance.randint(1, STOP - 2), round(0.03 * chance.random(), 4)],
        ]
        first = kinds[number % 4]
        found[f"{number}-{first[0]}"] = [first, ["step", STOP]] if number % 4 == 3 else [first]
    return found


def outcomes(folder: Path, jobs: Kills) -> dict[str, Any]:
    """Run all in processes forked from one, beside one that is not killed."""
    (folder / "jobs.json").write_text(json.dumps({"whole": [], **jobs}))
    command = [sys.executable, "-m", "tests.trainer.programs.killed_run", str(folder), str(folder / "jobs.json")]
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stderr[-3000:]
    return dict(json.loads((folder / "found.json").read_text()))


def check(found: dict[str, Any]) -> None:
    """Assert that every run was killed, and ended as the whole one."""
    whole = found.pop("whole")
    assert (whole["report"]["stop"], whole["report"]["best"]) == (STOP, BEST)
    assert list(map(int, whole["rates"])) == list(range(1, STOP + 1))
    for name, each in found.items():
        assert set(each["statuses"]) == {-9}, name
        assert each["end"] == 0, name
        assert each["report"] == whole["report"], name
        assert each["rates"] == whole["rates"], name


def test_killed_in_a_step_in_an_evaluation_and_around_a_checkpoint(tmp_path: Path) -> None:
    between_the_checkpoint_and_the_best_weights_beside_it: list[list[Any]] = [["save", STOP - 2, 3]]
    found = outcomes(tmp_path, moments(3) | {"between": between_the_checkpoint_and_the_best_weights_beside_it})
    assert sum(each["halves"] for each in found.values()) >= 1
    check(found)


@pytest.mark.slow
def test_killed_runs_with_averaged_weights_end_with_the_average_of_the_whole_run(tmp_path: Path) -> None:
    kills: Kills = {
        "averaged": [["evaluate", 7], ["save", STOP - 2, 3]],  # there, between the checkpoint and its average
    }
    found = outcomes(tmp_path, {"averaged-whole": [], **kills})
    raw, found["whole"] = found["whole"], found.pop("averaged-whole")
    assert raw["report"]["weights"] != found["whole"]["report"]["weights"]
    check(found)


@pytest.mark.slow
def test_killed_at_ten_moments(tmp_path: Path) -> None:
    found = outcomes(tmp_path, moments(10))
    assert len(found) == 11
    # The three that are placed there, and those of a time that falls on one.
    assert sum(each["halves"] for each in found.values()) >= 3
    check(found)


def test_the_trainer_refuses_a_checkpoint_that_was_half_written(tmp_path: Path) -> None:
    settings = {"eval_strategy": "steps", "eval_steps": 1, "save_strategy": "steps", "save_steps": 1}

    def trainer(steps: int) -> Any:
        stopping = EarlyStopping("score", 3, mode="max")
        return tiny_trainer(tmp_path, [0.1, 0.2, 0.3, 0.4], callbacks=[stopping], max_steps=steps, **settings)

    trainer(3).train()
    # What is left after a kill while checkpoint 3 is written: the Trainer writes this file last.
    (tmp_path / "checkpoint-3" / "trainer_state.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"checkpoint-3/trainer_state\.json"):
        trainer(3).train(resume_from_checkpoint=True)
    shutil.rmtree(tmp_path / "checkpoint-3")
    resumed = trainer(3)
    resumed.train(resume_from_checkpoint=True)
    assert resumed.state.global_step == 3
