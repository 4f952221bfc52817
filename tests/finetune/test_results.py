"""The files of results: half a file of an earlier process costs nothing but a line."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from hf_strategies.finetune.results import card_folder, read_results

CARD = "---\ntags:\n- mine\n---\n\n# A model\n"


@pytest.mark.parametrize("torn", ["", '{"eval_loss": 0.', "[1]", "\x00\x00"])
def test_torn_results_are_made_again_from_those_of_the_splits(
    torn: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "all_results.json").write_text(torn, encoding="utf-8")
    (tmp_path / "train_results.json").write_text('{"train_loss": 0.5}', encoding="utf-8")
    (tmp_path / "eval_results.json").write_text('{"eval_loss": 0.25}', encoding="utf-8")
    (tmp_path / "test_results.json").write_text("{", encoding="utf-8")
    assert read_results(tmp_path) == {"train_loss": 0.5, "eval_loss": 0.25}
    assert len(caplog.records) == 1
    assert "all_results.json' cannot be read: it is made again" in caplog.text


def test_whole_results_are_read_as_they_are(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert read_results(tmp_path) == {}
    (tmp_path / "all_results.json").write_text(json.dumps({"test_f1": 1.0}), encoding="utf-8")
    assert read_results(tmp_path) == {"test_f1": 1.0}
    assert caplog.text == ""


def arguments(folder: Path) -> Any:
    return SimpleNamespace(output_dir=str(folder))


def test_a_card_is_written_elsewhere_and_moved_to_its_place(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text(CARD, encoding="utf-8")
    args = arguments(tmp_path)
    with card_folder(args):
        assert Path(args.output_dir, "README.md").read_text(encoding="utf-8") == CARD
        Path(args.output_dir, "README.md").write_text("# New\n", encoding="utf-8")
        assert (tmp_path / "README.md").read_text(encoding="utf-8") == CARD
    assert args.output_dir == str(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["README.md"]
    assert (tmp_path / "README.md").read_text(encoding="utf-8") == "# New\n"


@pytest.mark.parametrize("torn", [b"", b"---\ntags: [a\n", b"\xff\xfe\x00"])
def test_a_card_that_cannot_be_read_is_replaced(torn: bytes, tmp_path: Path) -> None:
    (tmp_path / "README.md").write_bytes(torn)
    args = arguments(tmp_path)
    with card_folder(args):
        Path(args.output_dir, "README.md").write_text(CARD, encoding="utf-8")
    assert (tmp_path / "README.md").read_text(encoding="utf-8") == CARD
