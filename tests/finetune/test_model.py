"""The small BERT and its tokenizer, which need no network, and the labels of a model that was fine-tuned."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset, DatasetDict
from transformers import AutoModelForSequenceClassification, BertConfig

from hf_strategies import StrategyError
from hf_strategies.finetune.arguments import ModelArguments, RecipeArguments
from hf_strategies.finetune.model import label_names, load_config, load_model, trained_labels
from hf_strategies.finetune.small_bert import train_wordpiece
from hf_strategies.finetune.text_classification.data import ClassificationData, choose_labels
from hf_strategies.finetune.tokenizer import make_tokenizer

# Many pieces that occur equally often, so that ties are there to be broken.
TEXTS = [f"The {one}{two}er of {two}{one}ing, no. {index}" for index, one in enumerate("abcde") for two in "vwxyz"]
NUMBERS = tuple(str(number) for number in range(12))


def classifier(args: ModelArguments, config: Any, tokenizer: Any, labels: Any) -> Any:
    return load_model(AutoModelForSequenceClassification, args, config, tokenizer, **label_names(labels))


def data_with(labels: list[str], *, train: bool = True) -> ClassificationData:
    rows = Dataset.from_dict({"text": labels, "label": labels})
    split = "train" if train else "test"
    return ClassificationData(DatasetDict({split: rows}), tuple(sorted(set(labels))) if train else (), "a data set")


class TestTokenizer:
    """A WordPiece tokenizer trained on the texts."""

    def test_special_tokens_come_first_and_surround_the_text(self) -> None:
        tokenizer = train_wordpiece(TEXTS)
        special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
        assert tokenizer.convert_ids_to_tokens([0, 1, 2, 3, 4]) == special
        assert sorted(tokenizer.all_special_tokens) == sorted(special)
        assert tokenizer.convert_ids_to_tokens(tokenizer("the")["input_ids"]) == ["[CLS]", "the", "[SEP]"]

    def test_a_pair_is_told_apart_by_token_type_ids(self) -> None:
        encoded = train_wordpiece(TEXTS)("the", "of the")
        assert encoded["token_type_ids"] == [0, 0, 0, 1, 1, 1]
        assert encoded["attention_mask"] == [1] * 6

    def test_letter_case_does_not_matter_and_decoding_joins_pieces(self) -> None:
        tokenizer = train_wordpiece(TEXTS)
        encoded = tokenizer("AVER of VAING")["input_ids"]
        assert encoded == tokenizer("aver of vaing")["input_ids"]
        assert tokenizer.decode(encoded, skip_special_tokens=True) == "aver of vaing"

    def test_pieces_of_a_word_are_no_special_tokens_in_a_text(self) -> None:
        tokenizer = train_wordpiece(TEXTS)
        assert "##a" in tokenizer.get_vocab()
        assert tokenizer.tokenize("##a") == ["[UNK]", "[UNK]", "a"]

    def test_what_no_piece_covers_is_unknown(self) -> None:
        assert train_wordpiece(TEXTS).tokenize("the ß") == ["the", "[UNK]"]

    def test_vocabulary_is_no_larger_than_asked_for(self) -> None:
        assert len(train_wordpiece(TEXTS, vocabulary=60)) == 60
        assert len(train_wordpiece(TEXTS)) > 60

    def test_the_same_texts_give_the_same_vocabulary_in_any_process(self) -> None:
        here = [train_wordpiece(TEXTS).get_vocab() for _ in range(3)]
        script = (
            "import json, sys; from hf_strategies.finetune.small_bert import train_wordpiece;"
            "print(json.dumps(train_wordpiece(json.load(sys.stdin)).get_vocab()))"
        )
        there = subprocess.run(
            [sys.executable, "-c", script],
            input=json.dumps(TEXTS),
            env={**os.environ, "PYTHONHASHSEED": "1"},
            capture_output=True,
            text=True,
            check=True,
        )
        assert here == [json.loads(there.stdout)] * 3

    def test_a_resumed_run_takes_the_tokenizer_of_its_checkpoint_and_a_new_one_its_own(self, tmp_path: Path) -> None:
        def make(**options: Any) -> dict[str, int]:
            run = RecipeArguments(output_dir=str(tmp_path / "out"), use_cpu=True, **options)
            return make_tokenizer(ModelArguments(), None, others, run).get_vocab()

        others, checkpoint = ["quite other texts", "quite other words"], tmp_path / "checkpoint"
        train_wordpiece(TEXTS).save_pretrained(checkpoint)
        assert make(resume_from_checkpoint=str(checkpoint)) == train_wordpiece(TEXTS).get_vocab()
        assert make() == train_wordpiece(others).get_vocab() != train_wordpiece(TEXTS).get_vocab()
        assert make(resume_from_checkpoint=str(checkpoint), find_lr=True) == make()
        assert not (tmp_path / "out").exists()

    def test_a_folder_with_a_model_and_no_tokenizer_is_told(self, tmp_path: Path) -> None:
        classifier(ModelArguments(), None, train_wordpiece(TEXTS), ("a", "b")).save_pretrained(tmp_path)
        run = RecipeArguments(output_dir=str(tmp_path / "out"), use_cpu=True)
        with pytest.raises(StrategyError, match=r"model_name_or_path='.*' has no tokenizer files"):
            make_tokenizer(ModelArguments(model_name_or_path=str(tmp_path)), None, TEXTS, run)


class TestModel:
    """One output per label."""

    def test_the_small_bert_has_one_named_output_per_label(self) -> None:
        tokenizer = train_wordpiece(TEXTS)
        model = classifier(ModelArguments(), None, tokenizer, ("bad", "good", "odd"))
        assert model.config.num_labels == 3
        assert model.config.id2label == {0: "bad", 1: "good", 2: "odd"}
        assert model.config.label2id == {"bad": 0, "good": 1, "odd": 2}
        assert model.config.vocab_size == len(tokenizer)
        logits = model(**tokenizer(["the aver", "of"], ["", "no."], padding=True, return_tensors="pt")).logits
        assert logits.shape == (2, 3)

    def test_a_saved_model_comes_back_with_its_weights_and_labels(self, tmp_path: Path) -> None:
        tokenizer = train_wordpiece(TEXTS)
        model = classifier(ModelArguments(), None, tokenizer, NUMBERS)
        model.save_pretrained(tmp_path)
        named = ModelArguments(model_name_or_path=str(tmp_path))
        config = load_config(named)
        assert trained_labels(config) == NUMBERS
        again = classifier(named, config, tokenizer, trained_labels(config))
        assert again.config.id2label == model.config.id2label
        assert all(torch.equal(one, other) for one, other in zip(again.parameters(), model.parameters(), strict=True))

    def test_a_head_for_other_labels_is_new_and_the_body_is_kept(self, tmp_path: Path) -> None:
        tokenizer = train_wordpiece(TEXTS)
        model = classifier(ModelArguments(), None, tokenizer, ("a", "b"))
        model.save_pretrained(tmp_path)
        named = ModelArguments(model_name_or_path=str(tmp_path))
        other = classifier(named, load_config(named), tokenizer, ("x", "y", "z"))
        assert other.config.id2label == {0: "x", 1: "y", 2: "z"}
        body, new_body = model.base_model.state_dict(), other.base_model.state_dict()
        assert all(torch.equal(body[name], new_body[name]) for name in body)

    def test_a_folder_with_a_configuration_and_no_weights_is_told(self, tmp_path: Path) -> None:
        BertConfig().save_pretrained(tmp_path)
        named = ModelArguments(model_name_or_path=str(tmp_path))
        with pytest.raises(StrategyError, match=r"model_name_or_path='.*' cannot be loaded: .*its weights") as raised:
            classifier(named, load_config(named), train_wordpiece(TEXTS), ("a", "b"))
        assert "\n" not in str(raised.value)

    @pytest.mark.parametrize("config", ["", "{}", '{"model_type": "no such model"}'])
    def test_a_folder_without_a_model_is_told(self, config: str, tmp_path: Path) -> None:
        if config:
            (tmp_path / "config.json").write_text(config, encoding="utf-8")
        with pytest.raises(
            StrategyError, match=r"model_name_or_path='.*' cannot be loaded: .*config\.json"
        ) as raised:
            load_config(ModelArguments(model_name_or_path=str(tmp_path)))
        assert "\n" not in str(raised.value)


class TestChooseLabels:
    """Whose order of the labels counts."""

    def test_a_model_that_was_fine_tuned_for_these_labels_keeps_its_order(self) -> None:
        assert choose_labels(data_with(["a", "b"]), ("b", "a")) == ("b", "a")

    def test_a_model_for_other_labels_takes_those_of_the_data(self) -> None:
        assert choose_labels(data_with(["a", "b"]), ("LABEL_0", "LABEL_1")) == ("a", "b")
        assert choose_labels(data_with(["a", "b"]), ()) == ("a", "b")

    def test_case_does_not_matter_and_the_data_are_spelt_as_they_are(self) -> None:
        assert choose_labels(data_with(["no", "Yes"]), ("YES", "MAYBE", "NO")) == ("Yes", "MAYBE", "no")
        assert choose_labels(data_with(["no"], train=False), ("YES", "NO"), fixed=True) == ("YES", "no")
        assert choose_labels(data_with(["1"], train=False), ("LABEL_0", "LABEL_1"), fixed=True) == ("LABEL_0", "1")

    def test_labels_of_which_the_model_knows_some_are_new(self) -> None:
        assert choose_labels(data_with(["a", "b", "c"]), ("b", "a")) == ("a", "b", "c")

    def test_without_a_training_set_the_models_labels_count(self) -> None:
        assert choose_labels(data_with(["a"], train=False), ("b", "a")) == ("b", "a")

    def test_a_label_that_the_model_lacks_is_told(self) -> None:
        with pytest.raises(StrategyError, match=r"label 'c' \(row 1 of the test split\)"):
            choose_labels(data_with(["a", "c"], train=False), ("b", "a"))

    def test_the_order_is_that_of_the_ids_and_not_of_the_saved_file(self) -> None:
        config = BertConfig(id2label=dict(sorted(enumerate(NUMBERS), key=lambda row: str(row[0]))))
        assert trained_labels(config) == NUMBERS
        assert trained_labels(None) == ()
