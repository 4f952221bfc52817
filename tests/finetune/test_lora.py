"""LoRA by flags: what is trained, what is left alone, and what is saved."""

import shutil
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from torch import Tensor
from transformers import AutoModelForSequenceClassification, AutoTokenizer, BertConfig, BertForMaskedLM

from hf_strategies import StrategyError
from hf_strategies.finetune import lora
from hf_strategies.finetune import run as recipe_run
from hf_strategies.finetune.arguments import ModelArguments
from hf_strategies.finetune.lora import LoraArguments, trained_whole, with_lora
from hf_strategies.finetune.model import load_config, load_model
from hf_strategies.finetune.small_bert import train_wordpiece
from hf_strategies.recipes import text_classification
from tests.finetune.runs import QUIET, logged, predictions, read, reviews, write_csv_splits

peft = pytest.importorskip("peft")

HEADS = {
    "SequenceClassification": ["classifier"],
    "TokenClassification": ["classifier"],
    "QuestionAnswering": ["qa_outputs"],
    "MultipleChoice": ["classifier"],
    # The decoder is the embeddings, and its bias is the head's own: neither can be replaced alone.
    "MaskedLM": ["cls.predictions.transform.dense", "cls.predictions.transform.LayerNorm"],
}
STEPS = ["--max_steps", "6", "--eval_strategy", "steps", "--eval_steps", "2", "--logging_steps", "1"]
SAVES = ["--save_strategy", "steps", "--save_steps", "2", "--save_total_limit", "3"]
FLAGS = [*QUIET, *STEPS, "--per_device_train_batch_size", "8", "--learning_rate", "1e-2"]
# Of peft 0.21 with transformers 5.23.
OLD_NAME = "ignore:.*is_gradient_checkpointing:FutureWarning"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the runs lie, with a pretrained model that has neither a pooler nor a classifier."""
    folder = tmp_path_factory.mktemp("lora")
    tokenizer = train_wordpiece([row["text"] for row in reviews(60, 0)])
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    BertForMaskedLM(BertConfig(vocab_size=len(tokenizer), **sizes)).save_pretrained(folder / "base")
    tokenizer.save_pretrained(folder / "base")
    return folder


@pytest.fixture(scope="module")
def files(folder: Path) -> list[str]:
    """The flags of three files of reviews and of the pretrained model."""
    return [*write_csv_splits(folder, reviews), "--model_name_or_path", str(folder / "base")]


class Seen:
    """What the model was when training had ended, before its adapters were merged."""

    def __init__(self) -> None:
        self.weights: dict[str, Tensor] = {}
        self.logits = torch.empty(0)
        self.metrics: dict[str, float] = {}

    def look(self, trainer: Any) -> dict[str, float]:
        assert isinstance(trainer.model, peft.PeftModel)
        self.weights = {name: value.detach().clone() for name, value in trainer.model.named_parameters()}
        self.logits = logits(trainer.model, trainer.processing_class)
        self.metrics = trainer.evaluate()
        return {}


def logits(model: Any, tokenizer: Any) -> Tensor:
    texts = [row["text"] for row in reviews(5, 3)]
    batch = tokenizer(texts, padding=True, return_tensors="pt")
    with torch.inference_mode():
        found: Tensor = model.eval()(**batch).logits
    return found


@pytest.fixture(scope="module")
def trained(folder: Path, files: list[str]) -> Seen:
    """A run with adapters and early stopping that goes back to its best weights, in the folder ``out``."""
    seen = Seen()
    train = recipe_run.save_merged
    flags = ["--lora_r", "2", "--lora_dropout", "0.1", "--early_stopping_patience", "5", *SAVES]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recipe_run, "save_merged", lambda trainer: (seen.look(trainer), train(trainer)))
        text_classification.main([*FLAGS, *files, *flags, "--output_dir", str(folder / "out")])
    return seen


def base_name(name: str) -> str:
    return name.removeprefix("base_model.model.").replace(".base_layer.", ".").replace(".original_module.", ".")


class TestTraining:
    """The run."""

    def test_the_pretrained_weights_are_the_same_bits(self, folder: Path, trained: Seen) -> None:
        before = BertForMaskedLM.from_pretrained(folder / "base").state_dict()
        kept = {base_name(name): value for name, value in trained.weights.items()}
        for name, value in before.items():
            if name.startswith("bert."):
                assert torch.equal(kept[name], value), name
        assert sum(name.startswith("bert.") for name in before) > 30

    def test_adapters_of_all_layers_the_head_and_the_new_pooler_are_trained(self, trained: Seen) -> None:
        whole = {name for name in trained.weights if ".modules_to_save." in name}
        assert {base_name(name).partition(".modules_to_save")[0] for name in whole} == {
            "classifier",
            "bert.pooler.dense",
        }
        adapted = {base_name(name).partition(".lora_B")[0] for name in trained.weights if ".lora_B." in name}
        assert len(adapted) == 2 * 6  # query, key, value and three dense layers, in each of two layers
        assert all(value.any() for name, value in trained.weights.items() if ".lora_B." in name)

    def test_the_merged_model_is_the_best_one(self, folder: Path, trained: Seen) -> None:
        best = min(loss for _, loss in logged(folder / "out", "eval_loss"))
        assert trained.metrics["eval_loss"] == pytest.approx(best, rel=1e-5)
        assert read(folder / "out" / "all_results.json")["eval_loss"] == pytest.approx(best, rel=1e-4)

    def test_the_output_folder_is_a_plain_model_of_the_same_logits(self, folder: Path, trained: Seen) -> None:
        assert not (folder / "out" / "adapter_config.json").exists()
        model = AutoModelForSequenceClassification.from_pretrained(folder / "out")
        tokenizer = AutoTokenizer.from_pretrained(folder / "out")
        assert type(model).__name__ == "BertForSequenceClassification"
        torch.testing.assert_close(logits(model, tokenizer), trained.logits, atol=1e-5, rtol=1e-4)
        assert len(predictions(folder / "out")) == 15

    @pytest.mark.filterwarnings(OLD_NAME)
    def test_the_adapter_folder_loads_with_peft(self, folder: Path, trained: Seen) -> None:
        base = AutoModelForSequenceClassification.from_pretrained(folder / "base")
        model = peft.PeftModel.from_pretrained(base, folder / "out" / "adapter")
        tokenizer = AutoTokenizer.from_pretrained(folder / "base")
        torch.testing.assert_close(logits(model, tokenizer), trained.logits, atol=1e-6, rtol=1e-5)

    @pytest.mark.usefixtures("trained")
    def test_a_run_that_was_broken_off_goes_on(self, folder: Path, files: list[str], tmp_path: Path) -> None:
        shutil.copytree(folder / "out" / "checkpoint-2", tmp_path / "out" / "checkpoint-2")
        flags = ["--lora_r", "2", "--lora_dropout", "0.1", "--early_stopping_patience", "5", *SAVES]
        resume = ["--resume_from_checkpoint", "last", "--output_dir", str(tmp_path / "out")]
        text_classification.main([*FLAGS, *files, *flags, *resume])
        for key, count in {"learning_rate": 6, "loss": 6, "eval_loss": 3}.items():
            assert logged(tmp_path / "out", key) == logged(folder / "out", key)[:count]

    def test_layer_wise_rates_reach_the_adapters(self, files: list[str], tmp_path: Path) -> None:
        flags = ["--lora_r", "2", "--layer_decay", "0.5", "--head_learning_rate", "0.1", "--max_steps", "1"]
        trainer = text_classification.main([*FLAGS, *files, *flags, "--output_dir", str(tmp_path / "out")])
        groups = trainer.optimizer.param_groups  # type: ignore[union-attr]
        rates = {group["depth"]: group["initial_lr"] for group in groups}
        assert rates == {2: 1e-2, 1: pytest.approx(5e-3), 3: 0.1}
        counts = {depth: sum(len(group["params"]) for group in groups if group["depth"] == depth) for depth in rates}
        assert counts == {1: 12, 2: 12, 3: 4}  # two matrices for each of six layers; pooler and classifier


@pytest.mark.parametrize("name", HEADS)
def test_each_task_trains_its_own_head_and_merges_to_the_same_outputs(name: str, tmp_path: Path) -> None:
    kind = getattr(transformers, f"AutoModelFor{name}")
    torch.manual_seed(0)
    model = load_model(kind, ModelArguments(), None, train_wordpiece(["some words"]))
    assert trained_whole(model) == HEADS[name]
    adapted: Any = with_lora(model, LoraArguments(lora_r=2))
    free = {key: value for key, value in adapted.named_parameters() if value.requires_grad}
    assert {base_name(key).partition(".modules_to_save")[0] for key in free if "lora_" not in key} == set(HEADS[name])
    with torch.no_grad():
        for value in free.values():
            value.add_(0.1 * torch.randn_like(value))
    ids = torch.tensor([[[2, 5, 6, 3]]] if name == "MultipleChoice" else [[2, 5, 6, 3]])
    with torch.inference_mode():
        before = adapted.eval()(input_ids=ids)[0]
    adapted.merge_and_unload().save_pretrained(tmp_path)
    again = kind.from_pretrained(tmp_path).eval()
    with torch.inference_mode():
        torch.testing.assert_close(again(input_ids=ids)[0], before, atol=1e-5, rtol=1e-4)
    if name == "MaskedLM":
        assert again.cls.predictions.decoder.weight is again.bert.embeddings.word_embeddings.weight


def test_a_pooler_that_the_pretrained_model_has_is_adapted_instead(folder: Path, tmp_path: Path) -> None:
    base = AutoModelForSequenceClassification.from_pretrained(folder / "base")
    base.bert.save_pretrained(tmp_path)
    args = ModelArguments(model_name_or_path=str(tmp_path), lora_r=2)
    model = load_model(AutoModelForSequenceClassification, args, load_config(args), train_wordpiece(["words"]))
    assert trained_whole(model) == ["classifier"]
    assert "base_model.model.bert.pooler.dense.lora_A.default.weight" in dict(
        with_lora(model, args).named_parameters()
    )


def test_alpha_is_twice_the_rank_unless_given(folder: Path) -> None:
    for given, alpha in ((None, 8), (3.0, 3.0)):
        model = AutoModelForSequenceClassification.from_pretrained(folder / "base")
        adapted: Any = with_lora(model, LoraArguments(lora_r=4, lora_alpha=given, lora_target_modules=["query"]))
        assert adapted.peft_config["default"].lora_alpha == alpha
        assert sum(".lora_A." in name for name, _ in adapted.named_parameters()) == 2


def test_without_a_rank_the_model_is_left_alone(folder: Path) -> None:
    model = AutoModelForSequenceClassification.from_pretrained(folder / "base")
    assert with_lora(model, LoraArguments()) is model


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--lora_r", "0"], "lora_r=0 is out of range: give a whole number from 1 to 65536, such as 8"),
        (["--lora_r", "2", "--lora_alpha", "0"], "lora_alpha=0.0 is out of range"),
        (["--lora_r", "2", "--lora_dropout", "1"], r"lora_dropout=1.0 is out of range: give a number in \[0, 1\)"),
        (["--lora_alpha", "4"], "lora_alpha=4.0 has no effect without lora_r: set that too"),
        (["--lora_r", "2", "--do_train", "false"], "lora_r=2 with do_train=False has nothing to train: leave it out"),
        (
            ["--lora_r", "2", "--lora_target_modules", "query", "qeury"],
            r"lora_target_modules='qeury' fits no layer of this model: did you mean 'query'\?",
        ),
        (
            ["--lora_r", "2", "--lora_target_modules", "classifier"],
            "'classifier' fits no layer of this model: known: ",
        ),
    ],
)
def test_what_cannot_be_is_one_line_before_training(
    flags: list[str], words: str, files: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transformers.Trainer, "train", None)
    with pytest.raises(StrategyError, match=words) as raised:
        text_classification.main([*FLAGS, *files, *flags, "--output_dir", str(tmp_path / "out")])
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "out").exists()


def test_a_layer_that_shares_its_weight_is_refused(folder: Path) -> None:
    model = BertForMaskedLM.from_pretrained(folder / "base")
    words = "lora_target_modules='word_embeddings' shares its weight with another layer of this model: leave it out"
    with pytest.raises(StrategyError, match=words):
        with_lora(model, LoraArguments(lora_r=2, lora_target_modules=["query", "word_embeddings"]))


def test_without_peft_the_flag_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> ModuleSpec | None:
        return None

    monkeypatch.setattr(lora, "find_spec", missing)
    with pytest.raises(StrategyError, match="lora_r=8 needs peft: pip install peft"):
        LoraArguments(lora_r=8)
    assert LoraArguments().lora_r is None
