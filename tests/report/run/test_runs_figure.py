"""The figure of runs: what is marked, that nothing covers anything else, and what a run's data may hold."""

import math
import re
from pathlib import Path
from typing import Any

import pytest

from hf_strategies.errors import StrategyError
from hf_strategies.report.run.logged_run import LoggedRun
from hf_strategies.report.run.looks import look
from hf_strategies.report.run.runs_figure import draw_runs, run_marks
from tests.report.run.runs import STOCK_STOP, cosine, logged, stock
from tests.report.run.states import RECORD

pytest.importorskip("matplotlib")

VALUES = [0.9, 0.5, 0.6, 0.7]


def words(runs: list[LoggedRun], file: Path) -> list[str]:
    """The texts in a figure."""
    import matplotlib

    with matplotlib.rc_context({"svg.fonttype": "none"}):
        draw_runs(runs, file)
    return re.findall(r"<text[^>]*>([^<]*)</text>", file.read_text(encoding="utf-8"))


def test_the_events_of_a_stock_run_are_marked() -> None:
    run = logged(VALUES, cosine(40, 19), planned=90, callbacks=STOCK_STOP)
    assert [(mark.step, mark.text) for mark in run_marks(run)] == [(20, "best"), (40, "stop")]
    rising = logged(VALUES, [1e-4, 2e-4, 3e-4, 1e-4], planned=90, callbacks=STOCK_STOP)
    assert [(mark.step, mark.text) for mark in run_marks(rising)][1:2] == [(29, "warmup ends (as logged)")]


def test_reductions_and_averages_are_marked_once() -> None:
    callbacks = {
        "reduce_on_plateau": {"stalls": [20, 30], "factor": 0.5, "past": [], "min_lr_ratio": 0.0},
        "weight_averaging": {"start": 10, "updates": 30, "average": "ema"},
        "early_stopping": RECORD | {"monitor": "eval_loss", "best_step": 20, "stop_step": 40},
    }
    found = [(mark.step, mark.text) for mark in run_marks(logged(VALUES, callbacks=callbacks))]
    assert found == [
        (10, "averaging starts"),
        (20, "best"),
        (20, "stall 1, rate lowered"),
        (30, "stall 2, rate lowered"),
        (40, "stop"),
    ]


def test_one_run_has_its_labels_bests_and_its_ending(tmp_path: Path) -> None:
    run = logged(VALUES, [1e-3] * 4, planned=90, callbacks=STOCK_STOP, eval_accuracy=[0.1, 0.2, 0.4, 0.3])
    drawn = words([run], tmp_path / "run.svg")
    assert {"best: step 20", "stop: step 40", "best: 0.5 at step 20", "best: 0.4 at step 30"} <= set(drawn)
    assert any("Stopped early at step 40 of 90 planned: EarlyStoppingCallback" in text for text in drawn)
    assert not any("\\x" in text for text in drawn)  # a line that is broken is two lines, not an escape


def test_several_runs_have_their_names_with_their_ends(tmp_path: Path) -> None:
    runs = [logged(VALUES, [1e-3] * 4, name=name, planned=90) for name in ("a", "b" * 300)]
    drawn = words(runs, tmp_path / "runs.svg")
    assert "1  a (not over)" in drawn
    (long,) = [text for text in drawn if text.startswith("2  bbb")]
    assert len(long) < 120


def test_no_look_of_a_dozen_runs_is_told_apart_by_colour_alone() -> None:
    looks = [look(index) for index in range(12)]
    assert len({(each.dash, each.marker) for each in looks}) == 12


def inches(runs: list[LoggedRun], monkeypatch: pytest.MonkeyPatch) -> tuple[Any, Any]:
    """The sizes of a figure, and the box around all that is drawn in it."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    kept: list[Any] = []
    monkeypatch.setattr("hf_strategies.report.run.runs_figure.save_figure", lambda figure, _: kept.append(figure))
    draw_runs(runs, "run.png")
    (figure,) = kept
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return figure.get_size_inches(), figure.get_tightbbox(canvas.get_renderer())


@pytest.mark.parametrize(
    "runs",
    [
        [logged(VALUES, cosine(40, 10), eval_accuracy=VALUES, planned=90, callbacks=STOCK_STOP)],
        [logged(VALUES, cosine(40, 10), name=f"{'a_long_name_' * 20}{seed}") for seed in range(8)],
        [logged([math.nan, 0.5, math.inf], [1e-3, math.nan, 1e-4])],
        [logged(VALUES, callbacks={"early_stopping": RECORD | {"reason": "it has a long reason. " * 30}})],
        [LoggedRun.of_state("m", stock(VALUES, metric=f"eval_{'m' * 300}"))],
    ],
    ids=["stopped", "eight long names", "not finite", "long reason", "300 letters"],
)
def test_nothing_leaves_the_figure(runs: list[LoggedRun], monkeypatch: pytest.MonkeyPatch) -> None:
    (width, height), box = inches(runs, monkeypatch)
    assert -0.02 <= box.x0 < 0.5 < width - 0.5 < box.x1 <= width + 0.02
    assert -0.02 <= box.y0 < 0.5 < height - 0.5 < box.y1 <= height + 0.02


@pytest.mark.parametrize("name", ["$x^2$", r"\frac{1}", "$unbalanced", "<script>alert(1)</script>", "\x1b[2J", "a&b"])
def test_a_name_is_no_formula_no_markup_and_no_escape(name: str, tmp_path: Path) -> None:
    run = LoggedRun.of_state(name, stock(VALUES, metric=f"eval_{name}"))
    drawn = words([run, logged(VALUES, name="other")], tmp_path / "run.svg")
    text = (tmp_path / "run.svg").read_text(encoding="utf-8")
    assert "<script" not in text
    assert "\x1b" not in text
    shown = {"<script>alert(1)</script>": "&lt;script&gt;", "\x1b[2J": r"\x1b[2J", "a&b": "a&amp;b"}.get(name, name)
    assert any(shown in each for each in drawn)


def test_losses_of_many_sizes_have_a_logarithmic_axis(tmp_path: Path) -> None:
    drawn = words([logged([1e9, 1.0, 0.9, 0.8, 0.7])], tmp_path / "run.svg")
    assert not any("e9" in text for text in drawn)


@pytest.mark.parametrize("state", [{"log_history": []}, stock([]), stock([], [1e-3]), stock([math.nan])])
def test_a_run_with_next_to_nothing_is_drawn_too(state: dict[str, Any], tmp_path: Path) -> None:
    draw_runs([LoggedRun.of_state("a", state)], tmp_path / "run.png")
    assert (tmp_path / "run.png").read_bytes().startswith(b"\x89PNG")


def test_a_name_without_the_ending_of_a_figure_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(StrategyError, match="no ending of a figure"):
        draw_runs([logged(VALUES)], tmp_path / "run.html")
