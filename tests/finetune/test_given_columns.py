"""Each prediction has the row of the user's file, with its columns under their names and with their values."""

import datetime
from pathlib import Path
from typing import Any

import pytest
from datasets import Dataset

from hf_strategies.finetune.given_columns import GivenRows
from hf_strategies.recipes import multiple_choice, question_answering, text_classification, token_classification
from tests.finetune.runs import QUIET, predictions, reviews, write_csv, write_csv_splits, write_jsonl

SIZES = ["--max_steps", "1", "--max_length", "24", "--max_test_samples", "4"]


def test_values_that_json_lacks_are_texts_and_nan_is_null() -> None:
    rows = Dataset.from_dict({"day": [datetime.date(2026, 1, 2)], "score": [float("nan")], "tags": [["a", None]]})
    lines = list(GivenRows(rows, [0]).lines([{}]))
    assert lines == [{"day": "2026-01-02", "score": None, "tags": ["a", None]}]


def test_the_rows_are_those_that_are_predicted_in_their_order() -> None:
    given = GivenRows(Dataset.from_dict({"id": [0, 1, 2, 3]}), [3, 1])
    assert list(given.lines([{"prediction": "a"}, {"prediction": "b"}])) == [
        {"id": 3, "prediction": "a"},
        {"id": 1, "prediction": "b"},
    ]


def test_an_id_and_the_texts_are_kept_as_they_stand_and_a_name_of_ours_is_marked(tmp_path: Path) -> None:
    out = tmp_path / "out"
    flags = write_csv_splits(tmp_path, lambda count, seed: [as_reviews(row) for row in reviews(count, seed)])
    rows = enumerate(map(as_reviews, reviews(6, 5)))
    given = [{"id": f"00{n}", **row, "prediction": "mine", "label": "other"} for n, row in rows]
    file = write_csv(tmp_path / "given.csv", given)
    names = ["--text_column", "review", "--label_column", "verdict"]
    text_classification.main([*QUIET, *flags[:4], "--test_file", file, *names, *SIZES, "--output_dir", str(out)])
    originals = {row["review"]: row for row in given}
    rows_out = predictions(out)
    assert len(rows_out) == 4
    for row in rows_out:
        original = originals[row["review"]]
        assert (row["id"], row["verdict"]) == (original["id"], original["verdict"])
        assert (row["given_prediction"], row["given_label"]) == ("mine", "other")
        assert row["label"] == original["verdict"]
        assert "text" not in row
        assert row["prediction"] == max(row["probabilities"], key=row["probabilities"].get)
        assert sum(row["probabilities"].values()) == pytest.approx(1.0)
        assert row["probability"] == max(row["probabilities"].values())


def test_every_label_of_several_has_its_probability_and_the_given_ones_are_above_the_threshold(
    tmp_path: Path,
) -> None:
    def several(count: int, seed: int) -> list[dict[str, Any]]:
        rows = reviews(count, seed)
        return [
            {"n": n, "text": row["text"], "label": [row["label"], "all"][: 1 + n % 2]} for n, row in enumerate(rows)
        ]

    out = tmp_path / "out"
    flags = [
        part
        for seed, (split, count) in enumerate({"train": 24, "validation": 12, "test": 6}.items())
        for part in (f"--{split}_file", write_jsonl(tmp_path / f"{split}.jsonl", several(count, seed)))
    ]
    trainer = text_classification.main([*QUIET, *flags, *SIZES, "--output_dir", str(out)])
    threshold = trainer.model.config.threshold  # type: ignore[union-attr]
    for row in predictions(out):
        assert set(row["probabilities"]) == {"all", "bad", "good"}
        assert set(row["prediction"]) == {name for name, value in row["probabilities"].items() if value >= threshold}
        assert row["label"] == several(6, 2)[row["n"]]["label"]


def test_words_keep_their_columns_and_each_has_a_tag_with_its_probability(tmp_path: Path) -> None:
    rows = [
        {
            "id": f"s{n}",
            "words": ["Anna", "sees", "Berlin"][: 1 + n % 3],
            "pos": ["N", "V", "N"][: 1 + n % 3],
            "src": "x",
        }
        for n in range(12)
    ]
    out, file = tmp_path / "out", write_jsonl(tmp_path / "words.jsonl", rows)
    flags = ["--train_file", file, "--validation_file", file, "--test_file", file, "--tags_column", "pos"]
    token_classification.main([*QUIET, *flags, *SIZES, "--output_dir", str(out)])
    for row in predictions(out):
        given = next(each for each in rows if each["id"] == row["id"])
        assert {name: row[name] for name in given} == given
        assert row["tags"] == given["pos"]
        assert len(row["prediction"]) == len(row["probability"]) == len(given["words"])
        assert all(0.5 <= value <= 1.0 for value in row["probability"])  # of two tags the likelier one


def test_questions_keep_their_columns_and_an_id_of_ours_stands_beside_that_of_the_user(tmp_path: Path) -> None:
    rows = [
        {
            "qid": f"q{n}",
            "id": n,
            "question": "Who sees Berlin?",
            "context": "Anna sees Berlin.",
            "answers": {"text": ["Anna"], "answer_start": [0]},
        }
        for n in range(12)
    ]
    out, file = tmp_path / "out", write_jsonl(tmp_path / "questions.jsonl", rows)
    flags = ["--train_file", file, "--validation_file", file, "--test_file", file, "--id_column", "qid"]
    sizes = ["--max_steps", "1", "--max_test_samples", "4"]
    question_answering.main([*QUIET, *flags, *sizes, "--output_dir", str(out)])
    for row in predictions(out):
        assert row["id"] == row["qid"] == f"q{row['given_id']}"
        assert (row["question"], row["context"]) == ("Who sees Berlin?", "Anna sees Berlin.")
        assert row["answers"] == ["Anna"]
        assert {"prediction", "score"} <= set(row)


def test_choices_keep_their_columns_and_each_ending_has_its_probability(tmp_path: Path) -> None:
    rows = [
        {"id": n, "context": "Anna", "choices": ["sees", "hears", "is"][: 2 + n % 2], "answer": "AB"[n % 2]}
        for n in range(12)
    ]
    out, file = tmp_path / "out", write_jsonl(tmp_path / "choices.jsonl", rows)
    flags = ["--train_file", file, "--validation_file", file, "--test_file", file]
    multiple_choice.main([*QUIET, *flags, *SIZES, "--output_dir", str(out)])
    for row in predictions(out):
        given = rows[row["id"]]
        assert {name: row[name] for name in given} == given
        assert row["label"] == "AB".index(str(given["answer"]))
        assert len(row["probabilities"]) == len(given["choices"])  # type: ignore[arg-type]
        assert sum(row["probabilities"]) == pytest.approx(1.0)
        assert row["probabilities"][row["prediction"]] == row["probability"] == max(row["probabilities"])


def as_reviews(row: dict[str, Any]) -> dict[str, Any]:
    return {"review": row["text"], "verdict": row["label"]}
