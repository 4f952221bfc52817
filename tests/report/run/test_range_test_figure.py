"""The figure of a range test."""

from pathlib import Path

import pytest

from hf_strategies.report.run.range_test_figure import draw_range_test
from hf_strategies.schedules.lr_range import Ramp, RangeTest, read_range_test

RAMP = Ramp(1e-6, 1.0, 61)
RATES = [RAMP.rate(step) for step in range(61)]
FALLS = read_range_test(RATES, [1.0 / (1.0 + rate / 1e-3) + (10 * rate) ** 2 for rate in RATES], beta=0.5)
FLAT = read_range_test(RATES, [2.0] * 61)
EMPTY = read_range_test([], [])


def svg(result: RangeTest, folder: Path, title: str = "") -> str:
    """The figure as SVG, with its words as text."""
    import matplotlib

    with matplotlib.rc_context({"svg.fonttype": "none"}):
        draw_range_test(result, folder / "figure.svg", title=title)
    return (folder / "figure.svg").read_text()


def test_both_suggestions_and_what_the_axes_mean_are_written_in_the_figure(tmp_path: Path) -> None:
    text = svg(FALLS, tmp_path, title="demo")
    for words in ("demo", "learning rate", "training loss", "smoothed", "loss of each step"):
        assert f">{words}<" in text
    assert ">steepest descent: 0.001<" in text
    assert f">minimum / 10: {FALLS.minimum_over_ten:.2g}<" in text


def test_the_suggestions_differ_by_dashes_so_that_greyscale_is_enough(tmp_path: Path) -> None:
    dashes = {part.split(";")[0].split('"')[0] for part in svg(FALLS, tmp_path).split("stroke-dasharray:")[1:]}
    assert len(dashes) == 2


def test_a_figure_without_a_suggestion_says_that_there_is_none(tmp_path: Path) -> None:
    text = svg(FLAT, tmp_path)
    assert "no suggestion: the loss did not fall" in text
    assert "steepest descent" not in text


@pytest.mark.parametrize("result", [FALLS, FLAT, EMPTY], ids=["falls", "flat", "empty"])
def test_every_result_can_be_drawn_as_png(result: RangeTest, tmp_path: Path) -> None:
    draw_range_test(result, tmp_path / "figure.png")
    assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")


def test_a_loss_that_diverged_does_not_flatten_the_curve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from matplotlib.figure import Figure

    drawn: list[Figure] = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, *_, **__: drawn.append(figure))
    losses = [*FALLS.losses[:50], 1e6]
    draw_range_test(read_range_test(RATES[:51], losses), tmp_path / "figure.png")
    assert drawn[0].axes[0].get_ylim()[1] < 3.0
