"""The rows of the table that grows: aligned, no wider than the terminal, and the watched metric stays longest."""

import pytest

from hf_strategies.finetune.console.evaluation_rows import EvaluationRows, Progress

METRICS = ["eval_f1", "eval_loss", "eval_accuracy", "eval_precision", "eval_recall", "eval_a_metric_of_a_long_name"]


def progress(note: str = "", **values: float) -> Progress:
    return Progress(100, 2.5, 5e-5, 0.25, {f"eval_{name}": value for name, value in values.items()}, note)


def test_each_cell_ends_where_the_name_of_its_column_ends() -> None:
    rows = EvaluationRows(["eval_f1", "eval_loss"], 80)
    row = rows.row(progress("best", f1=0.5, loss=1.25))
    assert rows.head == "  step   epoch      rate     train        f1      loss"
    assert row == "   100    2.50  5.00e-05    0.2500    0.5000    1.2500  best"


@pytest.mark.parametrize("width", range(20, 141))
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    rows = EvaluationRows(METRICS, width)
    values = {name.removeprefix("eval_"): -123456.789 for name in METRICS}
    lines = [rows.head, rows.row(progress("cooldown by step 123456, and more than there is room for", **values))]
    assert max(map(len, lines)) <= width
    assert "f1" in rows.head.split()


@pytest.mark.parametrize(
    ("width", "columns"),
    [
        (97, "step epoch rate train f1 loss accuracy precision"),
        (96, "step epoch rate train f1 loss accuracy"),
        (80, "step epoch rate train f1 loss"),
        (60, "step rate f1 loss"),
        (40, "step f1"),
    ],
)
def test_what_is_watched_last_is_left_out_first(width: int, columns: str) -> None:
    assert EvaluationRows(METRICS, width).head.split() == columns.split()


@pytest.mark.parametrize(
    ("value", "cell"),
    [(0.123456, "0.1235"), (99.9, "99.9000"), (12345.6, "1.23e+04"), (float("nan"), "nan"), (float("-inf"), "-inf")],
)
def test_a_number_has_eight_characters_at_most(value: float, cell: str) -> None:
    row = EvaluationRows(["eval_f1"], 80).row(progress(f1=value))
    assert row.split()[-1] == cell
    assert len(cell) <= 8


def test_a_metric_that_one_evaluation_lacks_is_a_dash() -> None:
    assert EvaluationRows(["eval_f1", "eval_loss"], 80).row(progress(loss=1.0)).split()[-2:] == ["-", "1.0000"]


def test_a_note_has_what_room_is_left_and_is_cut_at_its_end() -> None:
    rows = EvaluationRows(["eval_f1", "eval_loss"], 80)
    assert rows.row(progress("cooldown by step 123456", f1=0.5, loss=1.0)).endswith("  cooldown by step 123456")
    assert rows.row(progress("cooldown by step 12345678", f1=0.5, loss=1.0)).endswith("  cooldown by step 123456…")


def test_a_long_name_is_cut_and_a_terminal_escape_is_written_out() -> None:
    head = EvaluationRows(["eval_\x1b[2Ja_metric_of_a_long_name"], 80).head
    assert "\x1b" not in head
    assert len(head.split()[-1]) <= 12
