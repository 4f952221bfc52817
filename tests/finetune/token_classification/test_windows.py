"""Words to tokens and back: each word has its label, its place and its prediction, however short the windows are."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from datasets import DatasetDict
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerBase, RobertaTokenizer

from hf_strategies import StrategyError
from hf_strategies.finetune.arguments import ModelArguments, RecipeArguments
from hf_strategies.finetune.class_weights import balanced_weights
from hf_strategies.finetune.data import Dataset
from hf_strategies.finetune.sampling import longest_first
from hf_strategies.finetune.small_bert import train_wordpiece
from hf_strategies.finetune.token_classification.data import TokenArguments, TokenData
from hf_strategies.finetune.token_classification.windows import encode, label_ids, tags_of_sentences
from hf_strategies.finetune.tokenizer import make_tokenizer

TAGS = ("O", "B-LOC", "I-LOC")
WORDS = ["ann", "went", "to", "paris", "unfathomable", "new", "york", "x", "\ufe0f", "e"]


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerBase:
    """A tokenizer that knows some words whole, others in pieces of one letter, and U+FE0F not at all."""
    return train_wordpiece(["ann went to paris new york"] * 3 + ["unfathomable x e"])


def sentences(count: int, seed: int = 0) -> dict[str, list[list[str]]]:
    chance = np.random.default_rng(seed)
    lengths = chance.integers(1, 30, size=count)
    return {
        "tokens": [chance.choice(WORDS, size=length).tolist() for length in lengths],
        "tags": [chance.choice(TAGS, size=length).tolist() for length in lengths],
    }


def encoded(
    tokenizer: PreTrainedTokenizerBase, rows: dict[str, Any], max_length: int = 512, **options: Any
) -> Dataset:
    data = TokenData(DatasetDict({"train": Dataset.from_dict(rows)}), TAGS, "rows")
    return encode(TokenArguments(**options), data, tokenizer, TAGS, max_length)["train"]


def pieces(tokenizer: PreTrainedTokenizerBase, row: dict[str, Any]) -> list[str]:
    found: list[str] = tokenizer.convert_ids_to_tokens(row["input_ids"])
    return found


class TestLabels:
    """Which token has which label: O is 0, B-LOC 1, I-LOC 2."""

    rows = {"tokens": [["ann", "xe", "york"]], "tags": [["O", "B-LOC", "I-LOC"]]}  # noqa: RUF012

    def test_the_first_token_of_a_word_has_its_label_and_no_other(self, tokenizer: PreTrainedTokenizerBase) -> None:
        [row] = encoded(tokenizer, self.rows)
        assert pieces(tokenizer, row) == ["[CLS]", "ann", "x", "##e", "york", "[SEP]"]
        assert row["labels"] == [-100, 0, 1, -100, 2, -100]
        assert row["starts"] == [1, 2, 4]

    def test_all_tokens_of_a_word_have_it_when_asked_for_and_b_goes_on_as_i(
        self, tokenizer: PreTrainedTokenizerBase
    ) -> None:
        [row] = encoded(tokenizer, self.rows, label_all_subwords=True)
        assert row["labels"] == [-100, 0, 1, 2, 2, -100]
        assert row["starts"] == [1, 2, 4]

    def test_a_word_begun_in_one_window_is_no_new_word_in_the_next(self, tokenizer: PreTrainedTokenizerBase) -> None:
        tokenizer.truncation_side = "left"  # which would turn the windows around
        first, second = encoded(tokenizer, self.rows, max_length=4)
        assert pieces(tokenizer, first) == ["[CLS]", "ann", "x", "[SEP]"]
        assert pieces(tokenizer, second) == ["[CLS]", "##e", "york", "[SEP]"]
        assert [first["labels"], second["labels"]] == [[-100, 0, 1, -100], [-100, -100, 2, -100]]
        assert [(row["sentence"], row["part"]) for row in (first, second)] == [(0, 0), (0, 1)]

    def test_class_weights_count_them(self, tokenizer: PreTrainedTokenizerBase) -> None:
        rows = {"tokens": [["ann", "xe", "york"], ["ann"]], "tags": [["O", "B-LOC", "I-LOC"], ["O"]]}
        labels = label_ids(encoded(tokenizer, rows))
        assert sorted(labels[labels >= 0].tolist()) == [0, 0, 1, 2]
        assert balanced_weights(labels, 3) == pytest.approx([4 / 6, 4 / 3, 4 / 3])


@pytest.mark.parametrize("max_length", [3, 4, 5, 9, 24, 512])
@pytest.mark.parametrize("all_subwords", [False, True])
def test_the_tags_come_back_from_the_labels_in_any_order_of_windows(
    max_length: int, all_subwords: bool, tokenizer: PreTrainedTokenizerBase
) -> None:
    rows = sentences(50)
    windows = encoded(tokenizer, rows, max_length, label_all_subwords=all_subwords)
    assert max(map(len, windows["input_ids"])) <= max_length
    assert (len(windows) > 50) is (max_length < 512)
    for ordered in (windows, longest_first(windows)[0], windows.shuffle(seed=1)):
        width = max(map(len, ordered["labels"]))
        padded = np.array([row + [-100] * (width - len(row)) for row in ordered["labels"]])
        assert tags_of_sentences(ordered, padded, TAGS) == rows["tags"]


def test_a_word_without_tokens_is_the_unknown_one(tokenizer: PreTrainedTokenizerBase) -> None:
    [row] = encoded(tokenizer, {"tokens": [["ann", "\ufe0f", "york"]], "tags": [["O", "B-LOC", "O"]]})
    assert pieces(tokenizer, row) == ["[CLS]", "ann", "[UNK]", "york", "[SEP]"]
    assert row["labels"] == [-100, 0, 1, 0, -100]


def test_where_tags_are_unknown_there_are_places_without_labels(tokenizer: PreTrainedTokenizerBase) -> None:
    [row] = encoded(tokenizer, {"tokens": [["ann", "xe"]]})
    assert row["starts"] == [1, 2]
    assert "labels" not in row


def test_padding_is_on_the_right_where_places_do_not_move(tokenizer: PreTrainedTokenizerBase) -> None:
    tokenizer.padding_side = "left"
    encoded(tokenizer, sentences(2))
    assert tokenizer.padding_side == "right"


def test_a_tokenizer_that_tells_no_words_is_refused(
    tokenizer: PreTrainedTokenizerBase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(tokenizer), "is_fast", False)
    with pytest.raises(
        StrategyError, match="does not tell which word a token is of: give model_name_or_path a model"
    ):
        encoded(tokenizer, sentences(2))


def test_a_byte_level_tokenizer_sees_a_space_before_each_word(tmp_path: Path) -> None:
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    trainer = trainers.BpeTrainer(
        vocab_size=300,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=special,
        show_progress=False,
    )
    made.train_from_iterator(["we saw new york and new york"] * 9, trainer)
    model = json.loads(made.to_str())["model"]
    RobertaTokenizer(vocab=model["vocab"], merges=[tuple(pair) for pair in model["merges"]]).save_pretrained(tmp_path)
    args = ModelArguments(model_name_or_path=str(tmp_path))
    tokenizer = make_tokenizer(args, None, [], RecipeArguments(use_cpu=True), add_prefix_space=True)
    [row] = encoded(tokenizer, {"tokens": [["new", "", "york"]], "tags": [["B-LOC", "O", "O"]]})
    assert pieces(tokenizer, row) == ["<s>", "Ġnew", "<unk>", "Ġyork", "</s>"]
    assert row["labels"] == [-100, 1, 0, 0, -100]
