"""Tokenization is kept between runs, and done anew where anything differs that it depends on."""

from pathlib import Path
from typing import Any

import datasets
import pytest
from datasets import Dataset, DatasetDict

from hf_strategies.finetune.encoding import encode_splits, tokenizer_state
from hf_strategies.finetune.small_bert import train_wordpiece
from hf_strategies.finetune.text_classification.data import ClassificationArguments, ClassificationData, encode

TEXTS = [f"the {one}{two}er of it, no. {one}" for one in "abcde" for two in "vwxyz"]
TOKENIZER = train_wordpiece(TEXTS)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))


class Counting:
    """A tokenizer that counts how often it is called; what it says of itself is ``of``'s."""

    def __init__(self, of: Any = TOKENIZER) -> None:
        self._of, self.calls = of, 0

    def __call__(self, *args: Any, **options: Any) -> Any:
        self.calls += 1
        return self._of(*args, **options)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._of, name)


def data(texts: list[str], labels: tuple[str, ...] = ("a", "b")) -> ClassificationData:
    rows = Dataset.from_dict({"text": texts, "label": [labels[len(text) % 2] for text in texts]})
    return ClassificationData(DatasetDict({"train": rows}), labels, "a data set")


def encoded(
    counting: Counting, texts: list[str] = TEXTS, labels: tuple[str, ...] = ("a", "b"), max_length: int = 8
) -> Dataset:
    tokenizer: Any = counting
    return encode(ClassificationArguments(), data(texts), tokenizer, labels, max_length)["train"]


def test_a_second_run_reads_what_the_first_has_written() -> None:
    first, second = Counting(), Counting()
    rows = encoded(first)
    assert first.calls == 1
    assert encoded(second).to_dict() == rows.to_dict()
    assert second.calls == 0


@pytest.mark.parametrize(
    "other",
    [
        {"texts": [*TEXTS[:-1], "another row"]},
        {"texts": TEXTS[::-1]},
        {"labels": ("b", "a")},
        {"max_length": 7},
        {"counting": Counting(train_wordpiece([*TEXTS, "more more words words"]))},
    ],
    ids=["row", "order", "labels", "length", "tokenizer"],
)
def test_what_differs_is_encoded_anew(other: dict[str, Any]) -> None:
    encoded(Counting())
    counting = other.get("counting", Counting())
    rows = encoded(**({"counting": counting} | other))
    assert counting.calls == 1
    assert len(rows) == len(TEXTS)


def test_the_rows_are_what_the_tokenizer_says_of_each_text() -> None:
    rows = encoded(Counting())
    for row, text in zip(rows, TEXTS, strict=True):
        assert row["input_ids"] == TOKENIZER(text, truncation=True, max_length=8)["input_ids"]
    assert rows["labels"][:] == [len(text) % 2 for text in TEXTS]
    assert encoded(Counting(), labels=("b", "a"))["labels"][:] == [1 - len(text) % 2 for text in TEXTS]


def test_what_a_tokenizer_was_last_asked_for_does_not_change_its_state() -> None:
    before = tokenizer_state(TOKENIZER)
    TOKENIZER(TEXTS, truncation=True, max_length=3, padding=True)
    assert tokenizer_state(TOKENIZER) == before
    assert tokenizer_state(train_wordpiece(["other words"])) != before


def _lengths(batch: dict[str, list[Any]]) -> dict[str, list[Any]]:
    return {"length": [len(text) for text in batch["text"]]}


def test_two_workers_give_the_same_rows() -> None:
    rows = Dataset.from_dict({"text": [f"text {index**2}" for index in range(1001)]})
    one = encode_splits({"train": rows}, _lengths, key="one", workers=1)["train"]
    two = encode_splits({"train": rows}, _lengths, key="two", workers=2)["train"]
    assert two.to_dict() == one.to_dict()
    assert len(two) == 1001


def test_two_workers_can_encode_texts_with_labels() -> None:
    texts = [f"the text {index**2}" for index in range(1001)]
    wanted = encoded(Counting(), texts, max_length=6).to_dict()
    args = ClassificationArguments(preprocessing_num_workers=2)
    rows = encode(args, data(texts), TOKENIZER, ("a", "b"), 6)["train"]
    assert rows.to_dict() == wanted
