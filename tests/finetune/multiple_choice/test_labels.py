"""What a label means: names, letters, indices or texts of endings, and the same in all rows of all files."""

import json
from pathlib import Path
from typing import Any

import pytest

from hf_strategies import StrategyError
from hf_strategies.finetune.multiple_choice.columns import Choice
from hf_strategies.finetune.multiple_choice.data import ChoiceArguments, load_choices
from hf_strategies.finetune.multiple_choice.labels import label_indices

COLOURS = ["red", "green", "blue", "grey"]


def rows(labels: list[Any], endings: list[str] = COLOURS, names: str = "") -> list[Choice]:
    return [Choice("Which?", "", endings, list(names), label, row) for row, label in enumerate(labels)]


@pytest.mark.parametrize(
    ("labels", "names", "indices"),
    [
        (["A", "D", "B"], "", [0, 3, 1]),
        (["(A)", "D.", "B)"], "", [0, 3, 1]),
        (["a", "d", "b"], "", [0, 3, 1]),
        ([0, 3, 1], "", [0, 3, 1]),
        (["0", "3", " 1 "], "", [0, 3, 1]),
        ([0.0, 3.0], "", [0, 3]),  # whole numbers beside a missing one, in a table
        (["0.0", "3.0"], "", [0, 3]),  # the same in a csv file
        ([1, 4, 2], "", [0, 3, 1]),  # no 0, and the last ending is the fourth
        (["1", "4"], "", [0, 3]),
        (["grey", "red"], "", [3, 0]),
        ([1, 2], "", [1, 2]),
        (["1", "4", "2"], "1234", [0, 3, 1]),
        ([1, 2], "1234", [0, 1]),
        (["E", "H"], "EFGH", [0, 3]),  # tests that letter every other question E to H
        (["blue", "red"], "ABCD", [2, 0]),
    ],
)
def test_a_label_is_read_as_all_labels_can_be(labels: list[Any], names: str, indices: list[int]) -> None:
    assert label_indices({"train": rows(labels, names=names)}) == {"train": indices}


def test_a_few_labels_that_may_count_from_either_are_said_to_count_from_0(caplog: pytest.LogCaptureFixture) -> None:
    label_indices({"train": rows([1, 2])})
    assert "The labels are taken for indices from 0, though none is 0" in caplog.text


def test_names_may_differ_from_row_to_row() -> None:
    mixed = [*rows(["B"], names="ABCD"), *rows(["2"], ["x", "y", "z"], names="123")]
    assert label_indices({"train": mixed}) == {"train": [1, 1]}


def test_the_files_decide_together_what_a_number_means() -> None:
    splits = {"train": rows([1, 4]), "validation": rows([1, 2]), "test": rows([3])}
    assert label_indices(splits) == {"train": [0, 3], "validation": [0, 1], "test": [2]}
    splits["train"] = rows([0, 3])
    assert label_indices(splits) == {"train": [0, 3], "validation": [1, 2], "test": [3]}


def test_letters_that_are_also_endings_are_letters() -> None:
    blood = [*rows(["D"], ["A", "B", "AB", "0"]), *rows(["A"], ["B", "A", "AB", "0"])]
    assert label_indices({"train": blood}) == {"train": [3, 0]}


@pytest.mark.parametrize(
    ("choices", "words"),
    [
        (
            rows([0, 4]),
            r"label 4 \(row 1 of the train split\) is none of its endings: give an index from 0 to 3, a le",
        ),
        (rows([0, 1, "blue"]), r"label 'blue' \(row 2 of"),
        (rows(["A", "B", "E"]), r"label 'E' \(row 2 of .* a letter from A to D, or the text of the ending"),
        (rows(["A", "X"], names="ABCD"), r"label 'X' .* give one of 'A', 'B', 'C', 'D', an index"),
        (rows(["①"]), r"label '①'"),
        (rows(["9" * 5000]), r"label '9999"),
        (rows([True]), r"label True"),
        (rows([["A"]]), r"label \['A'\]"),
        (rows([1, 2] * 4), r"may be indices from 0 or from 1, for of 8 labels none is 0 and none is the number of"),
        (rows(["2", "0"], ["2", "1", "0"]), r"label '2' .* may be the index from 0 or the text of an ending: write"),
        (rows(["A", "B"], ["B", "A"]), r"label 'A' .* may be the letter or the text of an ending"),
    ],
)
def test_a_label_without_one_meaning_is_refused(choices: list[Choice], words: str) -> None:
    with pytest.raises(StrategyError, match=words):
        label_indices({"train": choices})


PETS = ["cat", "cow", "dog"]
NAMED = [{"text": text, "label": name} for text, name in zip(PETS, "ABC", strict=True)]


@pytest.mark.parametrize(
    "row",
    [
        {"question": "Barks?", "choices": {"text": PETS, "label": ["A", "B", "C"]}, "answerKey": "C"},
        {"question": {"stem": "Barks?", "choices": NAMED}, "answerKey": "C"},
        {"question": "Barks?", "choices": NAMED, "answerKey": "C"},
        {"article": "Barks?", "question": "", "options": PETS, "answer": "C"},
        {"question": "Barks?", "options": dict(zip("ABC", PETS, strict=True)), "answer": "C"},
        {"question_stem": "Barks?", "choices": {"text": PETS, "label": ["1", "2", "3"]}, "answerKey": "3"},
    ],
    ids=["Hub", "file", "objects", "lists", "letters", "stem"],
)
def test_the_forms_of_known_data_sets_need_no_flag(row: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text(json.dumps(row) + "\n", encoding="utf-8")
    file = str(tmp_path / "rows.jsonl")
    data = load_choices(ChoiceArguments(train_file=file, validation_file=file))
    assert list(data.splits["train"]) == [{"context": "Barks?", "question": "", "endings": PETS, "label": 2}]


@pytest.mark.parametrize(("prefix", "letters"), [("answer", "ABC"), ("op", "abc")])
def test_columns_of_endings_may_have_letters(prefix: str, letters: str, tmp_path: Path) -> None:
    row = {"context": "Sky.", "question": "Which?", **{f"{prefix}{letter}": letter for letter in letters}}
    lines = [json.dumps(row | {"label": label}) + "\n" for label in ("1", "3")]
    (tmp_path / "rows.jsonl").write_text("".join(lines), encoding="utf-8")
    names = [str(tmp_path / "rows.jsonl")]
    rows = load_choices(ChoiceArguments(train_file=names, validation_file=names, ending_prefix=prefix)).splits[
        "train"
    ]
    assert (rows["endings"][0], rows["label"][:]) == (list(letters), [0, 2])
