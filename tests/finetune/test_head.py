"""The outputs of a fine-tuned model keep their labels, in any order and case, or the head is a new one."""

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import (
    AutoModelForMultipleChoice,
    AutoModelForQuestionAnswering,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    BertConfig,
    ModernBertConfig,
    RobertaConfig,
)

from hf_strategies import StrategyError
from hf_strategies.finetune.arguments import ModelArguments
from hf_strategies.finetune.head import match_labels
from hf_strategies.finetune.model import label_names, load_config, load_model
from tests.finetune.models import SIZES, wordpiece

TOKENIZER = wordpiece()
BERT = BertConfig(vocab_size=len(TOKENIZER), **SIZES)
TRAINED = ("CONTRADICTION", "NEUTRAL", "ENTAILMENT")


def fine_tuned(
    folder: Path,
    labels: tuple[str, ...] = TRAINED,
    auto_class: Any = AutoModelForSequenceClassification,
    config: Any = BERT,
) -> tuple[ModelArguments, Any]:
    """Save a model for these labels; return the arguments that name it, and its weights."""
    config = type(config).from_dict(config.to_dict() | label_names(labels))
    model = auto_class.from_config(config)
    model.save_pretrained(folder)
    return ModelArguments(model_name_or_path=str(folder)), model.state_dict()


def load(
    args: ModelArguments,
    labels: tuple[str, ...],
    auto_class: Any = AutoModelForSequenceClassification,
    **options: Any,
) -> Any:
    return load_model(auto_class, args, load_config(args), TOKENIZER, **label_names(labels), **options)


class TestMatch:
    """Which labels are those of the model."""

    @pytest.mark.parametrize(
        ("trained", "labels", "matched"),
        [
            (TRAINED, ("CONTRADICTION", "ENTAILMENT", "NEUTRAL"), TRAINED),
            (TRAINED, ("contradiction", "entailment", "neutral"), ("contradiction", "neutral", "entailment")),
            (TRAINED, ("Entailment", "neutral"), ("CONTRADICTION", "neutral", "Entailment")),
            (TRAINED, ("contradiction", "other"), None),
            (TRAINED, ("x", "y", "z"), None),
            (("LABEL_0", "LABEL_1", "LABEL_2"), ("0", "1", "2"), ("0", "1", "2")),
            (("LABEL_0", "LABEL_1", "LABEL_2"), ("0", "1"), None),
            (("LABEL_0", "LABEL_1"), ("neg", "pos"), None),
            (("STRASSE", "other"), ("straße", "Other"), ("straße", "Other")),
            # Where case is what tells labels apart, it counts.
            (("b", "B"), ("B", "b"), ("b", "B")),
            (("b", "B"), ("b", "C"), None),
            (("a", "b"), ("A", "a"), None),
            (("a", "a", "b"), ("a", "b"), None),
            ((), ("a", "b"), None),
        ],
    )
    def test_by_name_without_regard_to_case(
        self, trained: tuple[str, ...], labels: tuple[str, ...], matched: tuple[str, ...] | None
    ) -> None:
        assert match_labels(trained, labels) == matched

    def test_a_model_that_is_not_trained_may_see_some_of_its_numbers(self) -> None:
        trained = ("LABEL_0", "LABEL_1", "LABEL_2")
        assert match_labels(trained, ("2",), fixed=True) == ("LABEL_0", "LABEL_1", "2")


class TestKept:
    """The head of the model is kept, with each output for its label."""

    @pytest.mark.parametrize("auto_class", [AutoModelForSequenceClassification, AutoModelForTokenClassification])
    def test_labels_in_another_case(self, auto_class: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        args, weights = fine_tuned(tmp_path, auto_class=auto_class)
        model = load(args, ("contradiction", "neutral", "entailment"), auto_class, fixed=True)
        assert torch.equal(model.classifier.weight, weights["classifier.weight"])
        assert model.config.id2label == {0: "contradiction", 1: "neutral", 2: "entailment"}
        assert caplog.messages == [
            f"The outputs of {tmp_path} are kept, and named as in the data: contradiction, neutral, entailment."
        ]

    def test_the_models_own_labels_without_a_word(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        args, weights = fine_tuned(tmp_path)
        assert torch.equal(load(args, TRAINED).classifier.weight, weights["classifier.weight"])
        assert caplog.messages == []


class TestNew:
    """The head is new, which is reported in one line with the reason."""

    @pytest.mark.parametrize(
        ("trained", "labels", "reason"),
        [
            (TRAINED, ("x", "y", "z"), "it was trained for CONTRADICTION, NEUTRAL, ENTAILMENT, not for x, y, z"),
            # The right labels in a wrong order would be renamed silently.
            (TRAINED, TRAINED[::-1], "it was trained for CONTRADICTION, NEUTRAL, ENTAILMENT, not for ENTAILMENT"),
            (TRAINED, ("NEUTRAL", "other"), "it was trained for CONTRADICTION, NEUTRAL, ENTAILMENT, not for NEUTRAL"),
            (("LABEL_0", "LABEL_1"), ("neg", "pos"), "it was trained for LABEL_0, LABEL_1, not for neg, pos"),
        ],
        ids=["as many", "another order", "some", "no names"],
    )
    @pytest.mark.parametrize(
        "config",
        [
            BERT,
            RobertaConfig(vocab_size=len(TOKENIZER), **SIZES, pad_token_id=0),
            ModernBertConfig(vocab_size=len(TOKENIZER), **SIZES, pad_token_id=0, cls_token_id=2, sep_token_id=3),
        ],
        ids=lambda config: config.model_type,
    )
    def test_other_labels(
        self,
        config: Any,
        trained: tuple[str, ...],
        labels: tuple[str, ...],
        reason: str,
        tmp_path: Path,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        args, weights = fine_tuned(tmp_path, trained, config=config)
        model = load(args, labels)
        outputs = max(name for name in model.new_weights if name.endswith("weight"))
        new = model.state_dict()[outputs]
        assert len(new) == len(labels)
        assert not torch.equal(new, weights[outputs])
        assert 0 < new.std() < 0.5  # random numbers of a usual size, and no zeros
        body = [name for name in weights if name.startswith(f"{model.base_model_prefix}.")]
        assert all(torch.equal(model.state_dict()[name], weights[name]) for name in body)
        (line,) = caplog.messages
        assert line.startswith("New in the model, with random weights: classifier (the rest is that of ")
        assert reason in line

    @pytest.mark.parametrize(
        ("saved", "wanted", "config"),
        [
            (AutoModelForTokenClassification, AutoModelForSequenceClassification, BERT),
            (AutoModelForSequenceClassification, AutoModelForTokenClassification, BERT),
            (
                AutoModelForSequenceClassification,
                AutoModelForQuestionAnswering,  # its head has the same name
                ModernBertConfig(vocab_size=len(TOKENIZER), **SIZES, pad_token_id=0, cls_token_id=2, sep_token_id=3),
            ),
        ],
        ids=["tokens to texts", "texts to tokens", "texts to questions"],
    )
    def test_another_task(
        self, saved: Any, wanted: Any, config: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        args, weights = fine_tuned(tmp_path, ("a", "b"), saved, config)
        model = load(args, ("a", "b"), wanted)
        assert not torch.equal(model.classifier.weight, weights["classifier.weight"])
        (line,) = caplog.messages
        assert "classifier" in line
        assert "has a head for another task" in line

    def test_choices_do_not_take_the_output_of_a_regression(self, tmp_path: Path) -> None:
        args, weights = fine_tuned(tmp_path, ("score",))
        model = load_model(AutoModelForMultipleChoice, args, load_config(args), TOKENIZER)
        assert model.classifier.weight.shape == weights["classifier.weight"].shape  # type: ignore[union-attr]
        assert not torch.equal(model.classifier.weight, weights["classifier.weight"])  # type: ignore[union-attr,arg-type]

    def test_a_model_that_is_not_trained_cannot_have_one(self, tmp_path: Path) -> None:
        args, _ = fine_tuned(tmp_path, ("a", "b"), AutoModelForTokenClassification)
        with pytest.raises(StrategyError, match=r"has no trained .*classifier.* another task: train it first"):
            load(args, ("a", "b"), fixed=True)

    def test_the_new_weights_depend_on_the_seed_alone(self, tmp_path: Path) -> None:
        args, _ = fine_tuned(tmp_path)
        torch.manual_seed(3)
        first = load(args, ("x", "y", "z")).classifier.weight
        torch.manual_seed(3)
        assert torch.equal(load(args, ("x", "y", "z")).classifier.weight, first)
