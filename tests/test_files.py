"""Files that are written as a whole."""

from pathlib import Path

import pytest

from hf_strategies.files import replacing, write_json, write_text


def test_what_is_written_takes_the_place_of_the_file_and_nothing_else_stays(tmp_path: Path) -> None:
    file = tmp_path / "results.json"
    file.write_text("old", encoding="utf-8")
    write_json(file, {"b": 1, "a": [2]})
    assert file.read_text(encoding="utf-8") == '{\n    "a": [\n        2\n    ],\n    "b": 1\n}'
    assert list(tmp_path.iterdir()) == [file]


def test_until_the_end_readers_see_the_old_content(tmp_path: Path) -> None:
    file = tmp_path / "figure.png"
    file.write_text("old", encoding="utf-8")
    with replacing(file) as temporary:
        temporary.write_text("new", encoding="utf-8")
        assert file.read_text(encoding="utf-8") == "old"
        assert temporary.suffix == ".png"
        assert temporary.name.startswith("_")
    assert file.read_text(encoding="utf-8") == "new"


@pytest.mark.parametrize("error", [OSError("disk full"), KeyboardInterrupt()])
def test_an_error_leaves_the_old_content_and_no_part_of_the_new(error: BaseException, tmp_path: Path) -> None:
    file = tmp_path / "card.md"
    file.write_text("old", encoding="utf-8")

    def write_half() -> None:
        with replacing(file) as temporary:
            temporary.write_text("half", encoding="utf-8")
            raise error

    with pytest.raises(type(error)):
        write_half()
    assert file.read_text(encoding="utf-8") == "old"
    assert list(tmp_path.iterdir()) == [file]


def test_what_a_killed_process_left_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "_card.tmp.md").write_text("half a", encoding="utf-8")
    write_text(tmp_path / "card.md", "whole")
    assert [path.name for path in tmp_path.iterdir()] == ["card.md"]


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "a.txt").write_text("old", encoding="utf-8")
    (tmp_path / "link.txt").symlink_to(tmp_path / "real" / "a.txt")
    write_text(tmp_path / "link.txt", "new")
    assert (tmp_path / "link.txt").is_symlink()
    assert (tmp_path / "real" / "a.txt").read_text(encoding="utf-8") == "new"
