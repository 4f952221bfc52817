"""The figure of a run: learning rate above, validation curve below, with the best step and the stop marked."""

import os
from typing import Any

from hf_strategies.report.run import RunReport

__all__ = ["draw_run"]


def draw_run(report: RunReport, path: str | os.PathLike[str], *, title: str = "") -> None:
    """Draw a run into a PNG, SVG or PDF file, told by the ending of ``path``; needs matplotlib.

    Lines differ by dashes and marks as well as by colour, to be told apart in greyscale.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 6), layout="constrained")
    rate, curve = figure.subplots(2, 1, sharex=True, height_ratios=(2, 3))
    steps, rates = zip(*report.learning_rates, strict=True) if report.learning_rates else ((), ())
    rate.plot(steps, rates, color="black", linewidth=1.5)
    rate.set_ylabel("learning rate")
    rate.ticklabel_format(axis="y", style="sci", scilimits=(-2, 2))
    rate.set_title(title)
    _draw_validation(curve, report)
    for axes in (rate, curve):
        axes.grid(alpha=0.3)
        _mark(axes, report)
    curve.set_xlabel("optimizer step")
    if curve.get_legend_handles_labels()[0]:
        curve.legend(loc="best")
    figure.savefig(path, dpi=120)


def _draw_validation(axes: Any, report: RunReport) -> None:
    watched = [(row["step"], row[report.monitor]) for row in report.evaluations if report.monitor in row]
    losses = [(entry["step"], entry["loss"]) for entry in report.log_history if "loss" in entry]
    if losses and report.monitor == "eval_loss":
        axes.plot(*zip(*losses, strict=True), color="0.6", linestyle=":", label="training loss")
    if watched:
        axes.plot(*zip(*watched, strict=True), color="tab:blue", marker="o", label=f"{report.monitor} (validation)")
    axes.set_ylabel(report.monitor.removeprefix("eval_"))


def _mark(axes: Any, report: RunReport) -> None:
    record = report.record or {}
    for what, color, dashes in (("best", "tab:green", "--"), ("stop", "tab:red", "-.")):
        step = record.get(f"{what}_step")
        if step is not None:
            axes.axvline(step, color=color, linestyle=dashes, label=f"{what}: step {step}")
