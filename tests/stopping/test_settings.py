"""The settings of a rule are written once: what repeats them for readers agrees with the table."""

import inspect
from dataclasses import fields
from typing import Any

import pytest

from hf_strategies import EarlyStopping, PlateauCooldown, StrategyArguments
from hf_strategies.stopping import StoppingRule
from hf_strategies.stopping.improvement import IMPROVEMENT_PARAMETERS, Improvement
from hf_strategies.stopping.settings import RULE_SETTINGS

SHORT = {"stop_when": "when"}


@pytest.mark.parametrize("function", [EarlyStopping.__init__, PlateauCooldown.__init__, StoppingRule.read])
def test_constructors_have_the_defaults_of_the_table(function: Any) -> None:
    arguments = inspect.signature(function).parameters
    given = {name: each.default for name, each in arguments.items() if name in RULE_SETTINGS}
    # The rule takes what makes an improvement together; a cooldown has no baseline.
    absent = {StoppingRule.read: set(IMPROVEMENT_PARAMETERS), PlateauCooldown.__init__: {"baseline"}}
    assert set(RULE_SETTINGS) - set(given) == absent.get(function, set())
    assert given == {name: RULE_SETTINGS[name].default for name in given}


@pytest.mark.parametrize("prefix", ["early_stopping", "plateau_cooldown"])
def test_every_setting_is_a_flag_with_the_help_of_the_table(prefix: str) -> None:
    rows = {row.name: row for row in fields(StrategyArguments)}
    for name, setting in RULE_SETTINGS.items():
        if (prefix, name) == ("plateau_cooldown", "baseline"):
            continue  # a baseline belongs to early stopping
        flag = rows[f"{prefix}_{SHORT.get(name, name)}"]
        # The metric of a cooldown, given alone, asks for the cooldown: also the loss, which is the default.
        default = None if (prefix, name) == ("plateau_cooldown", "monitor") else setting.default
        assert str(flag.default) == str(default)
        assert flag.metadata["help"].lower().startswith(setting.help.lower())


def test_every_setting_has_a_line_in_the_docstring_of_the_callback() -> None:
    for name in RULE_SETTINGS:
        assert f"        {name}: " in (EarlyStopping.__doc__ or "")


def test_the_fields_of_an_improvement_are_its_parameters() -> None:
    assert [each.name for each in fields(Improvement)] == list(IMPROVEMENT_PARAMETERS)
    assert Improvement() == Improvement.read()
    assert Improvement.read(min_delta="0.5", samples=10) == Improvement(min_delta=0.5, samples=10.0)
