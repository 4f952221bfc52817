"""Patterns of parameter names: which pattern decides, what it does to rates and freezing, and what is told."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from transformers import HfArgumentParser, T5Config, T5ForConditionalGeneration

from hf_strategies import StrategyArguments, StrategyError
from hf_strategies.trainer.lr.layer_decay import layer_decay_optimizer
from hf_strategies.trainer.lr.parameter_groups import groups_table, parameter_groups
from tests.tiny import learning_rates
from tests.trainer.bert_runs import arguments, bert, bert_trainer, lora, with_peft

PATTERNS = {"embeddings": "freeze", r"encoder\.layer\.(0|1)\.": {"lr_ratio": 0.1}}


def rates(model: nn.Module, **settings: Any) -> dict[str, float]:
    """The rate of each parameter by its name; those in no group are left out."""
    by_id = {id(each): group["lr"] for group in parameter_groups(model, **settings) for each in group["params"]}
    return {name: by_id[id(each)] for name, each in model.named_parameters() if id(each) in by_id}


# --- which pattern decides --------------------------------------------------------------------------------------


def test_a_ratio_multiplies_the_learning_rate_and_frozen_parameters_are_in_no_group() -> None:
    model = bert()
    found = rates(model, learning_rate=1.0, patterns=PATTERNS)
    expected = {
        name: 0.1 if name.startswith(("bert.encoder.layer.0.", "bert.encoder.layer.1.")) else 1.0
        for name, _ in model.named_parameters()
        if ".embeddings." not in name
    }
    assert found == expected
    assert {name for name, each in model.named_parameters() if not each.requires_grad} == {
        name for name, _ in model.named_parameters() if ".embeddings." in name
    }


def test_a_ratio_multiplies_the_rate_that_depth_gives() -> None:
    found = rates(
        bert(), learning_rate=1.0, layer_decay=0.5, head_learning_rate=8.0, patterns={"bias": {"lr_ratio": 0.1}}
    )
    assert found["bert.encoder.layer.2.output.dense.weight"] == 1.0
    assert found["bert.encoder.layer.2.output.dense.bias"] == pytest.approx(0.1)
    assert found["bert.encoder.layer.0.output.dense.bias"] == pytest.approx(0.1 * 0.5**2)
    assert found["classifier.bias"] == pytest.approx(0.8)
    assert found["bert.embeddings.word_embeddings.weight"] == pytest.approx(0.5**3)


def test_the_last_pattern_that_matches_decides() -> None:
    """Biases and the head alone, as in BitFit."""
    model = bert()
    found = rates(model, learning_rate=1.0, patterns={".": "freeze", "bias|classifier": {"lr_ratio": 1}})
    assert set(found) == {name for name, _ in model.named_parameters() if "bias" in name or "classifier" in name}


def test_a_weight_decay_of_a_pattern_is_that_of_all_its_parameters() -> None:
    groups = parameter_groups(
        bert(), learning_rate=1.0, weight_decay=0.1, patterns={"classifier": {"weight_decay": 0.3}}
    )
    found = {(group["pattern"], group["weight_decay"]): len(group["params"]) for group in groups}
    # Without the classifier: 3 embeddings, 6 of each layer and the pooler have a decay; norms and biases have none.
    assert found == {(None, 0.1): 3 + 3 * 6 + 1, (None, 0.0): 2 + 3 * 10 + 1, ("classifier", 0.3): 2}


def test_patterns_alone_need_no_layers_and_no_single_stack() -> None:
    model = T5ForConditionalGeneration(T5Config(vocab_size=16, d_model=8, d_kv=4, d_ff=8, num_layers=1, num_heads=2))
    found = rates(model, learning_rate=1.0, patterns={"^encoder": "freeze", "^decoder": {"lr_ratio": 0.5}})
    assert set(found.values()) == {1.0, 0.5}
    assert not any(name.startswith("encoder.block") for name in found)


@with_peft
def test_adapters_have_rates_by_name() -> None:
    found = rates(lora(), learning_rate=1.0, patterns={"lora_B": {"lr_ratio": 16}})  # as in LoRA+
    assert {rate for name, rate in found.items() if "lora_B" in name} == {16.0}
    assert {rate for name, rate in found.items() if "lora_A" in name} == {1.0}


# --- mistakes ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("patterns", "words"),
    [
        ({"embedings": "freeze"}, "'embedings' matches no parameter's name .*: did you mean 'embeddings'"),
        ({"bias": "freeze", ".": {"lr_ratio": 1}}, "later patterns match every parameter that 'bias' matches"),
        ({".": "freeze"}, "no parameter is left to train"),
        ({"(": "freeze"}, r"'\(' is no regular expression"),
        ({"bias": "frezee"}, "'bias' has 'frezee': give 'freeze'"),
        ({"bias": {}}, "'bias' has {}: give 'freeze'"),
        ({"bias": {"lr_ration": 1}}, "'bias' has 'lr_ration': did you mean 'lr_ratio'"),
        ({"bias": {"lr_ratio": 0}}, "lr_ratio=0 is not above 0: give one such as 0.1, or 'freeze'"),
        ({"bias": {"lr_ratio": "nan"}}, "lr_ratio='nan' is not finite"),
        ({"bias": {"weight_decay": -1}}, "weight_decay=-1 is below 0"),
        ({}, "has no pattern"),
        ({"": "freeze"}, "an empty pattern matches every parameter"),
        ([1], "is no mapping"),
        ("{", "is no JSON"),
        ('{"bias": "freeze", "bias": {"lr_ratio": 1}}', "has 'bias' twice"),
    ],
)
def test_a_mistake_is_told_with_its_remedy(patterns: Any, words: str) -> None:
    with pytest.raises(StrategyError, match=words):
        parameter_groups(bert(), learning_rate=1.0, patterns=patterns)


# --- in the stock Trainer ---------------------------------------------------------------------------------------


def train(folder: Path, strategy: StrategyArguments, **given: Any) -> tuple[Any, Any]:
    resumed = given.pop("resume_from_checkpoint", None)
    args = arguments(folder, **given)
    trainer, watch = bert_trainer(args, **strategy.trainer_kwargs(args))
    trainer.train(resume_from_checkpoint=resumed)
    return trainer, watch


def flags(patterns: Mapping[str, Any], *more: str) -> StrategyArguments:
    kind: Any = StrategyArguments
    (strategy,) = HfArgumentParser(kind).parse_args_into_dataclasses(
        ["--parameter_groups", json.dumps(patterns), *more], look_for_args_file=False
    )
    assert isinstance(strategy, StrategyArguments)
    return strategy


def test_the_flag_freezes_and_scales_under_any_schedule(tmp_path: Path) -> None:
    named = {"lr_scheduler_type": "exponential_warmup_step_decay", "warmup_steps": 4}
    trainer, watch = train(tmp_path, flags(PATTERNS), **named)
    assert all(watch.moved(step) == [1, 2, 3, 4] for step in range(1, 13))
    stock, _ = bert_trainer(arguments(tmp_path, **named))
    stock.train()
    plain = learning_rates(stock)
    assert learning_rates(trainer) == pytest.approx(plain)
    scaled = [group["lr"] for group in trainer.optimizer.param_groups if group["pattern"]]
    whole = [group["lr"] for group in trainer.optimizer.param_groups if not group["pattern"]]
    assert scaled == pytest.approx([0.1 * rate for rate in whole])


def test_one_update_of_sgd_is_the_gradient_times_the_rate_of_the_pattern(tmp_path: Path) -> None:
    model, other = bert(), bert()
    args = arguments(tmp_path, max_steps=1, optim="sgd", weight_decay=0.0, max_grad_norm=0.0)
    patterns = {"query": {"lr_ratio": 0.5}, "key": "freeze"}
    optimizer = layer_decay_optimizer(args, patterns=patterns)
    trainer, _ = bert_trainer(args, model=model, optimizer_cls_and_kwargs=optimizer)
    batch = next(iter(trainer.get_train_dataloader()))
    trainer.train()
    other(**batch).loss.backward()
    for name, parameter in other.named_parameters():
        rate = 0.0 if "key" in name else 0.005 if "query" in name else 0.01
        if parameter.grad is not None:
            expected = parameter.detach() - rate * parameter.grad
            torch.testing.assert_close(dict(model.named_parameters())[name].detach(), expected)


def test_the_table_of_what_trains_is_printed_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    args = arguments(tmp_path, max_steps=1)
    strategy = StrategyArguments(layer_decay=0.5, parameter_groups={"embeddings": "freeze", "bias": {"lr_ratio": 2}})
    trainer, _ = bert_trainer(args, **strategy.trainer_kwargs(args))
    trainer.train()
    trainer.train()
    # A layer has 600 weights: biases are 4 * 8 + 16 + 8 in its dense parts and 2 * 8 in its norms. Of the embeddings'
    # 608 the bias of the norm trains, because the last pattern decides.
    assert [line.split() for line in caplog.messages if line.startswith(("group", "layer 3", "head", "frozen"))] == [
        ["group", "parameters", "learning", "rate", "weight", "decay"],
        ["layer", "3", "528", "0.01", "0.1,", "0"],
        ["head", "80", "0.01", "0.1"],
        ["layer", "3,", "bias", "72", "0.02", "0"],
        ["head,", "bias", "10", "0.02", "0"],
        ["frozen", "600", "-", "-"],
    ]
    assert sum(line.startswith("group") for line in caplog.messages) == 1


def test_the_table_counts_every_weight_once() -> None:
    model = bert()
    groups = parameter_groups(model, learning_rate=0.01, layer_decay=0.5, patterns={"embeddings": "freeze"})
    lines = groups_table(model, groups).splitlines()[1:]
    counts = [int(re.split(r"\s{2,}", line)[1].replace(",", "")) for line in lines]
    assert sum(counts) == sum(each.numel() for each in model.parameters())
    assert lines[-1].split() == ["frozen", str(sum(e.numel() for e in model.bert.embeddings.parameters())), "-", "-"]


def test_callbacks_alone_do_not_drop_the_patterns_in_silence(tmp_path: Path) -> None:
    trainer, _ = bert_trainer(arguments(tmp_path), callbacks=flags({"embeddings": "freeze"}).callbacks())
    with pytest.raises(StrategyError, match=r'parameter_groups=.*"freeze".* is not applied, .*groups by patterns'):
        trainer.train()


def test_a_resumed_run_goes_on_to_the_bit_and_refuses_other_patterns(tmp_path: Path) -> None:
    saves = {"save_strategy": "steps", "save_steps": 4, "lr_scheduler_type": "linear"}
    whole, _ = train(tmp_path, flags(PATTERNS), **saves)
    checkpoint = str(tmp_path / "checkpoint-4")
    resumed, _ = train(tmp_path, flags(PATTERNS), **saves, resume_from_checkpoint=checkpoint)
    for one, two in zip(whole.model.parameters(), resumed.model.parameters(), strict=True):
        assert torch.equal(one, two)
    other = flags(PATTERNS | {r"encoder\.layer\.(0|1)\.": {"lr_ratio": 0.5}})
    with pytest.raises(StrategyError, match=r"parameter_groups=.*0\.5.* is not applied, .*which a resumed run keeps"):
        train(tmp_path, other, **saves, resume_from_checkpoint=checkpoint)


def test_it_works_with_a_new_model_for_each_training(tmp_path: Path) -> None:
    args = arguments(tmp_path, max_steps=2)
    strategy = flags({"embeddings": "freeze"})
    trainer, _ = bert_trainer(args, model_init=bert, **strategy.trainer_kwargs(args))
    for _ in range(2):
        trainer.train()
        assert not any(each.requires_grad for each in trainer.model.bert.embeddings.parameters())
