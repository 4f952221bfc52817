"""Averaged weights in two processes on CPU: DDP, FSDP 2 and DeepSpeed ZeRO."""

from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from tests.trainer.placements import WRAPPED, digest, run_placed
from tests.two_processes import SHARDED_AND_RESUMED

FP32 = 3e-6  # the rounding of a few updates in float32
BF16 = 1 / 128  # and of a value in bfloat16, in units of the largest of its tensor


def check(placement: str, folder: Path, amount: str) -> dict[str, Any]:
    ranks = run_placed("tests.trainer.programs.averaging_on_ranks", folder, placement, amount)
    found = ranks[0]
    assert ranks[1] == found  # gathered weights, so of both
    assert found["world_size"] == 2
    whole = found["averaged"]
    assert whole["wrapped"] == WRAPPED[placement]
    check_run(found["alone"], whole, FP32)
    check_resumed(whole, found["resumed"])
    assert found["files"] == files_of(placement)
    saved = load_file(folder / "averaged" / "final" / "model.safetensors")
    raw = load_file(folder / "averaged" / "raw" / "model.safetensors")
    assert digest(saved) == whole["final"]
    assert digest(raw) == whole["raw"]["6"]
    return found


def check_run(alone: dict[str, Any], averaged: dict[str, Any], tolerance: float) -> None:
    """The raw weights are those of a run without an average, and each evaluation saw the reference."""
    assert averaged["raw"] == alone["raw"]
    assert len(set(averaged["raw"].values())) == 7
    assert averaged["difference"] <= tolerance
    assert averaged["final difference"] <= tolerance
    assert len(set(averaged["averages"].values()) - set(averaged["raw"].values())) >= 5  # but maybe the first


def check_resumed(whole: dict[str, Any], resumed: dict[str, Any]) -> None:
    for step, again in resumed.items():
        assert again["raw"] == {key: value for key, value in whole["raw"].items() if key >= step}
        assert again["averages"] == {key: value for key, value in whole["averages"].items() if key > step}
        assert again["final"] == whole["final"]


def check_all(placement: str, folder: Path) -> None:
    found = check(placement, folder, "all")
    assert [*found["resumed"]] == ["1", "2", "3", "4", "5"]
    # Best is the evaluation of step 3, and the run stops at step 5.
    for kind in ("best", "best resumed"):
        assert found[kind]["final"] == found["averaged"]["averages"]["3"]
        assert max(found[kind]["averages"]) == "5"
    for key in ("raw", "averages", "final"):
        assert found["in cpu memory"][key] == found["averaged"][key]
    check_run(found["bf16 alone"], found["bf16"], BF16)
    if placement.startswith("zero"):
        # What is evaluated is the float64 average of the masters, rounded to bfloat16. An average of the bfloat16
        # weights themselves would be another number for many of them.
        assert found["bf16"]["rounded alike"] >= 0.995
    check_resumed(found["bf16"], found["bf16 resumed"])


def files_of(placement: str) -> list[str]:
    own = ["weight_average-rank0of2.safetensors", "weight_average-rank1of2.safetensors"]
    return ["weight_average.safetensors"] if placement == "ddp" else own


@SHARDED_AND_RESUMED
@pytest.mark.parametrize("placement", ["ddp", pytest.param("fsdp2", marks=pytest.mark.slow)])
def test_in_two_processes_the_average_is_that_of_the_whole_weights(tmp_path: Path, placement: str) -> None:
    check(placement, tmp_path, "few")


@pytest.mark.slow
@pytest.mark.parametrize("placement", ["ddp", "fsdp2"])
def test_in_two_processes_from_every_checkpoint_and_in_bf16(tmp_path: Path, placement: str) -> None:
    check_all(placement, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("stage", [1, 2, 3])
def test_under_zero_the_average_is_that_of_the_master_weights(tmp_path: Path, stage: int) -> None:
    pytest.importorskip("deepspeed")
    check_all(f"zero{stage}", tmp_path)
