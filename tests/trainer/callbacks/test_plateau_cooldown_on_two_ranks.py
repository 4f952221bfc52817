"""A cooldown in two processes whose metrics disagree: all follow the first."""

import math
from pathlib import Path

import pytest

from tests.tiny import learning_rates
from tests.trainer.placements import WRAPPED, run_placed
from tests.trainer.programs.cooldown_on_ranks import NAMES, SCORES, make
from tests.two_processes import SHARDED_AND_RESUMED, run_in_processes


@SHARDED_AND_RESUMED
def test_both_ranks_cool_down_where_the_first_says_and_resume_to_the_bit(tmp_path: Path) -> None:
    ranks = run_in_processes("tests.trainer.programs.cooldown_on_ranks", tmp_path)
    assert [rank["world_size"] for rank in ranks] == [2, 2]
    for name in NAMES:
        single = make(tmp_path / f"single-{name}", 0, name)
        single.train()
        one, other = (rank["found"][name] for rank in ranks)
        assert one == other
        assert one["rates"] == one["resumed"] == learning_rates(single)
        assert (one["steps"], one["best"]) == (9, [True, True])
    assert SCORES[0] != SCORES[1]


@pytest.mark.slow
@pytest.mark.parametrize("placement", ["ddp", "fsdp2", "zero2", "zero3"])
def test_it_cools_down_and_goes_back_in_every_placement(placement: str, tmp_path: Path) -> None:
    if placement.startswith("zero"):
        pytest.importorskip("deepspeed")
    ranks = run_placed("tests.trainer.programs.cooldown_placed", tmp_path, placement)
    assert ranks[0] == ranks[1]
    found = ranks[0]
    assert found.pop("world_size") == 2
    # 1 - sqrt(s / 3) of 0.01, after 6 steps of hold
    expected = [0.01] * 7 + [0.01 * (1 - math.sqrt(step / 3)) for step in (1, 2)]
    for way, run in found.items():
        assert run["kind"] == WRAPPED[placement]
        assert run["rates"] == pytest.approx(expected)
        assert run["best at the end"]
        assert run["weights are back"] == (way != "none")
        assert run["moments are back"] == (way == "optimizer")
    assert len({run["in the cooldown"] for run in found.values()}) == 3
