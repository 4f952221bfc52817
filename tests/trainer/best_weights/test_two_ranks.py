"""The best weights in two processes on CPU: DDP, FSDP 2 and DeepSpeed ZeRO."""

from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from tests.trainer.bert_runs import bert
from tests.trainer.placements import WRAPPED, digest, run_placed
from tests.two_processes import SHARDED_AND_RESUMED

BEST, LAST = "3", "5"


def check_at_the_end(found: dict[str, Any], placement: str) -> None:
    assert found["kind"] == WRAPPED[placement]
    assert found["restored"] is True
    assert found["after"] == found["at"][BEST]
    assert len(set(found["at"].values())) == 5


def check_rewound(found: dict[str, Any]) -> None:
    """Every step sees the same examples: from the state of step 3 it goes on as it went from there before."""
    at = found["at"]
    assert len({at[step] for step in "01234"}) == 5
    assert (at["5"], at["6"]) == (at["3"], at["4"])
    assert at["7"] not in (at["3"], at["4"])


def check(placement: str, folder: Path) -> None:
    ranks = run_placed("tests.trainer.programs.best_weights_on_ranks", folder, placement)
    assert ranks[0] == ranks[1]  # gathered weights, so of both
    found = ranks[0]
    assert found["world_size"] == 2
    for name in ("memory", "disk", "with theirs"):
        check_at_the_end(found[name], placement)
    for name in found:
        if name.startswith("rewound"):
            check_rewound(found[name])
    for name in ("resumed", "resumed from disk"):
        check_at_the_end(found[name]["whole"], placement)
        assert found[name]["again"]["restored"] is True
        assert found[name]["again"]["after"] == found[name]["whole"]["at"][BEST]
    assert found["lost"] == {"restored": False, "step": None}
    # step 2 is the best of those whose weights are finite on both ranks
    assert (found["not finite"]["step"], found["not finite"]["after"]) == (2, found["not finite"]["at"]["2"])
    assert found["resumed"]["again"]["files"] == files_of(placement)
    final = load_file(folder / "disk" / "final" / "model.safetensors")
    assert digest(final) == found["disk"]["at"][BEST]


def files_of(placement: str) -> list[str]:
    own = ["best-rank0of2.safetensors", "best-rank1of2.safetensors"]
    whole = ["best.safetensors"]  # what all ranks have in common is written once
    return {"ddp": whole, "zero1": own + whole, "zero2": own + whole}.get(placement, own)


@SHARDED_AND_RESUMED
def test_under_ddp_the_best_weights_come_back_bit_for_bit(tmp_path: Path) -> None:
    check("ddp", tmp_path)


def shares(folder: Path) -> list[dict[str, Any]]:
    """What the files of the two ranks hold."""
    kept = folder / "resumed_disk" / "_best" / "checkpoint-3"
    return [load_file(kept / f"best-rank{rank}of2.safetensors") for rank in (0, 1)]


@SHARDED_AND_RESUMED
def test_under_fsdp_2_the_best_weights_come_back_bit_for_bit(tmp_path: Path) -> None:
    check("fsdp2", tmp_path)
    name = "bert.embeddings.word_embeddings.weight"
    assert [tuple(share[name].shape) for share in shares(tmp_path)] == [(20, 8), (20, 8)]  # of (40, 8)


@pytest.mark.slow
@pytest.mark.parametrize("stage", [1, 2, 3])
def test_under_zero_the_best_weights_come_back_bit_for_bit(tmp_path: Path, stage: int) -> None:
    pytest.importorskip("deepspeed")
    check(f"zero{stage}", tmp_path)
    masters = [
        sum(tensor.numel() for name, tensor in share.items() if name.endswith("(fp32 master)"))
        for share in shares(tmp_path)
    ]
    whole = [parameter.numel() for parameter in bert().parameters()]
    # Each rank has a half of the master weights; ZeRO-3 pads each parameter to two equal parts.
    assert sum(masters) == (sum(whole) if stage < 3 else sum(size + size % 2 for size in whole))
    assert max(masters) - min(masters) <= 2
