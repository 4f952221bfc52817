"""The flags of a recipe are read once: what they ask for is made once, and checked before any data is read."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from transformers import TrainerCallback

from hf_strategies import EarlyStopping, GradualUnfreezing, PlateauCooldown, ReduceOnPlateau, StrategyError
from hf_strategies.finetune.flags import Flags, check_metrics, read_flags
from hf_strategies.finetune.text_classification.data import ClassificationArguments
from hf_strategies.recipes import text_classification
from tests.finetune.runs import QUIET, reviews, write_csv_splits

THREE = ["--early_stopping_patience", "9", "--reduce_on_plateau_patience", "2", "--unfreeze_every", "1"]
METRICS = ["accuracy", "macro_f1", "rmse"]


def flags_of(*argv: str) -> Flags:
    return read_flags(ClassificationArguments, [*QUIET, *argv], "", METRICS)


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[TrainerCallback]:
    """All callbacks of this package that are made during the test."""
    made: list[TrainerCallback] = []

    def note(kind: type[Any]) -> None:
        initialize = kind.__init__

        def noted(self: Any, *args: Any, **kwargs: Any) -> None:
            made.append(self)
            initialize(self, *args, **kwargs)

        monkeypatch.setattr(kind, "__init__", noted)

    for kind in (EarlyStopping, PlateauCooldown, ReduceOnPlateau, GradualUnfreezing):
        note(kind)
    return made


def test_a_run_makes_each_callback_once_and_gives_it_to_the_trainer(
    made: list[TrainerCallback], tmp_path: Path
) -> None:
    files = write_csv_splits(tmp_path, reviews)
    steps = ["--max_steps", "4", "--eval_strategy", "steps", "--eval_steps", "1", "--save_strategy", "no"]
    trainer = text_classification.main([*QUIET, *THREE, *files, *steps, "--output_dir", str(tmp_path / "out")])
    assert Counter(map(type, made)) == {EarlyStopping: 1, ReduceOnPlateau: 1, GradualUnfreezing: 1}
    assert [each for each in trainer.callback_handler.callbacks if each in made] == made


def test_the_callbacks_of_a_run_are_those_that_the_arguments_would_make() -> None:
    flags = flags_of(*THREE)
    again = flags.strategy.callbacks()
    assert [type(each) for each in flags.callbacks] == [type(each) for each in again]
    assert not {id(each) for each in flags.callbacks} & {id(each) for each in again}


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--metric_for_best_model", "eval_rmse"], r"metric_for_best_model='rmse' is no metric here: "),
        (
            ["--early_stopping_patience", "2", "--early_stopping_monitor", "rmse"],
            r"early_stopping_monitor='rmse' is no metric here: ",
        ),
        (
            ["--plateau_cooldown_patience", "2", "--plateau_cooldown_monitor", "rmse"],
            r"plateau_cooldown_monitor='rmse' is no metric here: ",
        ),
        (
            ["--reduce_on_plateau_patience", "2", "--reduce_on_plateau_monitor", "rmse"],
            r"reduce_on_plateau_monitor='rmse' is no metric here: ",
        ),
    ],
)
def test_a_metric_that_the_data_does_not_have_is_an_error_once_the_data_is_known(
    argv: list[str], message: str
) -> None:
    flags = flags_of(*argv)
    check_metrics(flags, METRICS)
    with pytest.raises(StrategyError, match=message):
        check_metrics(flags, ["accuracy", "macro_f1"])
