"""The end of a run names what it has written, and nothing that is not there or not its own."""

from pathlib import Path

import pytest

from hf_strategies.finetune.written import written
from hf_strategies.recipes import text_classification
from tests.finetune.runs import QUIET, reviews, write_csv, write_csv_splits

FILES = ["model.safetensors", "all_results.json", "predictions.jsonl", "trainer_state.json"]
NAMES = [*FILES, "report.txt", "strategy_report.json", "training.png", "README.md"]


def folder_with(place: Path, *names: str) -> Path:
    for name in names:
        (place / name).write_text("{}\n{}\n")
    return place


def test_each_file_has_a_line_with_its_path(tmp_path: Path) -> None:
    folder = folder_with(tmp_path, *NAMES)
    lines = written(folder, trained=True, predicted=True, reported=True, drawn=True)
    assert lines[0] == "Written:"
    assert [line.split(str(folder))[1] for line in lines[1:]] == [
        "/model.safetensors",
        "/all_results.json",
        "/predictions.jsonl (2 rows)",
        "/report.txt",
        "/trainer_state.json",
        "/strategy_report.json",
        "/training.png",
        "/README.md",
    ]


def test_files_of_an_earlier_run_are_not_named(tmp_path: Path) -> None:
    lines = written(folder_with(tmp_path, *NAMES), trained=False, predicted=True, reported=False, drawn=False)
    assert [line.split()[0] for line in lines] == ["Written:", "metrics", "predictions"]
    assert written(tmp_path / "nowhere", trained=True, predicted=True, reported=True, drawn=True) == []


def test_a_run_that_only_predicts_says_how_many_rows_it_has_labelled(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, sizes = tmp_path / "out", ["--max_steps", "1", "--max_length", "24"]
    text_classification.main([*QUIET, *write_csv_splits(tmp_path, reviews), *sizes, "--output_dir", str(out)])
    assert f"  model        {out}/model.safetensors" in capsys.readouterr().out
    new = [{"text": row["text"]} for row in reviews(7, 9)]
    file = write_csv(tmp_path / "new.csv", new)
    words = ["--do_train", "false", "--model_name_or_path", str(out), "--test_file", file]
    text_classification.main([*QUIET, *words, "--output_dir", str(tmp_path / "new")])
    printed = capsys.readouterr().out
    assert f"  predictions  {tmp_path}/new/predictions.jsonl (7 rows)" in printed
    assert "  model " not in printed
