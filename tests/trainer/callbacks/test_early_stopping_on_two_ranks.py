"""Two processes that would decide differently end every training at the same step, with the same record."""

import json
from typing import Any

import pytest

from tests.trainer.programs.stopping_on_ranks import BUDGET, NAN_AT, RATES, SEEDS, STEPS, TARGETS, scores
from tests.two_processes import run_in_processes

Runs = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def ranks(tmp_path_factory: pytest.TempPathFactory) -> list[Runs]:
    """What each of the two ranks saw. A run that hangs ends in the time limit."""
    folder = tmp_path_factory.mktemp("ranks")
    found = run_in_processes("tests.trainer.programs.stopping_on_ranks", folder)
    assert [each["world_size"] for each in found] == [2, 2]
    return [each["runs"] for each in found]


def stop_of_patience(values: list[float], patience: int) -> int:
    """Where it stops, counted by hand: the number of the evaluation, or the last one."""
    best, waited = -1.0, 0
    for number, value in enumerate(values, 1):
        best, waited = (value, 0) if value > best else (best, waited + 1)
        if waited == patience:
            return number
    return len(values)


def test_twenty_runs_end_at_the_same_step_with_the_same_record_and_weights(ranks: list[Runs]) -> None:
    first, second = ranks
    assert len(first) == 20
    assert {run["wrapped"] for run in first.values()} == {"DistributedDataParallel"}
    for name in first:
        for what in ("step", "weights"):
            assert first[name][what] == second[name][what], name
        # NaN is not itself, its text is.
        assert json.dumps(first[name]["record"]) == json.dumps(second[name]["record"]), name


@pytest.mark.parametrize("rate", RATES)
def test_both_follow_the_clock_of_the_first(ranks: list[Runs], rate: float) -> None:
    for runs in ranks:
        run = runs[f"clock {rate}"]
        assert run["step"] == 5  # 5 seconds are the first above BUDGET
        assert run["record"]["reason"].startswith("Stopped early at step 5 (epoch 1.25): training has taken 5 of")
        assert BUDGET < run["record"]["wall_seconds"] == 5.0


@pytest.mark.parametrize("at", NAN_AT)
def test_nan_counts_when_the_first_sees_it(ranks: list[Runs], at: int) -> None:
    on_rank = at % 2
    for runs in ranks:
        run = runs[f"nan at {at} on rank {on_rank}"]
        assert run["step"] == (at if on_rank == 0 else STEPS)
        assert run["record"]["stopped"] is (on_rank == 0)


@pytest.mark.parametrize("seed", SEEDS)
def test_both_follow_the_metric_of_the_first(ranks: list[Runs], seed: int) -> None:
    values = scores(seed, 0)
    expected = stop_of_patience(values, 2)
    assert [runs[f"scores {seed}"]["step"] for runs in ranks] == [expected] * 2
    record = ranks[1][f"scores {seed}"]["record"]
    assert record["values"] == values[:expected]
    assert record["best_step"] == values.index(max(values[:expected])) + 1
    assert record["restored_best_weights"] is True


@pytest.mark.parametrize("target", TARGETS)
def test_both_stop_where_the_first_reaches_the_target(ranks: list[Runs], target: float) -> None:
    expected = next((number for number, value in enumerate(scores(7, 0), 1) if value >= target), STEPS)
    assert [runs[f"target {target}"]["step"] for runs in ranks] == [expected] * 2


def test_the_ranks_alone_would_have_stopped_at_different_steps() -> None:
    assert any(stop_of_patience(scores(seed, 0), 2) != stop_of_patience(scores(seed, 1), 2) for seed in SEEDS)
