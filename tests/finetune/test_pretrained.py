"""Pretrained weights that do not fit their config.json are refused; only a head and a pooler may be new."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    AlbertConfig,
    AutoModel,
    AutoModelForMaskedLM,
    AutoModelForQuestionAnswering,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    BertConfig,
    BertForMaskedLM,
    BertModel,
    DistilBertConfig,
    GPT2Config,
    ModernBertConfig,
    RobertaConfig,
)

from hf_strategies import StrategyError
from hf_strategies.finetune.arguments import ModelArguments
from hf_strategies.finetune.model import label_names, load_config, load_model
from tests.finetune.models import SIZES, wordpiece

TOKENIZER = wordpiece()
ROWS = len(TOKENIZER)
Weights = dict[str, torch.Tensor]


def bert(folder: Path, kind: type = BertForMaskedLM, **entries: Any) -> ModelArguments:
    """Save a BERT, change these entries of its config.json, and return the arguments that name it."""
    kind(BertConfig(vocab_size=ROWS, **SIZES)).save_pretrained(folder)
    file = folder / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text(encoding="utf-8")) | entries), encoding="utf-8")
    return ModelArguments(model_name_or_path=str(folder))


def change(args: ModelArguments, change: Callable[[Weights], Weights]) -> None:
    """Replace the weights of a saved model by what ``change`` makes of them."""
    file = Path(str(args.model_name_or_path), "model.safetensors")
    save_file({name: weight.contiguous() for name, weight in change(load_file(file)).items()}, file, {"format": "pt"})


def load(args: ModelArguments, auto_class: Any = AutoModelForSequenceClassification, **options: Any) -> Any:
    return load_model(auto_class, args, load_config(args), TOKENIZER, **options)


def refusal(args: ModelArguments, auto_class: Any = AutoModelForSequenceClassification) -> str:
    """The message for a model whose weights do not fit, without its first and last words."""
    with pytest.raises(StrategyError) as raised:
        load(args, auto_class)
    words = str(raised.value)
    assert "\n" not in words
    start = f"model_name_or_path={args.model_name_or_path!r} has weights that do not fit its config.json: "
    end = ": give the config.json that was saved with them"
    assert words.startswith(start)
    assert words.endswith(end)
    return words.removeprefix(start).removesuffix(end)


@pytest.mark.parametrize("kind", [BertForMaskedLM, BertModel], ids=["with a head", "the body alone"])
@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ({"hidden_size": 16}, "bert.embeddings.LayerNorm.bias has the size 8, and 16 by config.json (and"),
        (
            {"vocab_size": ROWS + 3},
            f"bert.embeddings.word_embeddings.weight has the size {ROWS} x 8, and {ROWS + 3} x 8 by config.json",
        ),
        (
            {"max_position_embeddings": 64},
            "bert.embeddings.position_embeddings.weight has the size 42 x 8, and 64",
        ),
        ({"num_hidden_layers": 4}, "they lack bert.encoder.layer.2, bert.encoder.layer.3"),
        ({"num_hidden_layers": 1}, "it has no "),
        (
            {"num_hidden_layers": 12},
            "they lack bert.encoder.layer.2, bert.encoder.layer.3, bert.encoder.layer.4 and",
        ),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_config_that_is_not_that_of_the_weights_is_refused(
    entries: dict[str, Any], words: str, kind: type, tmp_path: Path
) -> None:
    assert refusal(bert(tmp_path, kind, **entries)).startswith(words)


def test_layers_beside_those_of_the_config_are_named(tmp_path: Path) -> None:
    assert refusal(bert(tmp_path, num_hidden_layers=1)) == "it has no bert.encoder.layer.1"


def test_weights_that_are_missing_within_a_layer_are_named(tmp_path: Path) -> None:
    args = bert(tmp_path)
    change(args, lambda weights: {name: weight for name, weight in weights.items() if "layer.1.output" not in name})
    assert refusal(args) == "they lack bert.encoder.layer.1"


def test_weights_of_another_kind_of_model_are_refused(tmp_path: Path) -> None:
    args = bert(tmp_path)
    change(args, lambda weights: {f"other.{name}": weight for name, weight in weights.items()})
    assert refusal(args).startswith("they lack bert.embeddings, bert.encoder.layer.0, bert.encoder.layer.1")
    assert refusal(args, AutoModelForMaskedLM).startswith("they lack bert.embeddings, bert.encoder.layer.0")


@pytest.mark.parametrize("damage", [b"", b"no weights", None], ids=["empty", "garbage", "cut in half"])
def test_a_damaged_file_is_one_line(damage: bytes | None, tmp_path: Path) -> None:
    args = bert(tmp_path)
    file = tmp_path / "model.safetensors"
    file.write_bytes(file.read_bytes()[:9000] if damage is None else damage)
    with pytest.raises(StrategyError, match=r"cannot be loaded: .*its weights$") as raised:
        load(args)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("entry", [{"hidden_size": "wide"}, {"num_attention_heads": 3}, {"hidden_act": "none"}])
def test_a_config_with_an_impossible_entry_is_one_line(entry: dict[str, Any], tmp_path: Path) -> None:
    args = bert(tmp_path, **entry)
    with pytest.raises(StrategyError, match=r"model_name_or_path='.*' cannot be loaded: ") as raised:
        load(args)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("fixed", [False, True])
def test_half_precision_weights_are_trained_in_single_precision(
    fixed: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    args = bert(tmp_path, dtype="float16")
    change(args, lambda weights: {name: weight.half() for name, weight in weights.items()})
    model = load(args, AutoModelForMaskedLM, fixed=fixed)
    assert model.dtype == (torch.float16 if fixed else torch.float32)
    line = f"The weights of {tmp_path} are float16: they are trained as float32."
    assert caplog.messages == ([] if fixed else [line])


class TestNewWeights:
    """What may be new, and how it is reported."""

    @pytest.mark.parametrize(
        ("kind", "auto_class", "new"),
        [
            (BertForMaskedLM, AutoModelForSequenceClassification, "bert.pooler, classifier"),
            (BertForMaskedLM, AutoModelForTokenClassification, "classifier"),
            (BertForMaskedLM, AutoModelForQuestionAnswering, "qa_outputs"),
            (BertModel, AutoModelForSequenceClassification, "classifier"),
            (BertModel, AutoModelForMaskedLM, "cls"),
        ],
    )
    def test_a_head_and_a_pooler_are_reported_in_one_line(
        self, kind: type, auto_class: Any, new: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        args = bert(tmp_path, kind)
        model = load(args, auto_class)
        assert caplog.messages == [
            f"New in the model, with random weights: {new} (the rest is that of {args.model_name_or_path})."
        ]
        assert {name.removeprefix("bert.").partition(".")[0] for name in model.new_weights} == {
            module.removeprefix("bert.") for module in new.split(", ")
        }

    def test_nothing_is_reported_where_all_weights_are_there(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        model = load(bert(tmp_path), AutoModelForMaskedLM)
        assert model.new_weights == set()
        assert caplog.messages == []

    @pytest.mark.parametrize(
        "config",
        [
            RobertaConfig(vocab_size=ROWS, **SIZES, pad_token_id=0),
            AlbertConfig(vocab_size=ROWS, **SIZES, embedding_size=4),
            DistilBertConfig(vocab_size=ROWS, dim=8, n_layers=1, n_heads=2, hidden_dim=8),
            GPT2Config(vocab_size=ROWS, n_positions=42, n_embd=8, n_layer=1, n_head=2),
            ModernBertConfig(vocab_size=ROWS, **SIZES, pad_token_id=0, cls_token_id=2, sep_token_id=3),
        ],
        ids=lambda config: config.model_type,
    )
    def test_the_body_alone_of_each_family_gets_heads(self, config: Any, tmp_path: Path) -> None:
        AutoModel.from_config(config).save_pretrained(tmp_path)
        args = ModelArguments(model_name_or_path=str(tmp_path))
        for auto_class in (AutoModelForSequenceClassification, AutoModelForTokenClassification):
            model = load(args, auto_class, **label_names(["a", "b", "c"]))
            assert model.new_weights
            assert not {name for name in model.new_weights if name.startswith(f"{model.base_model_prefix}.encoder")}

    def test_what_old_files_have_beside_the_weights_is_no_fault(self, tmp_path: Path) -> None:
        args = bert(tmp_path)
        more = {
            "bert.embeddings.position_ids": torch.arange(42)[None],
            "bert.encoder.layer.0.attention.self.rel_bias": torch.zeros(8),
        }
        change(args, lambda weights: weights | more)
        assert load(args, AutoModelForMaskedLM).new_weights == set()

    def test_a_model_that_is_not_trained_needs_its_head(self, tmp_path: Path) -> None:
        args = bert(tmp_path)
        with pytest.raises(
            StrategyError, match=r"has no trained bert\.pooler, classifier for this task: train it first, without"
        ):
            load(args, fixed=True)
        load(args, AutoModelForMaskedLM, fixed=True)
