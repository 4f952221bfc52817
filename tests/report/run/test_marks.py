"""Marks at one step, and near each other, can be told apart."""

from itertools import pairwise
from typing import Any

import pytest

from hf_strategies.report.run.marks import Mark, draw_labels, draw_lines, labels, marks
from hf_strategies.report.run.rates import PlannedRates
from hf_strategies.report.run.recorded_run import RecordedRun
from tests.report.run.states import RECORD, state

BEST, STOP = Mark(30, "tab:green", (6, 2), "best"), Mark(30, "tab:red", (6, 2, 1, 2), "stop")
COOLDOWN = {"phase": "over", "trigger": "plateau", "cooldown_start": 20, "cooldown_end": 30, "drops": [10, 15]}


def test_every_event_is_a_mark_in_the_order_of_the_steps() -> None:
    report = RecordedRun(state()["log_history"], RECORD, COOLDOWN, PlannedRates(lambda step: 1.0, warmup_steps=3))
    assert [(mark.step, mark.text) for mark in marks(report)] == [
        (3, "warmup ends"),
        (10, "plateau 1, rate lowered"),
        (10, "best"),
        (15, "plateau 2, rate lowered"),
        (20, "plateau, cooldown starts"),
        (30, "stop"),
    ]


def test_a_run_that_ended_in_its_warmup_has_no_mark_for_its_end() -> None:
    long = PlannedRates(lambda step: 1.0, warmup_steps=100)
    assert [mark.text for mark in marks(RecordedRun(state()["log_history"], RECORD, None, long))] == ["best", "stop"]


def test_a_plateau_that_ends_the_training_starts_no_cooldown() -> None:
    ended = COOLDOWN | {"cooldown_end": 20, "drops": []}
    assert [mark.text for mark in marks(RecordedRun(state()["log_history"], {"stop_step": 20}, ended))] == [
        "plateau",
        "stop",
    ]


def test_marks_at_one_step_share_a_label_that_names_both() -> None:
    (label,) = labels([BEST, STOP], 0, 100, 500)
    assert (label.text, label.color, label.center) == ("best; stop: step 30", "black", 0.3)


@pytest.mark.parametrize("steps", [(30, 31), (30, 40, 50), (99, 100), (0, 1), (5, 5, 6, 7, 60)])
def test_no_label_covers_another_or_leaves_the_figure(steps: tuple[int, ...]) -> None:
    """Measured by matplotlib itself, in pixels."""
    pytest.importorskip("matplotlib")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.text import Text

    figure = Figure(figsize=(8, 6), layout="constrained")
    canvas, axes = FigureCanvasAgg(figure), figure.subplots()
    axes.set_xlim(0, 100)
    draw_labels(axes, [Mark(step, "black", (), "a plateau, the cooldown starts") for step in steps], 500)
    canvas.draw()
    boxes = [Text.get_window_extent(text) for text in axes.texts]  # without the line to the step
    assert len(boxes) == len(set(steps))
    for index, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[:index])
        assert figure.bbox.x0 <= box.x0 < box.x1 <= figure.bbox.x1
        assert axes.bbox.y1 < box.y0 < box.y1 <= figure.bbox.y1


def drawn(found: list[Mark]) -> list[Any]:
    from matplotlib.figure import Figure

    axes = Figure().subplots()
    draw_lines(axes, found, 1000)
    return list(axes.lines)


def test_lines_at_one_place_take_turns() -> None:
    """At each point along the lines exactly one of them is drawn."""
    pytest.importorskip("matplotlib")
    for found in ([BEST, STOP], [BEST, STOP, Mark(33, "tab:orange", (), "cooldown starts")]):
        patterns = [line._unscaled_dash_pattern for line in drawn(found)]
        for place in range(100):
            # a pattern begins `offset` points after the start of its first dash
            on = [(place + offset + 0.5) % sum(dashes) < dashes[0] for offset, dashes in patterns]
            assert sum(on) == 1


def test_lines_at_other_places_have_the_dashes_of_their_kind() -> None:
    pytest.importorskip("matplotlib")
    far = [BEST, Mark(400, *("tab:red", (6, 2, 1, 2), "stop"))]
    patterns = [line._unscaled_dash_pattern[1] for line in drawn(far)]
    assert [tuple(each) for each in patterns] == [(6, 2), (6, 2, 1, 2)]
    assert all(one != other for one, other in pairwise(patterns))
