"""Figures of trainings: the learning rate above the validation curve of a run; a learning-rate range test."""

import os
from collections.abc import Iterator
from typing import Any

from hf_strategies.files import replacing
from hf_strategies.report.figure_file import plain
from hf_strategies.report.run.report import RunReport
from hf_strategies.schedules.lr_range import RangeTest

__all__ = ["draw_range_test", "draw_run"]


def draw_run(report: RunReport, path: str | os.PathLike[str], *, title: str = "") -> None:
    """Draw a run into a PNG, SVG or PDF file; the suffix of ``path`` selects the format. Needs matplotlib.

    Lines differ by dashes and marks as well as by colour, so that the figure can be read in greyscale.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 6), layout="constrained")
    rate, curve = figure.subplots(2, 1, sharex=True, height_ratios=(2, 3))
    steps, rates = zip(*report.learning_rates, strict=True) if report.learning_rates else ((), ())
    rate.plot(steps, rates, color="black", linewidth=1.5)
    rate.set_ylabel("learning rate")
    rate.ticklabel_format(axis="y", style="sci", scilimits=(-2, 2))
    rate.set_title(plain(title))
    _draw_validation(curve, report)
    for axes in (rate, curve):
        axes.grid(alpha=0.3)
        _mark(axes, report)
        if axes.get_legend_handles_labels()[0]:
            axes.legend(loc="best", fontsize="small")
    curve.set_xlabel("optimizer step")
    with replacing(path) as file:
        figure.savefig(file, dpi=120)


def _draw_validation(axes: Any, report: RunReport) -> None:
    values = [(row["step"], row[report.monitor]) for row in report.evaluations if report.monitor in row]
    losses = [(entry["step"], entry["loss"]) for entry in report.log_history if "loss" in entry]
    if losses and report.monitor == "eval_loss":
        axes.plot(*zip(*losses, strict=True), color="0.6", linestyle=":", label="training loss")
    if values:
        label = plain(f"{report.monitor} (validation)")
        axes.plot(*zip(*values, strict=True), color="tab:blue", marker="o", label=label)
    axes.set_ylabel(plain(report.monitor.removeprefix("eval_")))


def _mark(axes: Any, report: RunReport) -> None:
    for step, color, dashes, label in _events(report):
        axes.axvline(step, color=color, linestyle=dashes, label=plain(f"{label}: step {step}"))


def _events(report: RunReport) -> Iterator[tuple[int, str, str | tuple[int, tuple[int, ...]], str]]:
    """Yield the step, colour, dashes and label of each event to mark."""
    record, cooldown = report.record or {}, report.cooldown or {}
    for number, step in enumerate(cooldown.get("drops", ()), start=1):
        yield step, "tab:orange", (0, (1, 3)), f"plateau {number}, rate lowered"
    if cooldown.get("phase", "hold") != "hold":
        yield cooldown["cooldown_start"], "tab:orange", ":", f"{cooldown['trigger']}, cooldown starts"
    if record.get("best_step") is not None:
        yield record["best_step"], "tab:green", "--", report.kept_word
    if record.get("stop_step") is not None:
        yield record["stop_step"], "tab:red", "-.", "stop"


def draw_range_test(result: RangeTest, path: str | os.PathLike[str], *, title: str = "") -> None:
    """Draw a range test into a PNG, SVG or PDF file; the suffix of ``path`` selects the format. Needs matplotlib.

    The two suggestions differ by mark and dashes as well as by colour, so that the figure can be read in greyscale.
    Losses far above the first ones, after the loss diverged, are cut off.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 5), layout="constrained")
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
    with replacing(path) as file:
        figure.savefig(file, dpi=120)


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
