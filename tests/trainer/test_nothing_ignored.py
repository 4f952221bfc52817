"""No setting of `StrategyArguments` is accepted and then ignored."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import HfArgumentParser, TrainerCallback

from hf_strategies import EarlyStopping, PlateauCooldown, StrategyArguments, StrategyError
from hf_strategies.trainer.callbacks.layer_groups import LayerGroupsCheck
from hf_strategies.trainer.callbacks.plateau_cooldown.callback import PLATEAU
from hf_strategies.trainer.lr.parameter_groups import parameter_groups
from tests.trainer.bert_runs import arguments, bert, bert_trainer


def parsed(*flags: str) -> StrategyArguments:
    (found,) = HfArgumentParser(StrategyArguments).parse_args_into_dataclasses(list(flags), look_for_args_file=False)
    return found  # type: ignore[no-any-return]


# --- one call applies all ---------------------------------------------------------------------------------------


def test_one_call_gives_the_trainer_callbacks_and_rates_by_depth(tmp_path: Path) -> None:
    strategy = parsed("--layer_decay", "0.5", "--head_learning_rate", "0.1", "--early_stopping_patience", "1")
    args = arguments(tmp_path, eval_strategy="steps", eval_steps=2)
    own = TrainerCallback()
    kwargs = strategy.trainer_kwargs(args, callbacks=[own])
    assert [type(each) for each in kwargs["callbacks"]] == [LayerGroupsCheck, EarlyStopping, TrainerCallback]
    trainer, watch = bert_trainer(args, **kwargs)
    trainer.train()
    assert watch.rates[1] == {3: 0.01, 2: 0.005, 1: 0.0025, 0: 0.00125, 4: 0.1}
    assert own in trainer.callback_handler.callbacks


def test_without_settings_the_trainer_is_the_stock_one(tmp_path: Path) -> None:
    assert StrategyArguments().trainer_kwargs(arguments(tmp_path)) == {"callbacks": []}


# --- rates by depth that no optimizer has -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"layer_decay": 0.9}, r"layer_decay=0.9 is not applied, .*\*\*strategy.trainer_kwargs\(args\)"),
        ({"head_learning_rate": 0.1}, "head_learning_rate=0.1 is not applied"),
        ({"layer_decay": 0.9, "head_learning_rate": 0.1}, "layer_decay=0.9 and head_learning_rate=0.1 is not"),
    ],
)
def test_callbacks_alone_do_not_drop_the_rates_by_depth_in_silence(
    settings: dict[str, Any], words: str, tmp_path: Path
) -> None:
    trainer, watch = bert_trainer(arguments(tmp_path), callbacks=StrategyArguments(**settings).callbacks())
    with pytest.raises(StrategyError, match=words):
        trainer.train()
    assert list(watch.rates) == []  # before the first step


def test_an_optimizer_of_one_s_own_does_not_drop_them_either(tmp_path: Path) -> None:
    model = bert()
    optimizers = (torch.optim.SGD(model.parameters(), lr=0.01), None)
    callbacks = StrategyArguments(layer_decay=0.9).callbacks()
    trainer, _ = bert_trainer(arguments(tmp_path), model=model, optimizers=optimizers, callbacks=callbacks)
    with pytest.raises(StrategyError, match=r"layer_decay=0.9 is not applied, because the optimizer of this Trainer"):
        trainer.train()


@pytest.mark.parametrize(("factor", "head"), [(0.5, 0.2), (0.9, 0.1)])
def test_groups_with_other_rates_than_the_given_ones_are_told(factor: float, head: float, tmp_path: Path) -> None:
    model = bert()
    groups = parameter_groups(model, learning_rate=0.01, layer_decay=factor, head_learning_rate=head)
    callbacks = StrategyArguments(layer_decay=0.5, head_learning_rate=0.1).callbacks()
    optimizers = (torch.optim.SGD(groups), None)
    trainer, _ = bert_trainer(arguments(tmp_path), model=model, optimizers=optimizers, callbacks=callbacks)
    name, given, value = ("layer_decay", 0.5, factor) if factor != 0.5 else ("head_learning_rate", 0.1, head)
    with pytest.raises(StrategyError, match=f"{name}={given} is not applied, .* those of {name}={value}"):
        trainer.train()


def test_groups_of_one_s_own_with_the_given_rates_will_do(tmp_path: Path) -> None:
    model = bert()
    groups = parameter_groups(model, learning_rate=0.01, layer_decay=0.5, head_learning_rate=0.1)
    callbacks = StrategyArguments(layer_decay=0.5, head_learning_rate=0.1).callbacks()
    optimizers = (torch.optim.SGD(groups), None)
    args = arguments(tmp_path, max_steps=1)
    trainer, watch = bert_trainer(args, model=model, optimizers=optimizers, callbacks=callbacks)
    trainer.train()
    assert watch.rates[1] == {3: 0.01, 2: 0.005, 1: 0.0025, 0: 0.00125, 4: 0.1}


def test_resumed_with_the_same_rates_a_run_goes_on_and_with_others_it_is_told(tmp_path: Path) -> None:
    args = arguments(tmp_path, max_steps=4, save_strategy="steps", save_steps=2, lr_scheduler_type="cosine")
    given = {"layer_decay": 0.5, "head_learning_rate": 0.1}
    bert_trainer(args, **StrategyArguments(**given).trainer_kwargs(args))[0].train()
    checkpoint = str(tmp_path / "checkpoint-2")
    trainer, watch = bert_trainer(args, **StrategyArguments(**given).trainer_kwargs(args))
    trainer.train(resume_from_checkpoint=checkpoint)
    assert list(watch.rates) == [3, 4]
    for name, value, present in (("layer_decay", 0.8, 0.5), ("head_learning_rate", 0.3, 0.1)):
        other = StrategyArguments(**(given | {name: value}))
        trainer, _ = bert_trainer(args, **other.trainer_kwargs(args))
        with pytest.raises(StrategyError, match=f"{name}={value} is not applied, .*: give {name}={present}"):
            trainer.train(resume_from_checkpoint=checkpoint)


def test_another_learning_rate_on_resume_is_no_matter_of_this_check(tmp_path: Path) -> None:
    args = arguments(tmp_path, max_steps=4, save_strategy="steps", save_steps=2)
    strategy = StrategyArguments(layer_decay=0.5, head_learning_rate=0.1)
    bert_trainer(args, **strategy.trainer_kwargs(args))[0].train()
    args.learning_rate = 0.02
    trainer, watch = bert_trainer(args, **strategy.trainer_kwargs(args))
    trainer.train(resume_from_checkpoint=str(tmp_path / "checkpoint-2"))
    assert watch.rates[3][3] == 0.01


def test_the_rates_by_depth_alone_do_not_drop_the_callbacks_in_silence(tmp_path: Path) -> None:
    args = arguments(tmp_path, eval_strategy="steps", eval_steps=2)
    strategy = StrategyArguments(layer_decay=0.9, early_stopping_patience=2, unfreeze_every="1ep")
    trainer, watch = bert_trainer(args, optimizer_cls_and_kwargs=strategy.optimizer_cls_and_kwargs(args))
    words = r"without EarlyStopping and GradualUnfreezing and LayerGroupsCheck, .*\*\*strategy.trainer_kwargs\(args\)"
    with pytest.raises(StrategyError, match=words):
        trainer.train()
    assert list(watch.rates) == []


@pytest.mark.parametrize(("name", "value"), [("learning_rate", 0.02), ("weight_decay", 0.0), ("adam_beta1", 0.5)])
def test_a_trainer_with_other_arguments_than_its_optimizer_is_told(name: str, value: Any, tmp_path: Path) -> None:
    kwargs = StrategyArguments(layer_decay=0.9).trainer_kwargs(arguments(tmp_path))
    trainer, watch = bert_trainer(arguments(tmp_path, **{name: value}), **kwargs)
    with pytest.raises(StrategyError, match=rf"the Trainer has {name}={value}, .*: give both the same TrainingArg"):
        trainer.train()
    assert list(watch.rates) == []


# --- a cooldown by its metric alone -----------------------------------------------------------------------------


def test_the_metric_of_a_cooldown_alone_asks_for_the_recommended_criterion() -> None:
    (cooldown,) = parsed("--plateau_cooldown_monitor", "accuracy").callbacks()
    assert isinstance(cooldown, PlateauCooldown)
    assert str(cooldown.rule) == str(PlateauCooldown("accuracy").rule)
    assert str(cooldown.rule.condition) == str(
        StrategyArguments(plateau_cooldown_when=PLATEAU).plateau_cooldown().rule.condition
    )  # type: ignore[union-attr]


def test_the_loss_as_that_metric_is_asked_for_too_although_it_is_the_default() -> None:
    (cooldown,) = parsed("--plateau_cooldown_monitor", "loss").callbacks()
    assert str(cooldown.rule) == "eval_loss, patience(3)"  # type: ignore[attr-defined]


def test_with_a_patience_or_criteria_of_its_own_a_cooldown_watches_the_loss_unless_told() -> None:
    for flag in ("--plateau_cooldown_patience", "--plateau_cooldown_when"):
        (cooldown,) = parsed(flag, "2" if flag.endswith("patience") else "patience(2)").callbacks()
        assert str(cooldown.rule) == "eval_loss, patience(2)"  # type: ignore[attr-defined]


def test_a_setting_of_a_cooldown_without_one_is_told_with_the_remedy_that_takes_the_default() -> None:
    with pytest.raises(StrategyError, match=r"length='0.3' has no effect without plateau_cooldown_monitor"):
        parsed("--plateau_cooldown_length", "0.3")


# --- settings that the others make idle -------------------------------------------------------------------------

STOPPING = {"early_stopping_patience": 2}
COOLING = {"plateau_cooldown_monitor": "accuracy"}
AVERAGED = COOLING | {"plateau_cooldown_average": "tail(over=3)", "plateau_cooldown_length": "0"}


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (
            STOPPING | {"restore_best_weights": False, "best_weights_in": "disk"},
            "weights_in='disk' has no effect with restore_best_weights=False: leave one of them out",
        ),
        (STOPPING | {"early_stopping_samples": 400}, "samples=400 has no effect without z: set that too"),
        (COOLING | {"plateau_cooldown_factor": 0.5}, "factor=0.5 has no effect without stages: set that too"),
        (
            COOLING | {"restore_best_weights": False, "best_weights_in": "disk"},
            "weights_in='disk' has no effect with restore_best_weights='end'",
        ),
        (
            COOLING | {"plateau_cooldown_keep": "best", "plateau_cooldown_samples": 400},
            "samples=400 has no effect with restore_best_weights='best' and without z",
        ),
        (AVERAGED | {"plateau_cooldown_shape": "linear"}, "cooldown_shape='linear' has no effect with cooldown=0"),
        (AVERAGED | {"plateau_cooldown_min_lr_ratio": 0.1}, "min_lr_ratio=0.1 has no effect with cooldown=0"),
    ],
)
def test_a_setting_that_others_make_idle_is_told_when_the_flags_are_read(
    settings: dict[str, Any], words: str
) -> None:
    with pytest.raises(StrategyError, match=words):
        StrategyArguments(**settings)


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ({"reduce_on_plateau_patience": 1}, "ReduceOnPlateau beside PlateauCooldown would lower the rate"),
        (STOPPING, "EarlyStopping beside PlateauCooldown would end training where the cooldown starts"),
    ],
)
def test_strategies_that_undo_each_other_are_told_when_the_flags_are_read(other: dict[str, Any], words: str) -> None:
    with pytest.raises(StrategyError, match=words):
        StrategyArguments(**(COOLING | other))


@pytest.mark.parametrize(
    "settings",
    [
        STOPPING | {"best_weights_in": "disk"},
        STOPPING | {"early_stopping_samples": 400, "early_stopping_z": 1.0},
        COOLING | {"plateau_cooldown_factor": 0.5, "plateau_cooldown_stages": 1},
        COOLING | {"plateau_cooldown_samples": 400},
        COOLING | {"restore_best_weights": False, "best_weights_in": "disk", "plateau_cooldown_rewind": "weights"},
        AVERAGED | {"plateau_cooldown_min_lr_ratio": 0.1, "plateau_cooldown_stages": 1},
        COOLING | {"best_weights_in": "disk", "early_stopping_when": "time_budget('2h')"},
    ],
)
def test_where_it_has_an_effect_the_same_setting_is_taken(settings: dict[str, Any]) -> None:
    assert StrategyArguments(**settings).callbacks()


@pytest.mark.parametrize("make", [lambda: EarlyStopping(samples=400), lambda: PlateauCooldown(factor=0.5)])
def test_the_callbacks_themselves_refuse_it_too(make: Callable[[], Any]) -> None:
    with pytest.raises(StrategyError, match="has no effect without"):
        make()
