"""Flags: every one with values that it cannot have, and flags that contradict each other."""

import pytest

from tests.bad_input.conftest import Refused
from tests.bad_input.flags import flag_rows

ROWS = list(flag_rows())
DATA = ("--train_file", "good.csv", "--validation_file", "good.csv")


@pytest.mark.parametrize(("recipe", "argv"), ROWS, ids=[f"{recipe} {argv[-1]}"[:60] for recipe, argv in ROWS])
def test_flags_that_cannot_be_are_refused_in_one_line(recipe: str, argv: tuple[str, ...], refused: Refused) -> None:
    named = any(each.startswith(("--train_file", "--dataset_name", "--offline_task")) for each in argv)
    message = refused(recipe, *(() if named else DATA), *argv)
    assert any(word in message for word in words_of(argv))


def words_of(argv: tuple[str, ...]) -> list[str]:
    """The words of which a message has to have one: a flag, the callback that it belongs to, or what it is for."""
    names = [word.partition("=")[0].removeprefix("--") for word in argv if word.startswith("--")]
    callbacks = ["early_stopping", "plateau_cooldown", "reduce_on_plateau"]
    groups = [prefix for prefix in callbacks if any(name.startswith(prefix) for name in names)]
    curves = ["takes no parameter"] if "lr_scheduler_kwargs" in names else []
    return [*(name for name in names if name), *groups, *curves, *(word for word in argv if "=" not in word)]
