"""The flags of the strategies."""

from typing import Any

import pytest
from transformers import HfArgumentParser

from hf_strategies import (
    EarlyStopping,
    GradualUnfreezing,
    PlateauCooldown,
    ReduceOnPlateau,
    StrategyArguments,
    StrategyError,
    WeightAveraging,
)


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
    assert str(rule) == "eval_score, patience(3), min_delta=0.001"
    assert rule.watched.mode == "max"
    assert stopping.restores is None


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"early_stopping_patience": 0}, "patience=0 is out of range: give a whole number of evaluations"),
        ({"early_stopping_patience": "1.5"}, "patience='1.5' is ambiguous"),
        ({"early_stopping_when": "patience(3) or targt(1)"}, "there is no criterion 'targt': did you mean 'target'?"),
        (
            {"early_stopping_when": "target(1)", "early_stopping_patience": 2},
            "patience=2 and stop_when='target.1.' are both given",
        ),
        ({"early_stopping_when": "target(1)", "best_weights_in": "ram"}, "weights_in='ram' is no place"),
        (
            {"early_stopping_patience": 2, "restore_best_weights": "no"},
            "restore_best_weights='no' is neither True nor",
        ),
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
        ({"average_weights": "emma(over=3)"}, "average_weights: average: there is no average 'emma': did you mean"),
        ({"average_weights": "ema(over=1ep)"}, "a length with a unit needs quotes"),
        ({"average_weights": "tail(over=3)", "average_weights_in": "gpu"}, "weights_in='gpu' is no place"),
        ({"average_weights": "tail(over=3)", "average_weights_start_from": "2.5"}, "start_from='2.5' is ambiguous"),
        ({"average_weights_in": "cpu"}, "average_weights_in='cpu' has no effect without average_weights"),
        ({"average_weights_keep_raw": True}, "average_weights_keep_raw=True has no effect without average_weights"),
        (
            {"average_weights": "tail(over=3)", "early_stopping_patience": 2, "best_weights_in": "disk"},
            "EarlyStopping with weights_in='disk' beside WeightAveraging",
        ),
        (
            {
                "average_weights": "tail(over=3)",
                "plateau_cooldown_patience": 2,
                "plateau_cooldown_rewind": "weights",
            },
            "rewind='weights'. beside WeightAveraging",
        ),
    ],
)
def test_a_bad_value_is_told_when_the_flags_are_read(options: dict[str, Any], words: str) -> None:
    with pytest.raises(StrategyError, match=words):
        StrategyArguments(**options)


@pytest.mark.parametrize(
    ("patience", "read"), [("3", "3"), ("500 steps", "'500 steps'"), ("2 epochs", "'2ep'"), ("0.1", "0.1")]
)
def test_a_patience_is_read_in_every_unit(patience: str, read: str) -> None:
    (stopping,) = parsed("--early_stopping_patience", patience).callbacks()
    assert str(stopping.rule.condition) == f"patience({read})"


def test_the_flags_of_an_average_become_its_callback() -> None:
    flags = ["--average_weights", "tail(over=0.5)", "--average_weights_start_from", "2ep"]
    flags += ["--average_weights_in", "cpu", "--average_weights_keep_raw", "--early_stopping_patience", "3"]
    averaging, stopping = parsed(*flags).callbacks()
    assert isinstance(averaging, WeightAveraging)
    assert isinstance(stopping, EarlyStopping)
    assert str(averaging.average) == "tail(over=0.5)"
    assert (averaging.start_from, averaging.weights_in, averaging.keep_raw) == ("2ep", "cpu", True)


def test_every_setting_of_early_stopping_has_a_flag() -> None:
    flags = ["--early_stopping_when", "patience(4) or divergence", "--early_stopping_monitor", "accuracy"]
    flags += [
        "--early_stopping_z",
        "1.5",
        "--early_stopping_samples",
        "400",
        "--early_stopping_relative_delta",
        "0.01",
    ]
    flags += ["--early_stopping_smoothing", "ema(0.3)", "--early_stopping_start_from", "2ep"]
    flags += ["--early_stopping_train_on", "--best_weights_in", "disk"]
    (stopping,) = parsed(*flags).callbacks()
    shown = "ema(0.3)[eval_accuracy], patience(4) or divergence(), relative_delta=0.01, z=1.5, samples=400"
    assert str(stopping.rule) == f"{shown}, start_from='2ep'"
    assert (stopping.train_on, stopping.weights_in) == (True, "disk")


def test_the_flags_of_a_plateau_cooldown_become_its_callback() -> None:
    flags = [
        "--plateau_cooldown_patience",
        "2",
        "--plateau_cooldown_monitor",
        "accuracy",
        "--no_restore_best_weights",
    ]
    flags += ["--plateau_cooldown_length", "0.3", "--plateau_cooldown_shape", "linear"]
    (cooldown,) = parsed(*flags).callbacks()
    assert isinstance(cooldown, PlateauCooldown)
    assert str(cooldown.rule) == "eval_accuracy, patience(2)"


def test_a_setting_of_a_cooldown_that_nobody_asked_for_is_told() -> None:
    with pytest.raises(StrategyError, match="plateau_cooldown_stages=2 has no effect without plateau_cooldown_mon"):
        StrategyArguments(plateau_cooldown_stages=2)


def test_beside_a_cooldown_early_stopping_restores_nothing() -> None:
    cooldown, stopping = parsed(
        "--plateau_cooldown_patience", "2", "--early_stopping_when", "time_budget('2h')"
    ).callbacks()
    assert isinstance(stopping, EarlyStopping)
    assert (cooldown.restores is None, stopping.restores) == (False, None)


def test_a_default_that_comes_as_a_number_is_still_a_default() -> None:
    assert StrategyArguments(early_stopping_start_from=0).callbacks() == []  # type: ignore[arg-type]
