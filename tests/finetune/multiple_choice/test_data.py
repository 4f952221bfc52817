"""What the multiple-choice recipe makes of columns, what it refuses, and its offline data."""

import json
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hf_strategies import StrategyError
from hf_strategies.finetune.multiple_choice.data import ChoiceArguments, ChoiceCollator, encode, load_choices
from hf_strategies.finetune.multiple_choice.metrics import choice_baselines
from hf_strategies.finetune.multiple_choice.offline import OPENINGS, choose_endings
from hf_strategies.finetune.offline.docstrings import Docstring
from hf_strategies.finetune.offline.task import load_offline
from hf_strategies.finetune.sampling import token_counts
from hf_strategies.finetune.small_bert import train_wordpiece

SWAG = {
    "sent1": "The cat sat",
    "sent2": "It",
    "ending0": "purrs.",
    "ending1": "barks.",
    "ending2": "rows.",
    "label": 0,
}


def loaded(folder: Path, rows: list[dict[str, Any]], **flags: Any) -> list[dict[str, Any]]:
    """What becomes of the rows of a test file, beside a training file of the same rows."""
    for name in ("train", "validation", "test"):
        (folder / f"{name}.json").write_text(json.dumps(rows), encoding="utf-8")
    files = {f"{name}_file": str(folder / f"{name}.json") for name in ("train", "validation", "test")}
    return list(load_choices(ChoiceArguments(**files, **flags)).splits["test"])


def test_swag_columns_need_no_flag(tmp_path: Path) -> None:
    (row,) = loaded(tmp_path, [SWAG])
    assert row == {
        "context": "The cat sat",
        "question": "It",
        "endings": ["purrs.", "barks.", "rows."],
        "label": 0,
    }


@pytest.mark.parametrize(
    ("row", "flags", "expected"),
    [
        ({"premise": "P", "choice1": "a", "choice2": "b", "label": 1}, {}, ("P", "", ["a", "b"], 1)),
        ({"ctx": "C", "endings": ["a", "b"], "label": "1"}, {}, ("C", "", ["a", "b"], 1)),
        (
            {"question": "Q", "choices": {"text": ["a", "b"], "label": ["A", "B"]}, "label": "b"},
            {},
            ("Q", "", ["a", "b"], 1),
        ),
        (
            {"story": "S", "ask": "Q", "x0": "a", "x1": "b", "right": "a"},
            {"context_column": "story", "question_column": "ask", "ending_prefix": "x", "label_column": "right"},
            ("S", "Q", ["a", "b"], 0),
        ),
        (
            {"sent1": "S", "answers": ["3", "0"], "label": "3"},
            {"choices_column": "answers"},
            ("S", "", ["3", "0"], 0),
        ),
    ],
)
def test_other_columns_are_found_or_named(
    tmp_path: Path, row: dict[str, Any], flags: dict[str, str], expected: tuple[Any, ...]
) -> None:
    (found,) = loaded(tmp_path, [row], **flags)
    assert tuple(found.values()) == expected


def test_ten_endings_and_more_keep_the_order_of_their_numbers(tmp_path: Path) -> None:
    row = {"sent1": "Count:", **{f"ending{index}": f"number {index}" for index in range(12)}, "label": 11}
    (found,) = loaded(tmp_path, [row])
    assert found["endings"] == [f"number {index}" for index in range(12)]


def test_hidden_labels_of_a_test_set_are_left_out(tmp_path: Path) -> None:
    for name, label in (("train", 1), ("validation", 1), ("test", -1)):
        (tmp_path / f"{name}.json").write_text(json.dumps([{**SWAG, "label": label}]), encoding="utf-8")
    files = {f"{name}_file": str(tmp_path / f"{name}.json") for name in ("train", "validation", "test")}
    data = load_choices(ChoiceArguments(**files))
    assert "label" not in data.splits["test"].column_names
    assert data.splits["train"]["label"][0] == 1


@pytest.mark.parametrize(
    ("changed", "flags", "words"),
    [
        ({"label": 3}, {}, r"label 3 \(row 1 of the train split\) is none of its endings: give an index from 0 to 2"),
        ({"label": -2}, {}, r"label -2 \(row 1 of the train split\) is none of its endings"),
        ({"ending1": None}, {}, r"row 1 of the train split has no 'ending1': fill it or drop the row"),
        ({"sent1": None}, {}, r"row 1 of the train split has no 'sent1'"),
        ({}, {"ending_prefix": "endng"}, r"ending_prefix='endng': .* no column endng0: did you mean 'ending0'"),
        ({}, {"context_column": "sent"}, r"context_column='sent' is no column of the train split: did you"),
        (
            {},
            {"context_column": "sent1", "question_column": "sent3"},
            r"question_column='sent3' is no column of the train split: did you mean",
        ),
        ({}, {"question_column": "sent2"}, r"question_column='sent2' without context_column: give both"),
        (
            {},
            {"ending_prefix": "a", "choices_column": "b"},
            r"ending_prefix='a' with choices_column='b': give one or",
        ),
        ({}, {"label_column": "lable"}, r"label_column='lable' is no column of the train split: did you"),
        ({}, {"choices_column": "sent1"}, r"row 0 of the train split has in 'sent1' no list of texts: 'The cat sat'"),
    ],
)
def test_a_row_or_flag_that_is_wrong_is_told(
    tmp_path: Path, changed: dict[str, Any], flags: dict[str, str], words: str
) -> None:
    with pytest.raises(StrategyError) as raised:
        loaded(tmp_path, [SWAG, {**SWAG, **changed}], **flags)
    assert re.search(words, str(raised.value))


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (
            {"sent1": "S", "ending0": "a", "ending2": "b", "label": 0},
            r"endings \['ending0', 'ending2'\]: number at least",
        ),
        ({"sent1": "S", "ending0": "a", "label": 0}, r"endings \['ending0'\]: number at least two from ending0 on"),
        ({"sent1": "S", "label": 0}, r"ending_prefix: none of \['sent1', 'label'\] is a usual name"),
        (
            {"said": "S", "ending0": "a", "ending1": "b", "label": 0},
            r"context_column is not given and none of \['said'",
        ),
        ({"sent1": "S", "choices": ["a"], "label": 0}, r"row 0 .* has 1 endings in 'choices', not at least 2"),
        ({"sent1": "S", "choices": ["a", "a"], "label": "a"}, r"label 'a' \(row 0 .*\) is none of its endings"),
    ],
)
def test_columns_that_hold_no_choices_are_told(tmp_path: Path, row: dict[str, Any], words: str) -> None:
    with pytest.raises(StrategyError) as raised:
        loaded(tmp_path, [row])
    assert re.search(words, str(raised.value))


@pytest.mark.parametrize(
    ("rows", "endings"),
    [
        ([{"choices": ["a", "b"]}, {"choices": ["a", "b", "c"]}], [["a", "b"], ["a", "b", "c"]]),
        ([{"choices": ["a", "b", None, ""]}, {"choices": ["a", "", "c", "d"]}], [["a", "b"], ["a", "", "c", "d"]]),
        (
            [{"ending0": "a", "ending1": "b"}, {"ending0": "a", "ending1": "b", "ending2": "c"}],
            [["a", "b"], list("abc")],
        ),
        ([{"options": {"A": "a", "B": "b"}}, {"options": {"A": "a", "B": "b", "C": "c"}}], [["a", "b"], list("abc")]),
    ],
)
def test_rows_may_have_different_numbers_of_endings(
    rows: list[dict[str, Any]], endings: list[list[str]], tmp_path: Path
) -> None:
    found = loaded(tmp_path, [{"sent1": "S", "label": place, **row} for place, row in enumerate(rows)])
    assert [row["endings"] for row in found] == endings


def test_rows_without_a_label_are_left_out_and_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (found,) = loaded(tmp_path, [{**SWAG, "label": -1}, {**SWAG, "label": None}, {**SWAG, "label": 2}])
    assert found["label"] == 2
    assert "2 of the 3 rows of the train split have no label in 'label' and are left out: rows 0, 1." in caplog.text
    with pytest.raises(StrategyError, match="no row of the train split has a label in 'label': give at least one"):
        loaded(tmp_path, [{**SWAG, "label": ""}] * 2)


def test_each_choice_is_the_context_and_the_beginning_with_the_ending(tmp_path: Path) -> None:
    long = {**SWAG, "sent1": "The cat sat on the mat", "ending2": "rows and rows and rows.", "label": 2}
    loaded(tmp_path, [SWAG, long])
    args = ChoiceArguments(train_file=str(tmp_path / "train.json"), validation_file=str(tmp_path / "train.json"))
    data = load_choices(args)
    tokenizer = train_wordpiece(data.texts)
    encoded = encode(args, data, tokenizer, 64)["train"]
    expected = tokenizer(["The cat sat"] * 3, ["It purrs.", "It barks.", "It rows."])["input_ids"]
    assert encoded[0]["input_ids"] == expected
    assert list(encoded["labels"]) == [0, 2]
    widest = max(len(choice) for choice in encoded[1]["input_ids"])
    assert token_counts(encoded).tolist() == [len(expected[0]), widest]
    batch = ChoiceCollator(tokenizer)(list(encoded))
    assert batch["input_ids"].shape == (2, 3, widest)
    assert batch["attention_mask"][0, 0].sum() == len(expected[0])
    assert "labels" not in ChoiceCollator(tokenizer)(list(encoded.remove_columns("labels")))


@pytest.fixture(scope="module")
def offline(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[dict[str, Any]]]:
    """The offline data of one library, of its first docstrings."""
    few = replace(OPENINGS, per_library=400, libraries=["networkx"])
    return load_offline(few, cache_dir=tmp_path_factory.mktemp("cache"))


def test_offline_endings_are_four_different_ones_and_labels_uniform(offline: dict[str, list[dict[str, Any]]]) -> None:
    for rows in offline.values():
        assert len(rows) >= 4
        counts = Counter(row["label"] for row in rows)
        assert max(counts.values()) - min(counts.values()) <= 1
        assert all(len({row[f"ending{place}"] for place in range(4)}) == 4 for row in rows)


def test_offline_no_right_ending_is_in_two_splits_or_twice(offline: dict[str, list[dict[str, Any]]]) -> None:
    right = [row[f"ending{row['label']}"].casefold() for rows in offline.values() for row in rows]
    assert len(set(right)) == len(right)


def test_too_few_docstrings_are_told() -> None:
    rows = [{"sent1": name, "opening": f"{name}.", "later": f"More {name}."} for name in "abc"]
    with pytest.raises(StrategyError, match="has only 3 docstrings"):
        choose_endings(rows)


def test_private_and_undescribed_names_give_no_row() -> None:
    text = "Return the cat that the key names. It is a copy of the cat."
    given = [
        ("f", text),
        ("_f", text),
        ("A._f", text),
        ("<module>", text),
        ("g", "Return the cat that the key names."),
    ]
    names = [row["sent1"] for name, words in given for row in OPENINGS.rows(Docstring("lib", "a.py", name, words))]
    assert names == ["lib.f"]


def test_baselines_choose_by_place_length_and_common_words(tmp_path: Path) -> None:
    rows = [
        {"sent1": "red_apple", "ending0": "An apple is red", "ending1": "No", "label": 0},
        {"sent1": "a green pear", "ending0": "This pear seems green", "ending1": "Never", "label": 0},
        {"sent1": "blue plum", "ending0": "Some quite different words", "ending1": "plum", "label": 1},
    ]
    loaded(tmp_path, rows)
    file = str(tmp_path / "train.json")
    splits = load_choices(ChoiceArguments(train_file=file, validation_file=file, test_file=file)).splits
    results = choice_baselines(splits["train"], splits["test"])
    assert {name: value["accuracy"] for name, value in results.items()} == {
        "most frequent place": pytest.approx(2 / 3),
        "longest ending": pytest.approx(2 / 3),
        "TF-IDF, ending like context": 1.0,
    }


@pytest.mark.real_data
def test_codah_is_read_as_it_is(real_data: Path) -> None:
    files = {f"{name}_file": str(real_data / "codah" / f"{name}.json") for name in ("train", "validation", "test")}
    splits = load_choices(ChoiceArguments(**files)).splits
    assert {name: len(rows) for name, rows in splits.items()} == {"train": 1665, "validation": 556, "test": 555}
    assert splits["test"][0]["endings"][splits["test"][0]["label"]] == "met her friends at the gate."
    assert np.bincount(splits["train"]["label"]).min() > 300
