"""Learning rates by depth: which parameter lies where, and what the stock Trainer does with the groups."""

import json
import pickle
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from torch import nn
from transformers import HfArgumentParser, PreTrainedModel, Trainer, TrainingArguments

from hf_strategies import StrategyError, schedule
from hf_strategies.trainer.lr.layer_decay import LayerDecayArguments, layer_decay_optimizer
from hf_strategies.trainer.lr.layer_depth import parameter_depths
from hf_strategies.trainer.lr.parameter_groups import parameter_groups
from tests.tiny import TinyModel, learning_rates
from tests.trainer.bert_runs import SIZES, Watch, arguments, bert, bert_trainer
from tests.trainer.programs.layers_on_ranks import report
from tests.two_processes import run_in_processes

# Kind of model -> its configuration, where its layers are, and the beginnings of the names below them.
KINDS: dict[str, tuple[dict[str, Any], str, tuple[str, ...]]] = {
    "Bert": ({}, "bert.encoder.layer.", ("bert.embeddings.",)),
    "Roberta": ({}, "roberta.encoder.layer.", ("roberta.embeddings.",)),
    "XLMRoberta": ({}, "roberta.encoder.layer.", ("roberta.embeddings.", "lm_head.decoder.weight")),
    "DistilBert": ({}, "distilbert.transformer.layer.", ("distilbert.embeddings.",)),
    "Electra": (
        {"embedding_size": 4},
        "electra.encoder.layer.",
        ("electra.embeddings.", "electra.embeddings_project."),
    ),
    "DebertaV2": (
        {
            "relative_attention": True,
            "position_buckets": 8,
            "pos_att_type": ["p2c", "c2p"],
            "norm_rel_ebd": "layer_norm",
            "conv_kernel_size": 3,
        },
        "deberta.encoder.layer.",
        (
            "deberta.embeddings.",
            "deberta.encoder.rel_embeddings.",
            "deberta.encoder.LayerNorm.",
            "deberta.encoder.conv.",
        ),
    ),
    "ModernBert": (
        dict.fromkeys(("pad_token_id", "eos_token_id", "bos_token_id", "cls_token_id", "sep_token_id"), 0),
        "model.layers.",
        ("model.embeddings.",),
    ),
    "Albert": (
        {"embedding_size": 4, "num_hidden_groups": 3},
        "albert.encoder.albert_layer_groups.",
        ("albert.embeddings.", "albert.encoder.embedding_hidden_mapping_in."),
    ),
    "MPNet": ({}, "mpnet.encoder.layer.", ("mpnet.embeddings.", "mpnet.encoder.relative_attention_bias.")),
}
HEADS = ("SequenceClassification", "TokenClassification", "QuestionAnswering", "MaskedLM")


def make(kind: str, head: str = "SequenceClassification", **options: Any) -> PreTrainedModel:
    """A random model of three layers."""
    config = getattr(transformers, f"{kind}Config")(**(SIZES | KINDS[kind][0] | options))
    model: PreTrainedModel = getattr(transformers, f"{kind}For{head}")(config)
    return model


def depth_by_hand(kind: str, name: str) -> int:
    _, layers, below = KINDS[kind]
    if name.startswith(layers):
        return int(name.removeprefix(layers).partition(".")[0]) + 1
    return 0 if name.startswith(below) else 4


# --- depths -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "head"), list(product(KINDS, HEADS)))
def test_the_depth_is_0_below_the_layers_their_number_in_them_and_on_top_above(kind: str, head: str) -> None:
    depths = parameter_depths(make(kind, head))
    assert depths.layers == 3
    assert depths.by_name == {name: depth_by_hand(kind, name) for name in depths.by_name}
    assert set(depths.by_name.values()) == {0, 1, 2, 3, 4}


@pytest.mark.parametrize(("kind", "head"), list(product(KINDS, HEADS)))
def test_every_trainable_parameter_is_in_exactly_one_group(kind: str, head: str) -> None:
    model = make(kind, head)
    next(model.base_model.parameters()).requires_grad_(False)
    groups = parameter_groups(model, learning_rate=1.0, layer_decay=0.5)
    grouped = [id(parameter) for group in groups for parameter in group["params"]]
    trainable = [id(parameter) for parameter in model.parameters() if parameter.requires_grad]
    assert sorted(grouped) == sorted(trainable)
    assert len(trainable) == len(list(model.parameters())) - 1


@pytest.mark.parametrize(("kind", "head"), list(product(KINDS, HEADS[::3])))
def test_weight_decay_falls_on_the_parameters_that_the_trainer_decays(kind: str, head: str, tmp_path: Path) -> None:
    model = make(kind, head)
    stock = Trainer(model, arguments(tmp_path)).create_optimizer().param_groups
    ours = parameter_groups(model, learning_rate=1.0, layer_decay=0.5, weight_decay=0.1)
    assert {group["weight_decay"] for group in ours} == {0.1, 0.0}
    for value in (0.1, 0.0):
        decayed = [
            {id(parameter) for group in groups if group["weight_decay"] == value for parameter in group["params"]}
            for groups in (stock, ours)
        ]
        assert decayed[0] == decayed[1]


def test_albert_s_shared_layers_are_one_layer() -> None:
    assert parameter_depths(make("Albert", num_hidden_groups=1)).layers == 1


def test_lists_of_one_length_side_by_side_are_parts_of_the_same_layers() -> None:
    config = transformers.XLMConfig(vocab_size=40, emb_dim=8, n_layers=3, n_heads=2)
    depths = parameter_depths(transformers.XLMForSequenceClassification(config))
    assert depths.layers == 3
    names = ("attentions.1.q_lin", "layer_norm1.1", "ffns.1.lin1", "layer_norm2.1")
    assert [depths.by_name[f"transformer.{name}.weight"] for name in names] == [2, 2, 2, 2]
    assert depths.by_name["transformer.embeddings.weight"] == 0


class LikePeft(nn.Module):
    """A model held one attribute down, an adapter in each layer and a head beside it, as PEFT has them."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.base_model = nn.Module()
        self.base_model.model = model.requires_grad_(False)
        for layer in model.get_submodule("bert.encoder.layer").children():
            layer.lora_A = nn.Linear(8, 2)
        self.modules_to_save = nn.Linear(8, 2)


def test_a_wrapped_model_has_its_adapters_at_the_depth_of_their_layers() -> None:
    rates = {"learning_rate": 1.0, "layer_decay": 0.5, "head_learning_rate": 7.0}
    groups = parameter_groups(LikePeft(bert()), **rates, weight_decay=0.1)
    found = [(group["depth"], group["lr"], len(group["params"])) for group in groups]
    assert found == [(d, rate, 1) for d, rate in [(3, 1.0), (2, 0.5), (1, 0.25), (4, 7.0)] for _ in range(2)]


class Plain(nn.Module):
    """No transformers in it."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(9, 4)
        self.encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(4, 1, 4), 2, enable_nested_tensor=False)
        self.out = nn.Linear(4, 1)


def test_any_module_with_numbered_layers_will_do() -> None:
    depths = parameter_depths(Plain())
    assert depths.layers == 2
    names = ("embed.weight", "encoder.layers.0.norm1.bias", "encoder.layers.1.norm1.bias", "out.bias")
    assert [depths.by_name[name] for name in names] == [0, 1, 2, 3]


def t5() -> nn.Module:
    sizes: dict[str, Any] = {"vocab_size": 40, "d_model": 8, "d_kv": 4, "d_ff": 16, "num_layers": 2, "num_heads": 2}
    return transformers.T5ForConditionalGeneration(transformers.T5Config(**sizes))


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (TinyModel, r"TinyModel has no numbered layers \(no nn.ModuleList\), .*: leave out layer_decay"),
        (t5, r"T5ForConditionalGeneration has several stacks of layers \(encoder.block, decoder.block\)"),
        (lambda: nn.ModuleDict({"a": bert(), "b": bert()}), "ModuleDict holds several models"),
    ],
)
def test_a_model_without_one_order_of_layers_is_refused_with_the_remedy(
    model: Callable[[], nn.Module], words: str
) -> None:
    with pytest.raises(StrategyError, match=words):
        parameter_groups(model(), learning_rate=1.0, layer_decay=0.5)


# --- rates ------------------------------------------------------------------------------------------------------


def test_the_top_layer_has_the_learning_rate_and_each_below_it_the_factor_more() -> None:
    groups = parameter_groups(bert(), learning_rate=0.8, layer_decay=0.5, head_learning_rate=3.0, weight_decay=0.1)
    found = [(group["depth"], group["lr"], group["weight_decay"]) for group in groups]
    rates = [(3, 0.8), (2, 0.4), (1, 0.2), (0, 0.1), (4, 3.0)]
    assert found == [(depth, rate, decay) for depth, rate in rates for decay in (0.1, 0.0)]


def test_without_a_rate_of_its_own_the_head_has_the_learning_rate() -> None:
    groups = parameter_groups(bert(), learning_rate=0.8, layer_decay=0.5)
    assert [group["lr"] for group in groups if group["depth"] == 4] == [0.8]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"layer_decay": 0.0}, r"layer_decay=0.0 is not in \(0, 1\]: give a factor such as 0.9"),
        ({"layer_decay": 1.1}, r"layer_decay=1.1 is not in \(0, 1\]"),
        ({"layer_decay": "x"}, "layer_decay='x' is not a number"),
        ({"layer_decay": float("nan")}, "layer_decay=nan is not finite"),
        ({"head_learning_rate": 0.0}, "head_learning_rate=0.0 is not above 0: give a rate such as 1e-4"),
        ({"head_learning_rate": -1}, "head_learning_rate=-1 is not above 0"),
    ],
)
def test_a_bad_value_is_told_before_there_is_a_trainer(options: dict[str, Any], words: str) -> None:
    with pytest.raises(StrategyError, match=words):
        LayerDecayArguments(**options)
    with pytest.raises(StrategyError, match=words):
        parameter_groups(bert(), learning_rate=1.0, **({"layer_decay": 1.0} | options))


def test_the_flags_give_the_optimizer_and_unset_they_give_none(tmp_path: Path) -> None:
    parser = HfArgumentParser(LayerDecayArguments)  # type: ignore[arg-type]
    args = arguments(tmp_path)
    (unset,) = parser.parse_args_into_dataclasses([])
    assert unset.optimizer_cls_and_kwargs(args) is None
    (both,) = parser.parse_args_into_dataclasses(["--layer_decay", "0.5", "--head_learning_rate", "1e-1"])
    trainer, watch = bert_trainer(args, optimizer_cls_and_kwargs=both.optimizer_cls_and_kwargs(args))
    trainer.train()
    assert watch.rates[1] == {3: 0.01, 2: 0.005, 1: 0.0025, 0: 0.00125, 4: 0.1}


def test_a_head_rate_alone_leaves_the_layers_alone(tmp_path: Path) -> None:
    args = arguments(tmp_path, max_steps=1)
    alone = LayerDecayArguments(head_learning_rate="1e-1")  # type: ignore[arg-type]  # as YAML leaves it
    trainer, watch = bert_trainer(args, optimizer_cls_and_kwargs=alone.optimizer_cls_and_kwargs(args))
    trainer.train()
    assert watch.rates[1] == {3: 0.01, 2: 0.01, 1: 0.01, 0: 0.01, 4: 0.1}


# --- in the Trainer ---------------------------------------------------------------------------------------------

PEAKS = {3: 0.01, 2: 0.005, 1: 0.0025, 0: 0.00125, 4: 0.1}
COSINE = {"lr_scheduler_type": "linear_warmup_cosine_decay", "warmup_steps": 3}


def decayed_trainer(args: TrainingArguments, **given: Any) -> tuple[Trainer, Watch]:
    optimizer = layer_decay_optimizer(args, layer_decay=0.5, head_learning_rate=0.1)
    return bert_trainer(args, optimizer_cls_and_kwargs=optimizer, **given)


def scheduled() -> dict[int, dict[int, Any]]:
    curve = schedule("linear_warmup_cosine_decay", total_steps=12, warmup_steps=3)
    return {step: {depth: pytest.approx(peak * curve(step - 1)) for depth, peak in PEAKS.items()} for step in STEPS}


STEPS = range(1, 13)


def test_each_group_follows_the_schedule_from_its_own_peak_and_the_top_layer_s_rate_is_logged(
    tmp_path: Path,
) -> None:
    trainer, watch = decayed_trainer(arguments(tmp_path, **COSINE))
    trainer.train()
    assert watch.rates == scheduled()
    assert learning_rates(trainer) == [watch.rates[step][3] for step in STEPS]
    assert watch.rates[4] == PEAKS


def test_resumed_from_the_middle_each_group_goes_on_as_in_the_whole_run(tmp_path: Path) -> None:
    args = arguments(tmp_path, save_strategy="steps", save_steps=5, **COSINE)
    whole, seen = decayed_trainer(args)
    whole.train()
    resumed, again = decayed_trainer(args)
    resumed.train(resume_from_checkpoint=str(tmp_path / "checkpoint-5"))
    assert list(again.rates) == list(range(6, 13))
    assert again.rates == {step: seen.rates[step] for step in again.rates}
    for depth, vector in seen.weights[12].items():
        assert torch.equal(again.weights[12][depth], vector)


def test_a_second_train_has_the_same_groups_and_rates(tmp_path: Path) -> None:
    trainer, watch = decayed_trainer(arguments(tmp_path, **COSINE))
    trainer.train()
    watch.rates.clear()
    trainer.train()
    assert watch.rates == scheduled()
    assert watch.moved(12) == [0, 1, 2, 3, 4]


def test_a_new_model_of_model_init_is_trained_with_the_arguments_as_they_are_then(tmp_path: Path) -> None:
    args = arguments(tmp_path, **COSINE)
    trainer, watch = decayed_trainer(args, model_init=bert)
    trainer.train()
    first = watch.weights[12]
    args.learning_rate = 0.02  # as a hyperparameter search does
    trainer.train()
    assert watch.rates[4] == {3: 0.02, 2: 0.01, 1: 0.005, 0: 0.0025, 4: 0.1}
    args.learning_rate = 0.01
    trainer.train()
    assert all(torch.equal(first[depth], watch.weights[12][depth]) for depth in PEAKS)


def test_one_rate_for_all_is_the_stock_training(tmp_path: Path) -> None:
    args = arguments(tmp_path, **COSINE)
    plain, seen = bert_trainer(args)
    plain.train()
    grouped, watch = bert_trainer(args, optimizer_cls_and_kwargs=layer_decay_optimizer(args, layer_decay=1.0))
    grouped.train()
    for depth, vector in seen.weights[12].items():
        torch.testing.assert_close(watch.weights[12][depth], vector)


@pytest.mark.parametrize("optim", ["adamw_torch", "adafactor", "sgd", "rmsprop"])
def test_the_optimizer_is_the_trainer_s_own_with_all_its_settings(optim: str, tmp_path: Path) -> None:
    args = arguments(tmp_path, optim=optim, adam_beta1=0.7, adam_epsilon=1e-3)
    model = bert()
    stock = Trainer(model, args).create_optimizer()
    ours = decayed_trainer(args)[0].create_optimizer()
    assert type(ours) is type(stock)
    rest = [
        {key: value for key, value in optimizer.defaults.items() if key not in ("weight_decay", "lr")}
        for optimizer in (stock, ours)
    ]
    assert rest[0] == rest[1]


def test_the_trainer_can_tell_which_optimizer_it_is_and_a_search_can_pickle_it(tmp_path: Path) -> None:
    factory, kwargs = layer_decay_optimizer(arguments(tmp_path, optim="adamw_torch"), layer_decay=0.5)
    assert "torch.optim.adamw.AdamW" in str(factory)  # the Trainer looks for bitsandbytes there
    assert kwargs["betas"] == (0.9, 0.999)
    assert pickle.loads(pickle.dumps(factory)).layer_decay == 0.5


@pytest.mark.parametrize("optim", ["galore_adamw", "apollo_adamw", "lomo", "adalomo"])
def test_an_optimizer_with_groups_of_its_own_is_refused(optim: str, tmp_path: Path) -> None:
    args = arguments(tmp_path, optim=optim, optim_target_modules="all-linear")
    with pytest.raises(StrategyError, match=f"optim='{optim}' makes parameter groups of its own .*: choose another"):
        layer_decay_optimizer(args, layer_decay=0.5)


def test_a_trainer_that_does_not_know_factories_is_told_to_upgrade(tmp_path: Path) -> None:
    factory, kwargs = layer_decay_optimizer(arguments(tmp_path), layer_decay=0.5)
    with pytest.raises(StrategyError, match=r"upgrade to transformers 5.2 or later"):
        factory([{"params": []}], **kwargs)  # as transformers 5.0 and 5.1 call it


def test_in_two_processes_each_group_has_the_rates_and_weights_of_one(tmp_path: Path) -> None:
    options = {"layer_decay": 0.5, "head_learning_rate": 0.1, "average_tokens_across_devices": False, **COSINE}
    in_two = json.dumps({"per_device_train_batch_size": 2, **options})
    first, second = run_in_processes("tests.trainer.programs.layers_on_ranks", tmp_path, in_two)
    assert [first["world_size"], second["world_size"]] == [2, 2]
    assert first["wrapped_model"] == second["wrapped_model"] == "DistributedDataParallel"
    assert first["weights"] == second["weights"]
    one = report(tmp_path / "one", options)
    assert one["world_size"] == 1
    assert first["rates"] == second["rates"] == [[list(item) for item in step] for step in one["rates"]]
    for found, vector in zip(first["weights"], one["weights"], strict=True):
        assert found == pytest.approx(vector, abs=1e-3)
