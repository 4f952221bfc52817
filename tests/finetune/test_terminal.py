"""A recipe in a terminal of 80 columns: progress bars and lines of text never share a line."""

import re
from pathlib import Path

import pytest

from tests.finetune.runs import reviews, write_csv_splits
from tests.terminal import in_terminal

CHECKOUT = Path(__file__).resolve().parent.parent.parent
SEQUENCE = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
BAR = re.compile(r"\d+% .*\d+/\d+ \[")


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """What is written between two returns of the cursor to the first column, without escape sequences."""
    folder = tmp_path_factory.mktemp("terminal")
    flags = [*write_csv_splits(folder, reviews), "--use_cpu", "--report_to", "none"]
    # No improvement is as large as min_delta, so that the cooldown begins after the second evaluation.
    strategy = ["--plateau_cooldown_monitor", "loss", "--plateau_cooldown_patience", "1"]
    strategy += [
        "--plateau_cooldown_min_delta",
        "9",
        "--plateau_cooldown_length",
        "2",
        "--lr_scheduler_type",
        "constant",
    ]
    sizes = ["--max_steps", "12", "--eval_strategy", "steps", "--eval_steps", "2", "--logging_steps", "1"]
    flags += [*strategy, *sizes, "--output_dir", str(folder / "out")]
    text = in_terminal(str(CHECKOUT / "recipes" / "text_classification.py"), *flags)
    return [SEQUENCE.sub("", part) for part in re.split(r"[\r\n]", text)]


@pytest.mark.parametrize("message", ["Cooldown started at step", "Cooled down from step", "  step", "     2  "])
def test_a_line_begins_in_the_first_column_and_no_bar_follows(shown: list[str], message: str) -> None:
    lines = [part for part in shown if message in part]
    assert lines
    for line in lines:
        assert line.startswith(message), line
        assert not BAR.search(line)


def test_there_are_bars(shown: list[str]) -> None:
    assert [part for part in shown if BAR.search(part)]


def test_the_tables_at_the_end_fit_the_terminal(shown: list[str]) -> None:
    table = [part for part in shown if part[:1] in "┏┃┡│└"]
    assert len(table) > 5
    assert max(map(len, table)) <= 80
