"""Presets: every row is read and trained by the stock Trainer, and flags win over it."""

import dataclasses
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from transformers import HfArgumentParser, TrainingArguments

from hf_strategies import (
    PRESETS,
    EarlyStopping,
    PlateauCooldown,
    StrategyArguments,
    StrategyError,
    WeightAveraging,
    preset,
)
from hf_strategies.cli.main import main
from hf_strategies.finetune.arguments import RecipeArguments
from hf_strategies.finetune.command_line import parse
from hf_strategies.report.presets_text import preset_flags
from tests.trainer.bert_runs import arguments, bert_trainer

EVERY = pytest.mark.parametrize("name", PRESETS)
KINDS: Any = (RecipeArguments, StrategyArguments)


def strategy_of(*flags: str) -> tuple[Any, Any]:
    run, strategy = parse(KINDS, ["--output_dir", "out", "--use_cpu", *flags])
    return run, strategy


@EVERY
def test_a_preset_has_a_source_and_no_setting_in_both_parts(name: str) -> None:
    row = PRESETS[name]
    assert row.name == name
    assert "arXiv:" in row.source or "benchmarks/" in row.source
    assert not set(row.training) & set(row.strategy)
    assert set(row.training) <= {each.name for each in dataclasses.fields(TrainingArguments)}


@EVERY
def test_a_preset_trains_in_the_stock_trainer_and_evaluates_where_it_watches(name: str, tmp_path: Path) -> None:
    row = preset(name)
    settings = {**row.training, "max_steps": -1, "num_train_epochs": 2}
    args = arguments(tmp_path, **settings)
    trainer, watch = bert_trainer(args, **StrategyArguments(**row.strategy).trainer_kwargs(args))
    trainer.train()
    assert len(watch.rates) >= 1
    if "early_stopping_patience" in row.strategy or "plateau_cooldown_monitor" in row.strategy:
        assert any("eval_loss" in entry for entry in trainer.state.log_history)


@EVERY
def test_its_printed_flags_are_the_settings_of_both_parsers(name: str) -> None:
    row = preset(name)
    kinds: Any = (TrainingArguments, StrategyArguments)
    args, strategy = HfArgumentParser(kinds).parse_args_into_dataclasses(
        ["--output_dir", "out", "--use_cpu", *preset_flags(row)], look_for_args_file=False
    )
    for key, value in row.settings.items():
        found = getattr(args if key in row.training else strategy, key)
        assert getattr(found, "value", found) in (value, str(value)), key


@EVERY
def test_a_recipe_reads_it_as_the_same_settings(name: str) -> None:
    run, strategy = strategy_of("--strategy", name)
    for key, value in preset(name).settings.items():
        found = getattr(run, key) if hasattr(run, key) else getattr(strategy, key)
        assert getattr(found, "value", found) in (value, str(value)), key


def test_flags_win_over_a_config_file_which_wins_over_the_preset(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(yaml.safe_dump({"strategy": "mosbach_2021", "num_train_epochs": 7, "learning_rate": 3e-5}))
    run, _ = strategy_of("--learning_rate", "4e-5", "--config", str(file))
    assert (run.num_train_epochs, run.learning_rate, run.per_device_train_batch_size) == (7, 4e-5, 16)


def test_a_preset_of_the_command_line_takes_the_place_of_the_file_s(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("strategy: mosbach_2021\n")
    run, strategy = strategy_of("--config", str(file), "--strategy", "averaged")
    assert (run.learning_rate, strategy.early_stopping_patience) == (None, "4")


@pytest.mark.parametrize(("name", "near"), [("no_epoch", "did you mean 'no_epochs'"), ("xyz", "known: 'averaged'")])
def test_an_unknown_name_has_its_near_matches(name: str, near: str) -> None:
    with pytest.raises(StrategyError, match=f"unknown preset '{name}': {near}"):
        preset(name)
    with pytest.raises(StrategyError, match=f"--strategy {name}: {near}"):
        strategy_of("--strategy", name)


def test_two_presets_make_the_callbacks_that_their_summaries_name() -> None:
    (cooldown,) = StrategyArguments(**preset("no_epochs").strategy).callbacks()
    assert isinstance(cooldown, PlateauCooldown)
    callbacks = StrategyArguments(**preset("averaged").strategy).callbacks()
    assert [type(each) for each in callbacks] == [WeightAveraging, EarlyStopping]


def test_the_command_tells_the_flags_and_the_source(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["presets"]) == 0
    listed = capsys.readouterr().out
    assert all(name in listed for name in PRESETS)
    assert main(["presets", "electra_2020"]) == 0
    sheet = capsys.readouterr().out
    assert "--layer_decay 0.8" in sheet
    assert "Source: Clark et al. 2020" in sheet
    assert main(["presets", "electra"]) == 2


def test_a_run_of_another_program_names_the_remedy(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--strategy", "averaged", "train.py"]) == 2
    assert "`hf-strategies presets NAME`" in capsys.readouterr().err


def test_presets_need_neither_torch_nor_transformers() -> None:
    code = (
        "import sys; from hf_strategies import PRESETS; from hf_strategies.cli.main import main; main(['presets']);"
        " print(sorted({'torch', 'transformers'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.rstrip().endswith("[]")
