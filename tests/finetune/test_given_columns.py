"""The user's other columns are in the predictions, under their names and with their values."""

import datetime
from pathlib import Path

import pytest
from datasets import Dataset

from hf_strategies.finetune.given_columns import given_columns
from hf_strategies.recipes import text_classification
from tests.finetune.runs import QUIET, predictions, reviews, write_csv, write_csv_splits


def test_values_that_json_lacks_are_texts_and_nan_is_null() -> None:
    rows = Dataset.from_dict({"day": [datetime.date(2026, 1, 2)], "score": [float("nan")], "tags": [["a", None]]})
    assert list(given_columns(rows, [0], ())) == [{"day": "2026-01-02", "score": None, "tags": ["a", None]}]


def test_without_other_columns_each_row_is_empty() -> None:
    assert list(given_columns(None, [3, 1], ())) == [{}, {}]


def test_an_id_is_kept_as_it_stands_and_a_name_of_ours_is_marked(tmp_path: Path) -> None:
    out, sizes = tmp_path / "out", ["--max_steps", "1", "--max_length", "24", "--max_test_samples", "4"]
    flags = write_csv_splits(tmp_path, reviews)
    given = [{"id": f"00{n}", **row, "prediction": "mine"} for n, row in enumerate(reviews(6, 5))]
    file = write_csv(tmp_path / "given.csv", given)
    words = [*flags[:4], "--test_file", file]
    text_classification.main([*QUIET, *words, *sizes, "--output_dir", str(out)])
    rows = predictions(out)
    texts = {row["text"]: row["id"] for row in given}
    assert len(rows) == 4
    for row in rows:
        assert row["id"] == texts[row["text"]]
        assert row["given_prediction"] == "mine"
        assert row["prediction"] == max(row["probabilities"], key=row["probabilities"].get)
        assert sum(row["probabilities"].values()) == pytest.approx(1.0)
        assert row["probability"] == max(row["probabilities"].values())
