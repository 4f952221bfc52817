"""The figure of a replay: what stands in it, for one run and for several, and the mistakes."""

import math
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from hf_strategies import StrategyError
from hf_strategies.report.replay import figure
from hf_strategies.report.replay.figure import draw_replay
from hf_strategies.report.replay.report import ReplayReport
from hf_strategies.stopping.replay.runs import PastRun, replay
from hf_strategies.stopping.replay.settings import grid
from hf_strategies.stopping.replay.summary import suggest, summarise

LOSSES = [0.9, 0.5, 0.6, 0.4, 0.55, 0.6, 0.7]
BEGINNINGS = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}


def report(*losses: Sequence[float], planned: int = 0, **lists: Any) -> ReplayReport:
    """The replay of runs that were evaluated every 10 steps."""
    runs = [
        PastRun(
            f"run {index}", [{"eval_loss": v, "step": 10 * k} for k, v in enumerate(values, 1)], 70, planned or 70
        )
        for index, values in enumerate(losses)
    ]
    settings = grid("loss", **(lists or {"patience": [1, 2, 3, 4]}))
    outcomes = replay(runs, settings)
    summaries = summarise(outcomes)
    return ReplayReport(runs, settings, outcomes, summaries, suggest(summaries))


def texts(found: ReplayReport, folder: Path) -> list[str]:
    """The texts of the figure as SVG, which matplotlib keeps in comments beside their outlines."""
    draw_replay(found, folder / "replay.svg")
    return [text.strip() for text in re.findall(r"<!--(.*?)-->", (folder / "replay.svg").read_text(encoding="utf-8"))]


@pytest.mark.parametrize("ending", BEGINNINGS)
def test_the_ending_tells_the_format(ending: str, tmp_path: Path) -> None:
    draw_replay(report(LOSSES), tmp_path / f"replay.{ending}")
    assert (tmp_path / f"replay.{ending}").read_bytes().startswith(BEGINNINGS[ending])


def test_of_one_run_the_axes_the_stops_and_the_suggestion_stand_in_it(tmp_path: Path) -> None:
    found = texts(report(LOSSES, planned=80), tmp_path)
    assert {
        "optimizer step",
        "eval_loss (lower is better)",
        "optimizer steps saved, %",
        "eval_loss kept",
        "run 0",
        "kept: the best up to a stop",
        "stop, with its patience",
        "ran on: patience 4",
        "suggested: patience=2",
        "ran on in a run: counts as saving nothing",
    } <= set(found)
    assert found.count("1") == 2  # at its stop and at its saving


def test_a_setting_that_a_complete_run_did_not_meet_is_no_stop(tmp_path: Path) -> None:
    found = texts(report(LOSSES), tmp_path)
    assert "no stop: patience 4" in found
    assert not [text for text in found if "ran on" in text]


def test_of_several_runs_each_has_its_name_and_the_suggested_stop(tmp_path: Path) -> None:
    found = texts(report(LOSSES, [0.5, 0.6, 0.7, 0.8]), tmp_path)
    assert {"run 0", "run 1", "its stop: patience=2", "kept under the suggested setting"} <= set(found)
    assert {"optimizer steps saved, %, mean over 2 runs", "gain given up, % (bars: standard error)"} <= set(found)


def test_of_many_runs_the_legend_counts_them(tmp_path: Path) -> None:
    found = texts(report(*([0.9, 0.5 + k / 100, 0.6, 0.7] for k in range(8))), tmp_path)
    assert "8 runs" in found
    assert "run 0" not in found


def test_settings_that_differ_in_two_ways_go_by_number_and_what_they_share_is_the_title(tmp_path: Path) -> None:
    found = texts(report(LOSSES, patience=[1, 2], min_delta=[0, 0.2], start_from=[1]), tmp_path)
    assert {"start_from=1", "stop, with its number", "a setting, by its number"} <= set(found)
    assert [text for text in found if "#1" in text]


def test_what_explodes_or_is_not_finite_is_left_out(tmp_path: Path) -> None:
    found = texts(report([*LOSSES[:5], math.nan, 1e9]), tmp_path)
    assert not [text for text in found if "1e9" in text]
    assert "no suggestion" not in texts(report([math.nan, math.inf], stop_when=["divergence"]), tmp_path)


def test_no_two_curves_have_the_same_dashes() -> None:
    assert len({str(dashes) for dashes in figure._DASHES}) == len(figure._DASHES)


def test_points_whose_labels_would_touch_share_one() -> None:
    points = {(0.0, 0.0): ["1"], (0.1, 0.01): ["2", "3"], (10.0, 1.0): ["4"], (10.0, 0.0): ["5"]}
    assert figure._merged(points) == {
        (0.0, 0.0): ["1", "2", "3"],
        (10.0, 0.0): ["5"],
        (10.0, 1.0): ["4"],
    }
    assert figure._shortened(["1", "2", "3", "4"]) == "1, 2, 3, 4"
    assert figure._shortened(["1", "2", "3", "4", "5"]) == "1 … 5"


@pytest.mark.parametrize(
    ("file", "words"),
    [
        ("plot.jpg", r"plot\.jpg has no ending of a figure: give one of \.png, \.svg, \.pdf$"),
        ("nowhere/plot.png", r"plot\.png: there is no folder .*nowhere: make it first$"),
        ("folder.png", r"folder\.png cannot be written: Is a directory$"),
    ],
)
def test_a_bad_path_is_told(file: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(StrategyError, match=words):
        draw_replay(report(LOSSES), tmp_path / file)


def test_without_matplotlib_the_remedy_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(StrategyError, match=r"needs matplotlib.*'hf-strategies\[plots\]', or leave --output out"):
        draw_replay(report(LOSSES), tmp_path / "replay.png")
    assert not list(tmp_path.iterdir())
