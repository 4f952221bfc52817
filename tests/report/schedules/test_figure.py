"""Schedules as a file: its format and size, what stands in it, what differs without colour, and the mistakes."""

import re
import sys
from itertools import combinations
from pathlib import Path

import pytest
from PIL import Image

from hf_strategies import StrategyError, schedule
from hf_strategies.report.figure_file import FORMATS
from hf_strategies.report.schedules import figure
from hf_strategies.report.schedules.curves import ScheduleCurves
from hf_strategies.report.schedules.figure import draw_schedules
from hf_strategies.report.schedules.text_plot import MOST_CURVES

NAMES = ("linear_warmup_cosine_decay", "exponential_warmup_step_decay", "linear_warmup_stable_decay", "one_cycle")
CURVES = ScheduleCurves({name: schedule(name, total_steps=200, warmup_steps=20) for name in NAMES})
BEGINNINGS = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}


def texts(file: Path) -> list[str]:
    """The texts of an SVG, which matplotlib keeps in comments beside their outlines."""
    return [text.strip() for text in re.findall(r"<!--(.*?)-->", file.read_text(encoding="utf-8"))]


@pytest.mark.parametrize("ending", [*FORMATS, "PNG"])
def test_the_ending_tells_the_format(ending: str, tmp_path: Path) -> None:
    file = tmp_path / f"plot.{ending}"
    draw_schedules(CURVES, file)
    assert file.read_bytes().startswith(BEGINNINGS[ending.lower()])


@pytest.mark.parametrize("size", [(900, 480), (600, 400), (1081, 661), (1777, 413), (601, 1999)])
def test_the_size_is_in_pixels(size: tuple[int, int], tmp_path: Path) -> None:
    draw_schedules(CURVES, tmp_path / "plot.png", width=size[0], height=size[1])
    with Image.open(tmp_path / "plot.png") as image:
        assert image.size == size


def test_names_units_warmups_and_floors_stand_in_it(tmp_path: Path) -> None:
    curves = ScheduleCurves(
        {name: schedule(name, total_steps=200, warmup_steps=20, min_lr_ratio=0.1) for name in NAMES},
        peak=2e-5,
        steps_per_epoch=50,
    )
    draw_schedules(curves, tmp_path / "plot.svg")
    found = texts(tmp_path / "plot.svg")
    assert {*NAMES, "optimizer step", "epoch", "learning rate", "warmup ends: 20", "floor 2e-06"} <= set(found)


def test_without_a_peak_or_epochs_the_axes_say_so(tmp_path: Path) -> None:
    draw_schedules(CURVES, tmp_path / "plot.svg")
    found = texts(tmp_path / "plot.svg")
    assert "learning rate / peak" in found
    assert "epoch" not in found
    assert not [text for text in found if text.startswith("floor")]


def test_no_two_curves_look_the_same_in_greyscale() -> None:
    looks = figure._STYLES
    assert len(looks) == MOST_CURVES
    assert len({mark for _color, _dashes, mark in looks}) == MOST_CURVES
    for (_, one, _), (_, other, _) in combinations(looks[:6], 2):
        assert one != other


def test_curves_on_one_another_keep_their_marks_apart() -> None:
    places = [set(figure._spread(1001, index, 4)) for index in range(4)]
    assert all(len(place) == 9 for place in places)
    assert not any(one & other for one, other in combinations(places, 2))


@pytest.mark.parametrize(
    ("file", "words"),
    [
        ("plot.jpg", r"plot\.jpg has no ending of a figure: give one of \.png, \.svg, \.pdf$"),
        ("plot", r"plot has no ending of a figure: give one of \.png, \.svg, \.pdf$"),
        ("nowhere/plot.png", r"plot\.png: there is no folder .*nowhere: make it first$"),
        ("folder.png", r"folder\.png cannot be written: Is a directory$"),
    ],
)
def test_a_bad_path_is_told(file: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(StrategyError, match=words):
        draw_schedules(CURVES, tmp_path / file)


def test_without_matplotlib_the_remedy_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(
        StrategyError, match=r"needs matplotlib.*pip install 'hf-strategies\[plots\]', or leave --output"
    ):
        draw_schedules(CURVES, tmp_path / "plot.png")
    assert not list(tmp_path.iterdir())
