"""`StrategyArguments` in every placement on two processes: the groups by depth are recognized, or missed."""

from pathlib import Path

import pytest

from tests.trainer.placements import WRAPPED, run_placed

SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in ("fsdp2", "zero1", "zero2", "zero3")]


@pytest.mark.parametrize("placement", ["ddp", *SLOW])
def test_all_is_applied_on_every_rank_and_callbacks_alone_are_refused(placement: str, tmp_path: Path) -> None:
    if placement.startswith("zero"):
        pytest.importorskip("deepspeed")
    ranks = run_placed("tests.trainer.programs.strategy_placed", tmp_path, placement)
    for rank in ranks:
        assert (rank["world_size"], rank["wrapped"]) == (2, WRAPPED[placement])
        layers = {"embeddings": 0.00125, "layer 1": 0.0025, "layer 2": 0.005, "layer 3, layer.2": 0.005}
        assert rank["peaks"] == layers | {"head": 0.1}
        found = rank["result"]
        assert (found["best_step"], found["best_value"], found["stop_step"]) == (1, 0.5, 2)
        assert (found["stopped"], found["kept"], found["kept_step"]) == (True, "best", 1)
        assert rank["without_the_rates"].startswith(
            "layer_decay=0.5 and head_learning_rate=0.1 and parameter_groups="
        )
    assert len(ranks) == 2
