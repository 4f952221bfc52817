"""Flags: every one with values that it cannot have, and flags that contradict each other."""

from dataclasses import fields
from typing import get_args, get_type_hints

import pytest

from hf_strategies.finetune.arguments import ModelArguments, RecipeArguments
from hf_strategies.finetune.masked_lm.data import MaskedLMArguments
from hf_strategies.finetune.multiple_choice.data import ChoiceArguments
from hf_strategies.finetune.question_answering.data import QuestionArguments
from hf_strategies.finetune.text_classification.data import ClassificationArguments
from hf_strategies.finetune.token_classification.data import TokenArguments
from hf_strategies.trainer.arguments import StrategyArguments
from tests.bad_input.conftest import Refused
from tests.bad_input.flags import CALLBACKS, NUMBERS, NUMBERS_OF, flag_rows

ROWS = list(flag_rows())
DATA = ("--train_file", "good.csv", "--validation_file", "good.csv")


@pytest.mark.parametrize(("recipe", "argv"), ROWS, ids=[f"{recipe} {argv[-1]}"[:60] for recipe, argv in ROWS])
def test_flags_that_cannot_be_are_refused_in_one_line(recipe: str, argv: tuple[str, ...], refused: Refused) -> None:
    named = any(each.startswith(("--train_file", "--dataset_name", "--offline_task")) for each in argv)
    message = refused(recipe, *(() if named else DATA), *argv)
    assert any(word in message for word in words_of(argv))


@pytest.mark.parametrize(
    "kind",
    [
        *(ModelArguments, RecipeArguments, StrategyArguments),
        *(ChoiceArguments, ClassificationArguments, MaskedLMArguments, QuestionArguments, TokenArguments),
    ],
)
def test_every_flag_that_takes_a_number_has_a_row(kind: type) -> None:
    tables = {*NUMBERS, *CALLBACKS, *(name for numbers in NUMBERS_OF.values() for name in numbers)}
    hints = get_type_hints(kind)
    numbers = {row.name for row in fields(kind) if {int, float} & {hints[row.name], *get_args(hints[row.name])}}
    assert numbers <= tables


def words_of(argv: tuple[str, ...]) -> list[str]:
    """The words of which a message has to have one: a flag, the callback that it belongs to, or what it is for."""
    names = [word.partition("=")[0].removeprefix("--") for word in argv if word.startswith("--")]
    callbacks = ["early_stopping", "plateau_cooldown", "reduce_on_plateau"]
    groups = [prefix for prefix in callbacks if any(name.startswith(prefix) for name in names)]
    curves = ["takes no parameter"] if "lr_scheduler_kwargs" in names else []
    return [*(name for name in names if name), *groups, *curves, *(word for word in argv if "=" not in word)]
