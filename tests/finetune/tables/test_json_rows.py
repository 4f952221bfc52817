"""JSON files: rows and columns in all the forms that people write, and one line for anything else."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from datasets import Dataset

from hf_strategies import StrategyError
from hf_strategies.finetune.tables.file import ReadingRules, TableFile
from hf_strategies.finetune.tables.json_rows import read_json

Read = Callable[..., Dataset]
ROWS = {"text": ["a", "b"], "label": ["x", "y"]}
LINES = '{"text": "a", "label": "x"}\n\n{"text": "b", "label": "y"}\n'


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Read a text as a file of the given ending."""

    def read_text(text: str, ending: str = "json") -> Dataset:
        file = tmp_path / f"train.{ending}"
        file.write_text(text, encoding="utf-8")
        return read_json(TableFile("train_file", file), ReadingRules())

    return read_text


@pytest.mark.parametrize("ending", ["json", "jsonl"])
@pytest.mark.parametrize(
    "text",
    [
        LINES,
        json.dumps(Dataset.from_dict(ROWS).to_list(), indent=1),
        json.dumps({"version": 2, "data": Dataset.from_dict(ROWS).to_list()}, indent=1),
        json.dumps(ROWS, indent=1),
        pd.DataFrame(ROWS).to_json(indent=1),
        pd.DataFrame(ROWS).to_json(orient="split", indent=1),
    ],
    ids=["lines", "list", "data", "columns", "pandas", "split"],
)
def test_each_form_gives_the_same_rows(text: str, ending: str, read: Read) -> None:
    assert read(text, ending).to_dict() == ROWS


def test_one_object_is_one_row_unless_all_its_values_are_lists(read: Read) -> None:
    assert read('{"text": "a", "label": ["x", "y"]}').to_dict() == {"text": ["a"], "label": [["x", "y"]]}
    assert read('{"tokens": ["a", "b"], "tags": ["O", "O"]}\n', "jsonl").to_dict() == {
        "tokens": [["a", "b"]],
        "tags": [["O", "O"]],
    }


def test_a_list_of_texts_is_a_column(read: Read) -> None:
    assert read('["a", "b"]').to_dict() == {"text": ["a", "b"]}


def test_a_key_that_a_row_lacks_is_a_missing_value_and_an_empty_text_stays(read: Read) -> None:
    assert read('{"text": ""}\n{"text": "b", "label": 1}\n', "jsonl").to_dict() == {
        "text": ["", "b"],
        "label": [None, 1],
    }


def test_a_column_of_texts_and_numbers_is_text_as_it_stands(read: Read) -> None:
    rows = read('[{"text": "007"}, {"text": 7}, {"text": 1.5}, {"text": true}, {"text": null}, {"text": NaN}]')
    assert rows["text"][:] == ["007", "7", "1.5", "true", None, None]


def test_a_column_that_no_recipe_needs_may_be_of_mixed_types(read: Read) -> None:
    rows = read('[{"text": "a", "meta": {"n": 1}}, {"text": "b", "meta": {"n": ["x"]}}]')
    assert rows["text"][:] == ["a", "b"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("null", "holds null: give a list of objects, one object on each line, or one object of columns"),
        ("5", "holds a number: give a list"),
        ('"x"', "holds a text: give a list"),
        ("true", "holds true or false: give a list"),
        ("[null]", "has null for row 0: give a list"),
        ('[{"text": "a"}, ["b"]]', "has a list for row 1: give a list"),
        ('[{"text": "a"}, "b"]', "has a text for row 1: give a list"),
        ('{"text": ["a", "b"], "label": ["x"]}', "columns of different lengths, {'text': 2, 'label': 1}: give each"),
        ("[]", "is empty: give at least one example"),
        ("{}", "is empty: give at least one example"),
        (" \n", "is empty: give at least one example"),
        ("[" * 100_000, "row 0 is nested too deeply"),
        ('{"text": "a"}\n{"text": \n', "not readable as json: row 1 (line 2): Expecting value"),
        ('[{"text": "a", "label": %s}]' % ("9" * 5000), "row 0: Exceeds the limit"),
        ('[{"label": %s}, {"label": 1}]' % ("9" * 40), "has in 'label' what no column can hold"),
        ('[{"text": "\\ud800"}]', "has in 'text' what no column can hold"),
    ],
)
def test_what_is_no_table_is_refused_in_one_line(text: str, words: str, read: Read) -> None:
    with pytest.raises(StrategyError, match=re.escape(words)) as raised:
        read(text)
    assert re.match(r"train_file='.*train\.json' ", str(raised.value))
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("row", ["null", "7", "[1]", '"a"'])
def test_a_line_that_is_no_object_is_refused_with_its_row(row: str, read: Read) -> None:
    with pytest.raises(StrategyError, match="for row 1: give a list of objects"):
        read(f'{{"text": "a"}}\n{row}\n', "jsonl")


def test_numbers_keep_their_types(read: Read) -> None:
    rows: Any = read('[{"whole": 1, "fraction": 1, "list": [1, 0]}, {"whole": 2, "fraction": 2.5, "list": []}]')
    assert {name: str(getattr(rows.features[name], "dtype", "list")) for name in rows.column_names} == {
        "whole": "int64",
        "fraction": "float64",
        "list": "list",
    }


def test_columns_with_an_index_are_joined_by_it_and_not_by_their_order(read: Read) -> None:
    rows = read('{"text": {"0": "a", "1": "b"}, "label": {"1": "y", "0": "x", "2": "z"}}')
    assert rows.to_dict() == {"text": ["a", "b", None], "label": ["x", "y", "z"]}


def test_columns_and_data_without_an_index_are_rows(read: Read) -> None:
    assert read('{"columns": ["text", "label"], "data": [["a", "x"], ["b", "y"]]}').to_dict() == ROWS
