"""The figure and the text of a comparison: every strategy is there, and names are text and nothing else."""

from pathlib import Path

import pytest

from hf_strategies.comparison.record import RunRecord
from hf_strategies.comparison.summary import Comparison, summarize
from hf_strategies.report.comparison.figure import draw_comparison
from hf_strategies.report.comparison.text import comparison_text

LONG = "a_very_long_name_of_a_strategy_" * 10
EVIL = "<script>$x$\x1b[2J"


def comparison(*names: str, seeds: int = 4) -> Comparison:
    runs = [
        RunRecord(name, seed, 0.5 + 0.01 * ((7 * seed + 3 * place) % 5), 10, 1.0, 1e9)
        for place, name in enumerate(names)
        for seed in range(seeds)
    ]
    return summarize(runs, metric="test_accuracy")


def test_the_text_has_a_row_for_each_strategy_and_a_sentence_for_each_but_the_first() -> None:
    lines = comparison_text(comparison("a", "b", "c"), None).splitlines()
    assert [line.split()[0] for line in lines[1:4]] == ["a", "b", "c"]
    # Of the seeds 0 to 3: a has 50, 52, 54, 51 and b 53, 50, 52, 54: differences 3, -2, -2, 3.
    assert lines[1].split()[1:4] == ["51.75", "0.85", "4"]
    assert lines[2].split()[1:5] == ["52.25", "0.85", "4", "+0.50"]
    assert "50 %" in lines[2]
    assert [line.split()[0] for line in lines[6:]] == ["b", "c"]


def test_no_escape_of_a_name_reaches_the_terminal_and_lines_fit() -> None:
    text = comparison_text(comparison("a", EVIL, LONG), 80)
    assert "\x1b" not in text
    assert max(map(len, text.splitlines())) <= 80


@pytest.mark.parametrize("seeds", [1, 2, 5])
def test_it_is_drawn_with_hostile_and_long_names_and_few_seeds(seeds: int, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    draw_comparison(comparison("a", EVIL, LONG, seeds=seeds), tmp_path / "figure.svg")
    drawn = (tmp_path / "figure.svg").read_text(encoding="utf-8")
    assert drawn.count("<svg") == 1
    assert "<script" not in drawn
