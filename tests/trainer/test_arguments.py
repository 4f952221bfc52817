"""The flags of the strategies."""

from typing import Any

import pytest
from transformers import HfArgumentParser

from hf_strategies import EarlyStopping, GradualUnfreezing, ReduceOnPlateau, StrategyArguments, StrategyError


def parsed(*flags: str) -> StrategyArguments:
    (found,) = HfArgumentParser(StrategyArguments).parse_args_into_dataclasses(list(flags), look_for_args_file=False)
    return found  # type: ignore[no-any-return]


def test_without_flags_there_is_nothing() -> None:
    assert parsed().callbacks() == []


def test_flags_become_callbacks() -> None:
    flags = ["--early_stopping_patience", "3", "--early_stopping_monitor", "score", "--early_stopping_mode", "max"]
    flags += ["--early_stopping_min_delta", "1e-3", "--no_restore_best_weights", "--unfreeze_every", "1ep"]
    flags += ["--reduce_on_plateau_patience", "2", "--reduce_on_plateau_factor", "0.5"]
    unfreezing, plateau, stopping = parsed(*flags).callbacks()
    assert isinstance(unfreezing, GradualUnfreezing)
    assert isinstance(plateau, ReduceOnPlateau)
    assert (plateau.monitor, plateau.patience, plateau.factor) == ("eval_loss", 2, 0.5)
    assert isinstance(stopping, EarlyStopping)
    rule = stopping.rule
    assert (rule.monitor, rule.patience, rule.mode, rule.min_delta) == ("eval_score", 3, "max", 0.001)
    assert stopping.restore_best_weights is False


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"early_stopping_patience": 0}, "patience=0 is no patience"),
        ({"early_stopping_patience": 2, "early_stopping_monitor": "my_score"}, "monitor='my_score': no telling"),
        (
            {"early_stopping_min_delta": 0.1},
            "early_stopping_min_delta=0.1 has no effect without early_stopping_patience",
        ),
        ({"restore_best_weights": False}, "restore_best_weights=False has no effect without early_stopping_patience"),
        ({"reduce_on_plateau_factor": 0.5}, "reduce_on_plateau_factor=0.5 has no effect without"),
        ({"reduce_on_plateau_patience": 1, "reduce_on_plateau_factor": 2}, "factor=2 is out of range"),
        ({"layer_decay": 1.5}, r"layer_decay=1.5 is not in \(0, 1\]"),
        ({"unfreeze_every": "often"}, "often"),
    ],
)
def test_a_bad_value_is_told_when_the_flags_are_read(options: dict[str, Any], words: str) -> None:
    with pytest.raises(StrategyError, match=words):
        StrategyArguments(**options)
