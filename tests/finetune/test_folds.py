"""Folds: which rows of the training set are the test set, and what a recipe makes of them."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from datasets import Dataset, DatasetDict

from hf_strategies.errors import StrategyError
from hf_strategies.finetune.arguments import DataArguments
from hf_strategies.finetune.data import with_validation
from hf_strategies.finetune.text_classification.data import ClassificationArguments, load_classification
from tests.finetune.runs import QUIET, predictions, read, reviews, write_csv


def fold(rows: dict[str, list[Any]], fold: int, folds: int = 5, **options: Any) -> DatasetDict:
    splits = DatasetDict({"train": Dataset.from_dict(rows)})
    return with_validation(splits, DataArguments(folds=folds, fold=fold), seed=0, **options)


def test_each_row_is_tested_in_one_fold_and_nothing_of_it_is_trained_on_there() -> None:
    parts = [fold({"number": list(range(53))}, each) for each in range(5)]
    assert sorted(number for part in parts for number in part["test"]["number"]) == list(range(53))
    assert sorted(len(part["test"]) for part in parts) == [10, 10, 11, 11, 11]
    for part in parts:
        numbers = [number for split in ("train", "validation", "test") for number in part[split]["number"]]
        assert sorted(numbers) == list(range(53))


def test_classes_are_as_frequent_in_each_fold_as_in_the_whole() -> None:
    labels = ["rare"] * 10 + ["often"] * 40
    for each in range(5):
        assert Counter(fold({"label": labels}, each)["test"]["label"]) == {"rare": 2, "often": 8}


def test_rows_that_belong_together_are_tested_together() -> None:
    contexts = [f"c{index % 7}" for index in range(21)]
    for each in range(3):
        part = fold({"context": contexts}, each, folds=3, together="context")
        assert not set(part["test"]["context"]) & {*part["train"]["context"], *part["validation"]["context"]}


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ({"folds": 5}, "folds=5 without fold: give both"),
        ({"fold": 0}, "fold=0 without folds: give both"),
        ({"folds": 5, "fold": 5}, "fold=5 of folds=5: give a number from 0 to 4"),
        ({"folds": 1, "fold": 0}, "folds=1 is out of range"),
        ({"folds": 5, "fold": 0, "test_file": "test.csv"}, "folds=5 with test_file"),
    ],
)
def test_flags_that_contradict_each_other_are_refused(flags: dict[str, Any], words: str) -> None:
    with pytest.raises(StrategyError, match=words):
        DataArguments(**flags)


def test_more_folds_than_rows_and_a_second_test_set_are_refused() -> None:
    with pytest.raises(StrategyError, match="folds=5 of 3 examples: give fewer"):
        fold({"number": [1, 2, 3]}, 0)
    rows = Dataset.from_dict({"number": list(range(9))})
    with pytest.raises(StrategyError, match="folds=3 with a data set that has a test set"):
        with_validation(DatasetDict({"train": rows, "test": rows}), DataArguments(folds=3, fold=0), seed=0)


def test_the_rows_of_a_fold_are_predicted_as_they_stand_in_the_file(tmp_path: Path) -> None:
    rows = [{**row, "id": f"r{number}"} for number, row in enumerate(reviews(20, 0))]
    args = ClassificationArguments(train_file=[write_csv(tmp_path / "t.csv", rows)], folds=4, fold=3)
    data = load_classification(args)
    assert data.given is not None
    lines = list(data.given.lines({"prediction": "good", "label": each} for each in data.splits["test"]["label"]))
    known = {row["id"]: row for row in rows}
    assert len(lines) == 5
    assert all(known[line["id"]]["text"] == line["text"] for line in lines)
    assert [line["label"] for line in lines] == [known[line["id"]]["label"] for line in lines]


@pytest.mark.slow
def test_a_recipe_s_folds_test_each_row_once(tmp_path: Path) -> None:
    from recipes.text_classification import main

    rows, tested = reviews(30, 0), []
    file = write_csv(tmp_path / "train.csv", rows)
    for each in range(3):
        out = tmp_path / str(each)
        flags = ["--train_file", file, "--folds", "3", "--fold", str(each), "--max_steps", "2", "--max_length", "16"]
        main([*flags, *QUIET, "--output_dir", str(out)])
        assert read(out / "all_results.json")["test_samples"] == 10
        tested += [line["text"] for line in predictions(out)]
    assert sorted(tested) == sorted(row["text"] for row in rows)
