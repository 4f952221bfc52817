"""Stalls of a metric: lists worked out by hand, and torch's ReduceLROnPlateau."""

import math
import random
from typing import Any

import pytest
import torch
from torch.optim.lr_scheduler import ReduceLROnPlateau

from hf_strategies import StrategyError
from hf_strategies.stopping import plateaus


@pytest.mark.parametrize(
    ("values", "settings", "expected"),
    [
        ([], {"patience": 1}, ()),
        ([1.0, 1.0, 1.0, 1.0], {"patience": 1}, (1, 2, 3)),
        ([1.0, 0.9, 0.8], {"patience": 1}, ()),
        ([1.0, 1.1, 1.2, 0.9, 1.0, 1.0], {"patience": 2}, (2, 5)),
        ([1.0, 1.1, 1.2, 1.3, 1.4, 1.5], {"patience": 2, "cooldown": 1}, (2, 5)),
        ([1.0, 1.1, 1.2, 1.3, 1.4, 1.5], {"patience": 2, "cooldown": 9}, (2,)),
        ([0.5, 0.6, 0.6, 0.6], {"patience": 2, "mode": "max"}, (3,)),
        ([1.0, 0.95, 0.9, 0.85], {"patience": 2, "min_delta": 0.2}, (2,)),
        ([1.0, math.nan, math.nan, 0.5], {"patience": 2}, (2,)),
        ([1.0, -math.inf, 0.5, 0.6, 0.6], {"patience": 2}, (4,)),
    ],
)
def test_stalls_where_worked_out_by_hand(values: list[float], settings: dict[str, Any], expected: Any) -> None:
    assert plateaus(values, **settings) == expected


@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize(("patience", "cooldown", "delta"), [(1, 0, 0.0), (2, 0, 0.1), (3, 2, 0.0), (2, 5, 0.3)])
def test_is_torch_s_reduce_on_plateau_on_random_series(mode: Any, patience: int, cooldown: int, delta: float) -> None:
    chance = random.Random(patience)
    for _ in range(50):
        values = [chance.random() for _ in range(60)]
        optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
        theirs = ReduceLROnPlateau(
            optimizer, mode, 0.5, patience - 1, threshold=delta, threshold_mode="abs", cooldown=cooldown, eps=0.0
        )
        found, rate = [], 1.0
        for index, value in enumerate(values):
            theirs.step(value)
            if optimizer.param_groups[0]["lr"] != rate:
                rate = optimizer.param_groups[0]["lr"]
                found.append(index)
        assert plateaus(values, patience=patience, cooldown=cooldown, min_delta=delta, mode=mode) == tuple(found)


def test_a_bad_patience_is_told() -> None:
    with pytest.raises(StrategyError, match="patience=0 is out of range: give a whole number of at least 1"):
        plateaus([1.0], patience=0)
