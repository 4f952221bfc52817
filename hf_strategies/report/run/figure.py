"""Figures of trainings: the learning rate above the validation curve of a run; a learning-rate range test."""

import os
from typing import Any

from hf_strategies.files import replacing
from hf_strategies.report.figure_file import checked_path, new_figure, plain, save_figure
from hf_strategies.report.run.marks import draw_labels, draw_lines, marks
from hf_strategies.report.run.rates import RateCurve
from hf_strategies.report.run.report import RunReport
from hf_strategies.schedules.lr_range import RangeTest

__all__ = ["draw_range_test", "draw_run", "range_test_figure"]

_WIDTH = 8.0  # inches
_PANEL = 0.88  # of the width, without the labels of the y axis
_MARGIN = 0.03  # of the steps, at both sides


def draw_run(report: RunReport, path: str | os.PathLike[str], *, title: str = "") -> None:
    """Draw a run into a PNG, SVG or PDF file; the suffix of ``path`` selects the format. Needs matplotlib.

    The upper panel has the learning rate of each update, as the schedule and the callbacks have set it, and the lower
    one the watched metric. Lines differ by dashes and marks as well as by colour, so that the figure can be read in
    greyscale.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(_WIDTH, 6), layout="constrained")
    rate, curve = figure.subplots(2, 1, sharex=True, height_ratios=(2, 3))
    last = max(report.last_step, 1)
    rate.set_xlim(-_MARGIN * last, (1 + _MARGIN) * last)
    _draw_rate(rate, report)
    _draw_validation(curve, report)
    found = marks(report)
    for axes in (rate, curve):
        axes.grid(alpha=0.3)
        draw_lines(axes, found, last)
        if axes.get_legend_handles_labels()[0]:
            axes.legend(loc="best", fontsize="small")
    draw_labels(rate, found, _PANEL * _WIDTH * 72)
    curve.set_xlabel("optimizer step")
    figure.suptitle(plain(title))
    with replacing(path) as file:
        figure.savefig(file, dpi=120)


def _draw_rate(axes: Any, report: RunReport) -> None:
    """Draw the rate of each update, and where only the log is known its rates, each up to the next one."""
    curves = report.rate_curves
    for each in curves:
        steps, rates = zip(*each.points, strict=True)
        if each.is_exact:
            axes.plot(steps, rates, color="black", linewidth=1.5)
            continue
        label = "as logged; not known between" if each is _first_logged(curves) else None
        axes.plot(steps, rates, color="0.4", linewidth=1.2, linestyle=":", drawstyle="steps-post", label=label)
        axes.plot(steps[:-1], rates[:-1], color="black", linestyle="none", marker="o", markersize=3)
    axes.set_ylabel("learning rate")
    axes.set_ylim(bottom=0, top=1.06 * max((rate for each in curves for _, rate in each.points), default=0) or None)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:.3g}")  # a power of ten above would be in the way


def _first_logged(curves: list[RateCurve]) -> RateCurve | None:
    return next((each for each in curves if not each.is_exact), None)


def _draw_validation(axes: Any, report: RunReport) -> None:
    values = [(row["step"], row[report.monitor]) for row in report.evaluations if report.monitor in row]
    losses = [(entry["step"], entry["loss"]) for entry in report.log_history if "loss" in entry]
    if losses and report.monitor == "eval_loss":
        axes.plot(*zip(*losses, strict=True), color="0.6", linestyle=":", label="training loss")
    if values:
        label = plain(f"{report.monitor} (validation)")
        axes.plot(*zip(*values, strict=True), color="tab:blue", marker="o", label=label)
    axes.set_ylabel(plain(report.monitor.removeprefix("eval_")))


def draw_range_test(result: RangeTest, path: str | os.PathLike[str], *, title: str = "") -> None:
    """Draw a range test into a PNG, SVG or PDF file; the suffix of ``path`` selects the format. Needs matplotlib."""
    save_figure(range_test_figure(result, title=title), checked_path(path))


def range_test_figure(result: RangeTest, *, title: str = "") -> Any:
    """Return a figure of matplotlib with the losses of a range test by learning rate.

    The two suggestions differ by mark and dashes as well as by colour, so that the figure can be read in greyscale.
    Losses far above the first ones, after the loss diverged, are cut off.
    """
    figure = new_figure(8, 5)
    axes = figure.subplots()
    axes.scatter(result.rates, result.losses, s=14, color="0.6", label="loss of each step")
    axes.plot(result.rates, result.smoothed, color="black", linewidth=1.8, label="smoothed")
    _mark_suggestion(axes, result, result.suggestion, "steepest descent", "tab:blue", "--", "o")
    _mark_suggestion(axes, result, result.minimum_over_ten, "minimum / 10", "tab:orange", "-.", "s")
    axes.set_xscale("log")
    _cut(axes, result)
    axes.set_xlabel("learning rate")
    axes.set_ylabel("training loss")
    axes.set_title(title or ("" if result.suggestion else "no suggestion: the loss did not fall"))
    axes.grid(alpha=0.3)
    axes.legend(loc="best")
    return figure


def _mark_suggestion(
    axes: Any, result: RangeTest, rate: float | None, name: str, color: str, dashes: str, marker: str
) -> None:
    if rate is None:
        return
    nearest = min(range(len(result.rates)), key=lambda at: abs(result.rates[at] / rate - 1.0))
    axes.axvline(rate, color=color, linestyle=dashes, linewidth=1.5)
    axes.plot(
        [rate],
        [result.smoothed[nearest]],
        color=color,
        linestyle=dashes,
        marker=marker,
        markersize=9,
        markeredgecolor="black",
        label=f"{name}: {rate:.2g}",
    )


def _cut(axes: Any, result: RangeTest) -> None:
    """Limit the y axis to the losses up to the lowest smoothed one, and a margin, if later losses are far higher."""
    if not result.smoothed:
        return
    low = result.smoothed.index(min(result.smoothed))
    before = result.losses[: low + 1]
    bottom, top = min(result.losses), max(*before, *result.smoothed[: low + 1])
    room = (top - bottom) or 1.0
    if max(result.losses) > top + room:
        axes.set_ylim(bottom - 0.05 * room, top + 0.5 * room)
