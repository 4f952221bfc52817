"""Curves as text: where the signs stand, what the axes say, and that ASCII and a lack of colour are enough."""

import re
from itertools import pairwise

import pytest

from hf_strategies import schedule
from hf_strategies.report.schedules.curves import ScheduleCurves, draw_in_text
from hf_strategies.report.schedules.text_plot import MOST_CURVES, Axes, curve_marks, text_plot

BRAILLE = {chr(code) for code in range(0x2801, 0x2900)}
UP = [(0.0, 0.0), (10.0, 1.0)]
DOWN = [(0.0, 1.0), (10.0, 0.0)]


def area(plot: str) -> list[str]:
    """The lines within the axes, without the labels on the left, from the top."""
    found = (re.match(r"[^|+│┤└]*[|+│┤](.*)", line) for line in plot.splitlines())
    return [match[1] for match in found if match]


def test_the_whole_plot_in_ascii() -> None:
    plot = text_plot(
        {"up": [(0, 0), (8, 1)], "down": [(0, 1), (8, 0)]},
        Axes(8, 1, {"step": 1}, verticals=[5], horizontals=[0.25]),
        width=15,
        height=9,
        plain=True,
    )
    assert plot.splitlines() == [
        "   1 +o    :  *",
        "     | o   : *",
        "0.75 +  o  :*",
        "     |   o *",
        " 0.5 +    *:",
        "     |   * o",
        "0.25 +..*..:o..",
        "     | *   : o",
        "   0 +*    :  o",
        "     +-----+---",
        "step  0    5",
        "* up",
        "o down",
    ]


@pytest.mark.parametrize(("height", "labels"), [(5, ["1", "0.5", "0"]), (9, ["1", "0.75", "0.5", "0.25", "0"])])
def test_the_y_axis_has_labels_at_even_distances(height: int, labels: list[str]) -> None:
    lines = text_plot({"up": UP}, Axes(10, 1, {"step": 1}), height=height, plain=True).splitlines()
    found = [(row, line.split(" +")[0].strip()) for row, line in enumerate(lines[:height]) if " +" in line]
    assert [label for _row, label in found] == labels
    rows = [row for row, _label in found]
    assert {after - before for before, after in pairwise(rows)} == {(height - 1) // (len(rows) - 1)}


@pytest.mark.parametrize(
    ("steps", "ticks"),
    [
        (1, "0 1"),
        (3, "0 1 2 3"),
        (10, "0 2 4 6 8 10"),
        (1000, "0 200 400 600 800 1000"),
        (70, "0 10 20 30 40 50 60 70"),
    ],
)
def test_the_x_axis_has_round_numbers(steps: int, ticks: str) -> None:
    plot = text_plot({"up": [(0, 0), (steps, 1)]}, Axes(steps, 1, {"step": 1}), width=80)
    line = next(line for line in plot.splitlines() if line.startswith("step"))
    assert line.split()[1:] == ticks.split()


def test_a_second_unit_has_its_own_numbers_below() -> None:
    plot = text_plot({"up": [(0, 0), (1000, 1)]}, Axes(1000, 1, {"step": 1, "epoch": 400}), width=80)
    assert plot.splitlines()[-2].split() == ["epoch", "0", "0.5", "1", "1.5", "2", "2.5"]


@pytest.mark.parametrize("width", [40, 61, 80, 200])
@pytest.mark.parametrize("height", [5, 17, 40])
@pytest.mark.parametrize("plain", [False, True])
def test_the_text_fits_its_width_and_height(width: int, height: int, plain: bool) -> None:
    plot = text_plot({"up": UP}, Axes(10, 1, {"step": 1}), width=width, height=height, plain=plain)
    lines = plot.splitlines()
    assert len(lines) == height + 3
    assert max(map(len, lines)) <= width


def test_plain_is_ascii_and_the_other_has_dots() -> None:
    curves = {"up": UP, "down": DOWN}
    plain = text_plot(curves, Axes(10, 1, {"step": 1}, [5], [0.5]), plain=True)
    dots = text_plot(curves, Axes(10, 1, {"step": 1}, [5], [0.5]))
    assert plain.isascii()
    assert set(dots) & BRAILLE
    assert "\x1b" not in plain + dots  # no colours


def test_dots_stand_where_the_values_are() -> None:
    top = text_plot({"one": [(0, 1), (9, 1)]}, Axes(9, 1, {"step": 1}), height=5)
    bottom = text_plot({"zero": [(0, 0), (9, 0)]}, Axes(9, 1, {"step": 1}), height=5)
    assert set(area(top)[0]) == {"⠉"}  # the two upper dots
    assert set(area(bottom)[4]) == {"⣀"}  # the two lower ones


def test_a_jump_is_drawn_upright() -> None:
    jump = [(0.0, 1.0), (499.0, 1.0), (500.0, 0.0), (1000.0, 0.0)]
    plot = text_plot({"jump": jump}, Axes(1000, 1, {"step": 1}), width=80, height=9, plain=True)
    columns = {line.index("*") for line in area(plot)[1:8] if "*" in line}
    assert len(columns) == 1
    assert all("*" in line for line in area(plot)[:9])


def test_each_curve_has_a_letter_of_its_own_on_it_and_in_the_legend() -> None:
    curves = {f"level {n}": [(0.0, n / 5), (10.0, n / 5)] for n in range(1, 5)}
    lines = text_plot(curves, Axes(10, 1, {"step": 1}), height=21).splitlines()
    for letter, label in zip("ABCD", curves, strict=True):
        assert f"{letter} {label}" in lines
        rows = {row for row, line in enumerate(lines[:21]) if letter in line}
        assert rows == {20 - round(20 * int(label[-1]) / 5)}


@pytest.mark.parametrize("plain", [False, True])
def test_curves_that_lie_on_one_another_are_all_seen(plain: bool) -> None:
    curves = {"one": UP, "two": UP, "three": UP}
    plot = text_plot(curves, Axes(10, 1, {"step": 1}), width=80, plain=plain)
    for mark in curve_marks(3, plain=plain):
        assert "".join(area(plot)).count(mark) >= 3


def test_as_many_signs_as_curves_all_different() -> None:
    for plain in (False, True):
        assert len(set(curve_marks(MOST_CURVES, plain=plain))) == MOST_CURVES


def test_the_peak_is_seen_however_short_and_the_warmup_is_marked() -> None:
    curves = ScheduleCurves({"one": schedule("linear_warmup_exponential_decay", total_steps=100_000, warmup_steps=7)})
    plot = draw_in_text(curves, plain=True)
    assert "*" in area(plot)[0]
    assert ": the warmup ends at step 7" in plot.splitlines()


def test_warmups_and_floors_are_told_with_their_curves() -> None:
    curves = ScheduleCurves(
        {
            "a": schedule("linear_warmup_cosine_decay", total_steps=100, warmup_steps=10, min_lr_ratio=0.1),
            "b": schedule("linear_warmup_linear_decay", total_steps=100, warmup_steps=30),
            "c": schedule("linear_decay", total_steps=100, min_lr_ratio=0.1),
        },
        peak=2e-5,
        steps_per_epoch=10,
    )
    lines = draw_in_text(curves).splitlines()
    assert lines[0] == "learning rate"
    assert lines[1].startswith("  2e-05 ┤")
    assert "┊ the warmup ends at step 10 (A), step 30 (B)" in lines
    assert "┈ floor 2e-06 (A, C)" in lines
    assert any(line.split() == ["epoch", "0", "2", "4", "6", "8", "10"] for line in lines)
    assert sum("┈" in line for line in lines[1:18]) == 1
    assert sum("┊" in line for line in lines[1:18]) > 10


def test_points_are_all_steps_or_enough_of_them() -> None:
    curves = ScheduleCurves({"f": schedule("linear_warmup_linear_decay", total_steps=9, warmup_steps=3)}, peak=2.0)
    assert curves.points("f", 100)[:5] == [(0, 0.0), (1, 2 / 3), (2, 4 / 3), (3, 2.0), (4, 2 * 5 / 6)]
    assert [step for step, _value in curves.points("f", 4)] == [0, 2, 3, 4, 7, 9]
