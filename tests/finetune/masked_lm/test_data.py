"""Packing and masking for masked language modelling, by values worked out by hand."""

import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from datasets import Dataset
from torch.utils.data import DataLoader
from transformers import PreTrainedTokenizerBase

from hf_strategies import StrategyError
from hf_strategies.finetune.masked_lm.data import MaskedLMArguments, encode, load_lines
from hf_strategies.finetune.masked_lm.masking import Masker, MaskingCollator
from hf_strategies.finetune.small_bert import train_wordpiece

PLACES = ("mat", "hat", "roof")
LINES = [f"the {animal} sat on the {place}, unhurriedly." for animal in ("cat", "dog") for place in PLACES]


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerBase:
    """A tokenizer that cuts unhurriedly into pieces."""
    return train_wordpiece(LINES, vocabulary=45)


def encoded(folder: Path, tokenizer: PreTrainedTokenizerBase, lines: list[str], **flags: Any) -> dict[str, Dataset]:
    file = folder / "lines.txt"
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    args = MaskedLMArguments(train_file=str(file), validation_file=str(file), **flags)
    masker = Masker.of(tokenizer, args.mlm_probability, whole_words=args.whole_word_mask)
    return dict(encode(args, load_lines(args), tokenizer, 512, masker))


class TestPacking:
    """Lines become blocks."""

    def test_all_tokens_are_there_in_order_with_one_separator_between_lines(
        self, tmp_path: Path, tokenizer: PreTrainedTokenizerBase
    ) -> None:
        blocks = encoded(tmp_path, tokenizer, LINES, block_size=11)["train"]["input_ids"]
        stream = [token for block in blocks for token in block[1:-1]]
        expected: list[int] = []
        for line in LINES:
            expected += [*tokenizer(line, add_special_tokens=False)["input_ids"], tokenizer.sep_token_id]
        assert stream == expected[:-1]

    def test_all_blocks_but_the_last_are_full_and_framed(
        self, tmp_path: Path, tokenizer: PreTrainedTokenizerBase
    ) -> None:
        blocks = list(encoded(tmp_path, tokenizer, LINES, block_size=11)["train"]["input_ids"])
        assert [len(block) for block in blocks[:-1]] == [11] * (len(blocks) - 1)
        assert 2 < len(blocks[-1]) <= 11
        assert {block[0] for block in blocks} == {tokenizer.cls_token_id}
        assert {block[-1] for block in blocks} == {tokenizer.sep_token_id}

    def test_unpacked_lines_are_what_the_tokenizer_makes_of_each(
        self, tmp_path: Path, tokenizer: PreTrainedTokenizerBase
    ) -> None:
        rows = encoded(tmp_path, tokenizer, [LINES[0], "", "  ", LINES[1]], pack=False, block_size=10)["train"]
        expected = tokenizer([LINES[0], LINES[1]], truncation=True, max_length=10)["input_ids"]
        assert list(rows["input_ids"]) == expected

    def test_evaluation_blocks_are_the_packed_ones_with_their_labels_put_back(
        self, tmp_path: Path, tokenizer: PreTrainedTokenizerBase
    ) -> None:
        splits = encoded(tmp_path, tokenizer, LINES, block_size=11)
        for row, ids in zip(splits["validation"], splits["train"]["input_ids"], strict=True):
            pairs = zip(row["input_ids"], row["labels"], strict=True)
            assert [hidden if truth == -100 else truth for hidden, truth in pairs] == ids
            assert any(truth != -100 for truth in row["labels"])

    def test_a_word_that_goes_over_the_end_of_a_block_begins_once(
        self, tmp_path: Path, tokenizer: PreTrainedTokenizerBase
    ) -> None:
        (block,) = encoded(tmp_path, tokenizer, LINES[:1], whole_word_mask=True)["train"]
        pieces = tokenizer.convert_ids_to_tokens(block["input_ids"])
        assert any(piece.startswith("##") for piece in pieces)
        assert block["starts"] == [not piece.startswith("##") for piece in pieces]


class TestMasking:
    """Tokens become labels."""

    ids = np.tile(np.array([2, *range(10, 50), 1, *range(10, 50), 3]), 1)

    def drawn(self, masker: Masker, starts: np.ndarray | None, times: int) -> tuple[np.ndarray, np.ndarray]:
        pairs = [masker(self.ids, starts, np.random.default_rng(seed)) for seed in range(times)]
        return np.stack([ids for ids, _ in pairs]), np.stack([labels for _, labels in pairs])

    @pytest.fixture
    def masker(self) -> Masker:
        return Masker(mask_id=4, special=np.arange(5), ordinary=np.arange(5, 1000), probability=0.15)

    def test_15_percent_are_hidden_and_never_a_special_token(self, masker: Masker) -> None:
        ids, labels = self.drawn(masker, None, 500)
        is_ordinary = np.isin(self.ids, masker.special, invert=True)
        assert (labels[:, ~is_ordinary] == -100).all()
        assert (ids[:, ~is_ordinary] == self.ids[~is_ordinary]).all()
        assert (labels[:, is_ordinary] != -100).mean() == pytest.approx(0.15, abs=0.01)  # 5 standard deviations

    def test_of_the_hidden_80_percent_are_masks_10_random_and_10_as_they_were(self, masker: Masker) -> None:
        ids, labels = self.drawn(masker, None, 500)
        hidden, truth = ids[labels != -100], labels[labels != -100]
        assert (hidden == 4).mean() == pytest.approx(0.8, abs=0.03)
        assert (hidden == truth).mean() == pytest.approx(0.1, abs=0.02)
        others = hidden[(hidden != 4) & (hidden != truth)]
        assert len(others) / len(hidden) == pytest.approx(0.1, abs=0.02)
        assert others.min() >= 5
        assert len(set(others)) > 100
        assert (ids[labels == -100] == np.broadcast_to(self.ids, ids.shape)[labels == -100]).all()

    def test_words_are_hidden_whole(self, masker: Masker) -> None:
        starts = np.arange(len(self.ids)) % 3 != 0  # every third token goes on with the word before it
        starts[0] = True
        _, labels = self.drawn(masker, starts, 300)
        is_hidden, is_ordinary = labels != -100, np.isin(self.ids, masker.special, invert=True)
        for place in np.flatnonzero(~starts):
            if is_ordinary[place] and is_ordinary[place - 1]:
                assert (is_hidden[:, place] == is_hidden[:, place - 1]).all()
        assert is_hidden[:, is_ordinary].mean() == pytest.approx(0.15, abs=0.02)

    def test_a_short_row_has_at_least_one_hidden_token(self, masker: Masker) -> None:
        row = np.array([2, 7, 1, 8, 3])
        hidden = [np.flatnonzero(masker(row, None, np.random.default_rng(seed))[1] != -100) for seed in range(200)]
        assert {len(places) for places in hidden} == {1, 2}
        assert set(np.concatenate(hidden).tolist()) == {1, 3}


class TestCollator:
    """Rows become batches."""

    def batch(
        self, tokenizer: PreTrainedTokenizerBase, rows: list[dict[str, Any]], epoch: float = 0.0, **options: Any
    ) -> dict[str, torch.Tensor]:
        collator = MaskingCollator(Masker.of(tokenizer, 0.5), tokenizer, **({"seed": 0} | options))
        state: Any = SimpleNamespace(epoch=epoch)
        collator.on_epoch_begin(None, state, None)  # type: ignore[arg-type]
        return collator(rows)

    @pytest.fixture
    def rows(self, tokenizer: PreTrainedTokenizerBase) -> list[dict[str, Any]]:
        ids = tokenizer(LINES[0])["input_ids"]
        return [{"input_ids": ids, "row": row} for row in range(4)]

    def test_masks_differ_by_row_epoch_and_seed_and_by_nothing_else(
        self, tokenizer: PreTrainedTokenizerBase, rows: list[dict[str, Any]]
    ) -> None:
        first = self.batch(tokenizer, rows)
        assert torch.equal(first["labels"], self.batch(tokenizer, rows, epoch=0.9)["labels"])
        assert torch.equal(first["labels"].flip(0), self.batch(tokenizer, rows[::-1])["labels"])
        assert torch.equal(first["input_ids"][1:2], self.batch(tokenizer, rows[1:2])["input_ids"])
        assert len({tuple(labels) for labels in first["labels"].tolist()}) == 4
        assert not torch.equal(first["labels"], self.batch(tokenizer, rows, epoch=1.0)["labels"])
        assert not torch.equal(first["labels"], self.batch(tokenizer, rows, seed=1)["labels"])

    def test_a_worker_that_lives_on_learns_of_the_next_epoch(
        self, tokenizer: PreTrainedTokenizerBase, rows: list[dict[str, Any]]
    ) -> None:
        collator = MaskingCollator(Masker.of(tokenizer, 0.5), tokenizer, seed=0)
        given: Any = rows
        loader = DataLoader(given, batch_size=4, collate_fn=collator, num_workers=1, persistent_workers=True)
        for epoch in range(2):
            state: Any = SimpleNamespace(epoch=epoch)
            collator.on_epoch_begin(None, state, None)  # type: ignore[arg-type]
            (batch,) = loader
            assert torch.equal(batch["labels"], self.batch(tokenizer, rows, epoch=epoch)["labels"])

    def test_padding_is_not_attended_to_and_has_no_label(
        self, tokenizer: PreTrainedTokenizerBase, rows: list[dict[str, Any]]
    ) -> None:
        short = {"input_ids": rows[0]["input_ids"][-3:], "row": 9}
        batch = self.batch(tokenizer, [rows[0], short], pad_to_multiple_of=8)
        assert batch["input_ids"].shape[1] % 8 == 0
        assert batch["attention_mask"].sum(dim=1).tolist() == [len(rows[0]["input_ids"]), 3]
        assert batch["labels"][1, 3:].unique().tolist() == [-100]
        assert batch["input_ids"][1, 3:].unique().tolist() == [tokenizer.pad_token_id]


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ({"mlm_probability": 0.0}, r"mlm_probability=0.0 is out of range: give a number in \(0, 1\), such as 0.15"),
        ({"mlm_probability": 1.0}, r"mlm_probability=1.0 is out of range"),
        ({"block_size": 7}, r"block_size=7 is out of range: give a whole number of at least 8"),
        ({"block_size": 513}, r"block_size=513 is too long: give at most 512"),
        ({"text_column": "txt"}, r"text_column='txt' is no column of the train split: did you mean 'text'"),
    ],
)
def test_a_flag_that_is_wrong_is_told(
    tmp_path: Path, tokenizer: PreTrainedTokenizerBase, flags: dict[str, Any], words: str
) -> None:
    with pytest.raises(StrategyError) as raised:
        encoded(tmp_path, tokenizer, LINES, **flags)
    assert re.search(words, str(raised.value))


def test_texts_without_a_known_token_are_told(tmp_path: Path, tokenizer: PreTrainedTokenizerBase) -> None:
    with pytest.raises(StrategyError, match="the train split has no token to mask: give a text that the tokenizer"):
        encoded(tmp_path, tokenizer, ["\u4e2d \u6587", "\u4e2d"])


def test_white_space_alone_is_no_text(tmp_path: Path, tokenizer: PreTrainedTokenizerBase) -> None:
    with pytest.raises(StrategyError, match="the train split is empty: give at least one line of text"):
        encoded(tmp_path, tokenizer, [" ", "  "])


def test_text_that_is_not_utf_8_is_told(tmp_path: Path) -> None:
    (tmp_path / "latin.txt").write_bytes("f\xfcr\n".encode("latin-1"))
    with pytest.raises(StrategyError, match=r"train_file=.*is not readable as UTF-8 \(.*give --encoding latin-1"):
        load_lines(MaskedLMArguments(train_file=str(tmp_path / "latin.txt")))


def test_columns_without_a_usual_name_are_told(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps([{"body": "a text"}, {"body": "another"}]), encoding="utf-8")
    with pytest.raises(StrategyError, match=r"text_column is not given and none of \['body'\] is usual: name the"):
        load_lines(MaskedLMArguments(train_file=str(tmp_path / "a.json")))


def test_a_tokenizer_without_what_masks_need_is_told() -> None:
    lacking: Any = SimpleNamespace(mask_token_id=None, name_or_path="gpt2")
    with pytest.raises(StrategyError, match="model_name_or_path='gpt2' has no mask token: give a model"):
        Masker.of(lacking, 0.15)
    slow: Any = SimpleNamespace(mask_token_id=4, name_or_path="slow", is_fast=False)
    with pytest.raises(StrategyError, match="whole_word_mask=True needs a fast tokenizer, which 'slow' lacks"):
        Masker.of(slow, 0.15, whole_words=True)
