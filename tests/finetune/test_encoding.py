"""Tokenization is kept between runs, and done anew where anything differs that it depends on."""

import copy
import errno
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import pytest
from datasets import Dataset, DatasetDict
from datasets.arrow_writer import ArrowWriter
from tokenizers import pre_tokenizers
from transformers import AutoTokenizer, CanineTokenizer

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


SETTINGS: dict[str, dict[str, Any]] = {
    "side of truncation": {"truncation_side": "left"},
    "inputs": {"model_input_names": ["input_ids", "attention_mask"]},
    "special tokens in texts": {"split_special_tokens": True},
    "a special token": {"unk_token": "[MASK]"},
    "an entry of its class": {"do_lower_case": False},
}


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_the_same_tokenizer_file_with_other_settings_is_encoded_anew(
    settings: dict[str, Any], tmp_path: Path
) -> None:
    TOKENIZER.save_pretrained(tmp_path)
    file = tmp_path / "tokenizer_config.json"
    first = Counting(AutoTokenizer.from_pretrained(tmp_path))
    file.write_text(json.dumps(json.loads(file.read_text(encoding="utf-8")) | settings), encoding="utf-8")
    other = Counting(AutoTokenizer.from_pretrained(tmp_path))
    encoded(first)
    rows = encoded(other)
    assert (first.calls, other.calls) == (1, 1)
    for row, text in zip(rows, TEXTS, strict=True):
        right = dict(other(text, truncation=True, max_length=8))
        assert {name: row[name] for name in row if name != "labels"} == right


@pytest.mark.parametrize("change", ["added token", "pieces", "class"])
def test_a_tokenizer_that_was_changed_after_loading_has_another_state(change: str) -> None:
    tokenizer: Any = copy.deepcopy(TOKENIZER)
    assert tokenizer_state(tokenizer) == tokenizer_state(TOKENIZER)
    if change == "added token":
        tokenizer.add_tokens(["er of it"])
    elif change == "pieces":
        tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    else:
        tokenizer.__class__ = type("OtherTokenizer", (type(tokenizer),), {})
    assert tokenizer_state(tokenizer) != tokenizer_state(TOKENIZER)


def test_a_tokenizer_in_python_has_a_state_that_its_calls_do_not_change() -> None:
    first, second = CanineTokenizer(), CanineTokenizer()
    before = tokenizer_state(first)
    first("some text")
    assert tokenizer_state(first) == tokenizer_state(second) == before
    assert tokenizer_state(CanineTokenizer(sep_token=chr(0xE005))) != before


def overwrite_part(file: Path, begin: int, content: bytes) -> None:
    with file.open("r+b") as stream:
        stream.seek(begin, os.SEEK_END)
        stream.write(content)


def make_file_of_folder(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.write_text("a file")


DAMAGES: dict[str, Callable[[Path], object]] = {
    "cut": lambda file: os.truncate(file, file.stat().st_size // 2),
    "cut at the end": lambda file: os.truncate(file, file.stat().st_size - 200),
    "zeroed": lambda file: file.write_bytes(bytes(file.stat().st_size)),
    "zeroed in part": lambda file: overwrite_part(file, -900, bytes(300)),
    "garbage": lambda file: file.write_bytes(b"no rows"),
    "empty": lambda file: file.write_bytes(b""),
    "gone": lambda file: file.unlink(),
    "rows of other data": lambda file: Dataset.from_dict({"text": ["a"]}).map(
        _lengths, cache_file_name=str(file), load_from_cache_file=False
    ),
    "no digests": lambda file: (file.parent / "digests.json").unlink(),
    "digests of no file": lambda file: (file.parent / "digests.json").write_text('{"files": {}}'),
    "digests are no mapping": lambda file: (file.parent / "digests.json").write_text('{"files": 1}'),
    "deeply nested digests": lambda file: (file.parent / "digests.json").write_text("[" * 100_000),
    "a file in place of the folder": lambda file: make_file_of_folder(file.parent),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_damaged_and_foreign_files_are_made_anew_with_one_line(
    damage: Callable[[Path], object], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    wanted = encoded(Counting()).to_dict()
    (folder,) = Path(tmp_path, "cache", "hf_strategies").iterdir()
    damage(folder / "rows.arrow")
    assert encoded(Counting()).to_dict() == wanted
    assert caplog.messages == [f"The cache {folder} is incomplete, damaged or foreign: it is made anew."]
    again = Counting()
    assert encoded(again).to_dict() == wanted
    assert again.calls == 0
    assert [*folder.parent.iterdir()] == [folder]


def test_a_folder_that_was_copied_from_other_rows_is_foreign(tmp_path: Path) -> None:
    wanted = encoded(Counting()).to_dict()
    (folder,) = Path(tmp_path, "cache", "hf_strategies").iterdir()
    encoded(Counting(), TEXTS[::-1])
    (other,) = {*folder.parent.iterdir()} - {folder}
    shutil.rmtree(folder)
    shutil.copytree(other, folder)
    assert encoded(Counting()).to_dict() == wanted


class FullDisk(ArrowWriter):
    """A writer whose disk is full."""

    def finalize(self, close_stream: bool = True) -> Any:
        if self._path:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return super().finalize(close_stream)  # to memory


@pytest.mark.parametrize("reason", ["Not a directory", "No space left on device"])
def test_where_rows_cannot_be_written_they_stay_in_memory_with_one_line(
    reason: str, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = encoded(Counting()).to_dict()
    shutil.rmtree(tmp_path / "cache")
    if reason == "Not a directory":
        (tmp_path / "cache").write_text("a file")
    else:
        monkeypatch.setattr("datasets.arrow_dataset.ArrowWriter", FullDisk)
    assert encoded(Counting()).to_dict() == wanted
    assert caplog.messages == [
        f"The tokens stay in memory and are made anew in each run, because they cannot be kept in {tmp_path}/cache/"
        f"hf_strategies ({reason}): set HF_DATASETS_CACHE to a folder that can be written and has room."
    ]
    assert not [file for file in tmp_path.rglob("*") if file.is_file() and file.name != "cache"]


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
