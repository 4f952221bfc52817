"""The benchmark of the batches: its differences by hand, and the committed runs."""

import json

import pytest

from benchmarks import batches


def row(pool: int, seed: int, score: float, padded: int) -> dict[str, object]:
    return {
        "task": "xquad",
        "epochs": 1,
        "pool": pool,
        "seed": seed,
        "score": score,
        "padded": padded,
        "seconds": 2.0,
    }


def test_differences_are_paired_by_seed() -> None:
    rows = [row(1, 0, 80.0, 100), row(1, 1, 70.0, 100), row(8, 1, 71.0, 40), row(8, 0, 79.0, 50), row(8, 2, 9.0, 1)]
    found = batches.differences(rows, "xquad", 1, 8)
    assert found == {"score": [-1.0, 1.0], "padded": [0.5, 0.4], "seconds": [1.0, 1.0]}


def test_the_interval_is_student_s() -> None:
    assert batches.mean_text([-1.0, 1.0]) == "+0.00 ± 12.71"  # 12.706 is t at 0.975 with one degree of freedom


def test_the_committed_table_is_that_of_the_committed_runs() -> None:
    rows = [json.loads(line) for line in batches.RUNS.read_text(encoding="utf-8").splitlines()]
    assert {each["pool"] for each in rows} == set(batches.POOLS)
    assert batches.table(rows) in (batches.RESULTS / "batches.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("epochs", batches.EPOCHS)
def test_every_task_was_run_with_random_batches(epochs: int) -> None:
    rows = [json.loads(line) for line in batches.RUNS.read_text(encoding="utf-8").splitlines()]
    tasks = {each["task"] for each in rows if (each["epochs"], each["pool"]) == (epochs, 1)}
    assert tasks == set(batches.SETTINGS)
