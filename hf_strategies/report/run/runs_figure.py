"""The figure of one run or several: learning rates, losses and metrics, with what happened and when."""

import os
import textwrap
from collections.abc import Iterator, Sequence
from typing import Any

from hf_strategies.errors import visible
from hf_strategies.report.figure_file import checked_path, new_figure, plain, save_figure
from hf_strategies.report.run.logged_run import LoggedRun
from hf_strategies.report.run.looks import Look, look, shortened
from hf_strategies.report.run.marks import Mark, draw_labels, draw_lines, marks
from hf_strategies.report.run.thinning import Point, finite, thinned

__all__ = ["draw_runs", "is_loss", "run_marks"]

_WIDTH = 8.0  # inches
_PANEL = 0.86  # of the width, without the labels of the y axis
_MARGIN = 0.03  # of the steps, at both sides
_MOST_METRICS = 6  # the page has all of them
_MOST_POINTS = 4000
_RANGE = 200.0  # of the losses, above which their axis is logarithmic

_DASHES: dict[str, Any] = {
    "solid": "-",
    "dash": (0, (5, 2)),
    "dot": (0, (1.2, 1.4)),
    "dashdot": (0, (6, 2, 1.2, 2)),
    "longdash": (0, (9, 3)),
}
_MARKERS = {
    "circle": "o",
    "square": "s",
    "triangle-up": "^",
    "diamond": "D",
    "triangle-down": "v",
    "x": "x",
    "cross": "P",
    "pentagon": "p",
    "hexagon": "h",
}
# The marks on the curves of several runs.
_BEST: dict[str, Any] = {"marker": "*", "markersize": 14, "markeredgecolor": "black"}
_EVENTS = {"warmup ends": "^", "rate lowered": "v", "cooldown starts": "D", "averaging starts": "P", "stop": "X"}


def draw_runs(
    runs: Sequence[LoggedRun], path: str | os.PathLike[str], *, title: str = "", metrics: Sequence[str] | None = None
) -> None:
    """Draw runs into a PNG, SVG or PDF file; the suffix of ``path`` selects the format. Needs matplotlib.

    The panels have the learning rate of each group, the losses, and the other metrics, six of them at most unless
    ``metrics`` names those to draw. The best value of each metric is a star. What happened in one run is marked by
    vertical lines with labels, and in several by marks on their curves. Lines differ by dashes and marks as well as
    by colour, so that the figure can be read in greyscale.
    """
    file = checked_path(path)
    drawn = _all_metrics(runs) if metrics is None else list(metrics)
    panels = [name for name in drawn if not is_loss(name)][:_MOST_METRICS]
    losses = [name for name in drawn if is_loss(name)]
    has_losses = bool(losses) or any(run.losses for run in runs)
    count = 1 + has_losses + len(panels)
    names = 0.0 if len(runs) == 1 else 0.19 * len(runs) + 0.3
    figure = new_figure(_WIDTH, 6.0 + 1.6 * max(0, count - 3) + names)
    axes = list(figure.subplots(count, 1, sharex=True, squeeze=False)[:, 0])
    _set_steps(axes[0], runs)
    looks = [look(index) for index in range(len(runs))]
    _draw_rates(axes[0], runs, looks)
    if has_losses:
        _draw_losses(axes[1], runs, looks, losses)
    for each, name in zip(axes[1 + has_losses :], panels, strict=True):
        _draw_metrics(each, runs, looks, [name])
        each.set_ylabel(_label(name))
    _draw_events(axes, runs, looks)
    _finish(figure, axes, runs, looks, title)
    save_figure(figure, file)


def is_loss(metric: str) -> bool:
    """Return whether a metric belongs beside the training loss.

    >>> is_loss("eval_loss"), is_loss("eval_books_loss"), is_loss("eval_accuracy")
    (True, True, False)
    """
    return metric == "eval_loss" or metric.endswith("_loss")


def run_marks(run: LoggedRun) -> list[Mark]:
    """Return what happened in a run, by step: that of the records, and what the log of any other run tells."""
    found = marks(run.recorded)
    texts = {mark.text for mark in found}
    found += [mark for mark in _further_marks(run) if mark.text not in texts]
    return sorted(found, key=lambda mark: mark.step)


def _further_marks(run: LoggedRun) -> Iterator[Mark]:
    if run.warmup_steps is None and run.logged_warmup is not None:
        yield Mark(run.logged_warmup, "0.35", (1, 2), "warmup ends (as logged)")
    for number, step in enumerate(run.plateaus, start=1):
        yield Mark(step, "#d55e00", (1, 3), f"stall {number}, rate lowered")
    if run.averaging_start is not None:
        yield Mark(run.averaging_start, "#cc79a7", (4, 2), "averaging starts")
    best = run.best(run.monitor) if run.monitor else None
    if best and run.recorded.record is None:
        yield Mark(best.step, "#009e73", (6, 2), "best")
    if run.stop_step is not None:
        yield Mark(run.stop_step, "black", (6, 2, 1, 2), "stop")


def _all_metrics(runs: Sequence[LoggedRun]) -> list[str]:
    return list(dict.fromkeys(name for run in runs for name in run.metrics))


def _set_steps(axes: Any, runs: Sequence[LoggedRun]) -> None:
    last = max(1, *(run.steps for run in runs))
    axes.set_xlim(-_MARGIN * last, (1 + _MARGIN) * last)


def _draw_rates(axes: Any, runs: Sequence[LoggedRun], looks: Sequence[Look]) -> None:
    """Draw the rate of each update, and where only the log is known its rates, each up to the next one."""
    for run, own in zip(runs, looks, strict=True):
        groups = run.rate_lines
        several = len({line.name for line in groups}) > 1
        for index, line in enumerate(groups):
            style = _style(look(index)) if several and len(runs) == 1 else _style(own, only=len(runs) == 1)
            points = thinned(finite(line.points), _MOST_POINTS)
            if line.is_exact:
                axes.plot(*_columns(points), **style, linewidth=1.5, label=plain(line.name) if several else None)
            else:
                _draw_logged_rates(axes, points, style, first=index == 0 and len(runs) == 1)
        if several and len(runs) == 1:
            axes.legend(loc="best", fontsize="x-small", ncols=1 + len(groups) // 5)
    axes.set_ylabel("learning rate")
    tops = [rate for run in runs for line in run.rate_lines for _, rate in finite(line.points)]
    axes.set_ylim(bottom=0, top=1.06 * max(tops, default=0) or None)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:.3g}")  # a power of ten above would be in the way


def _draw_logged_rates(axes: Any, points: Sequence[Point], style: dict[str, Any], *, first: bool) -> None:
    label = "as logged; not known between" if first else None
    dotted = style | ({"linestyle": ":"} if first else {})
    axes.plot(*_columns(points), **dotted, linewidth=1.2, drawstyle="steps-post", label=label)
    if len(points) <= 100:
        axes.plot(*_columns(points[:-1]), color=style["color"], linestyle="none", marker="o", markersize=3)


def _draw_losses(axes: Any, runs: Sequence[LoggedRun], looks: Sequence[Look], metrics: Sequence[str]) -> None:
    values = []
    for run, own in zip(runs, looks, strict=True):
        good = finite(run.losses)
        values += [value for _, value in good]
        color = "0.55" if len(runs) == 1 else own.color
        name = "training loss" if len(runs) == 1 else "thin: training loss"
        label = name if run is runs[0] else None
        dashes = ":" if len(good) < 300 else "-"
        points = thinned(good, _MOST_POINTS)
        axes.plot(*_columns(points), color=color, linestyle=dashes, linewidth=1, alpha=0.75, label=label)
        _draw_odd(axes, run.losses, color)
    _draw_metrics(axes, runs, looks, metrics)
    values += [each.value for run in runs for name in metrics for each in run.evaluations(name)]
    _scale(axes, [value for _, value in finite([(0, value) for value in values])])
    axes.set_ylabel("loss")


def _draw_odd(axes: Any, points: Sequence[Point], color: str) -> None:
    """Draw a cross at the top of the panel for each value that is not finite."""
    good = {step for step, _ in finite(points)}
    odd = [step for step, _ in points if step not in good][:_MOST_POINTS]
    if odd:
        label = f"not finite ({len(points) - len(finite(points))})"
        style: dict[str, Any] = {"marker": "x", "linestyle": "none", "color": color, "markeredgewidth": 2}
        axes.plot(odd, [0.96] * len(odd), transform=axes.get_xaxis_transform(), **style, label=label)


def _draw_metrics(axes: Any, runs: Sequence[LoggedRun], looks: Sequence[Look], metrics: Sequence[str]) -> None:
    for run, own in zip(runs, looks, strict=True):
        for index, name in enumerate(metrics):
            points = [(each.step, each.value) for each in run.evaluations(name)]
            if not points:
                continue
            alone = len(runs) == 1
            style = _style(look(index)) if alone else _style(own)
            marker = _MARKERS[(look(index) if alone else own).marker]
            good = thinned(finite(points), _MOST_POINTS)
            label = _legend(name) if alone else None
            size = 4 if len(good) <= 60 else 0
            axes.plot(*_columns(good), **style, marker=marker, markersize=size, linewidth=1.5, label=label)
            _draw_odd(axes, points, style["color"])
            best = run.best(name)
            if best:
                found = f"best: {best.value:.4g} at step {best.step}" if alone and len(metrics) == 1 else None
                axes.plot([best.step], [best.value], color=style["color"], **_BEST, linestyle="none", label=found)


def _draw_events(axes: Sequence[Any], runs: Sequence[LoggedRun], looks: Sequence[Look]) -> None:
    """Mark what happened: by lines in all panels for one run, by marks on the rates for several."""
    if len(runs) == 1:
        found = run_marks(runs[0])
        for each in axes:
            draw_lines(each, found, max(runs[0].steps, 1))
        draw_labels(axes[0], found, _PANEL * _WIDTH * 72)
        return
    for run, own in zip(runs, looks, strict=True):
        points = sorted(point for line in run.rate_lines[:1] for point in finite(line.points))
        for mark in run_marks(run):
            marker = next((sign for text, sign in _EVENTS.items() if text in mark.text), None)
            rate = max((point for point in points if point[0] <= mark.step), default=None)
            if marker and rate:
                style = {"color": own.color, "markeredgecolor": "black", "markersize": 8, "zorder": 5}
                axes[0].plot([mark.step], [rate[1]], marker=marker, linestyle="none", **style)


def _finish(figure: Any, axes: Sequence[Any], runs: Sequence[LoggedRun], looks: Sequence[Look], title: str) -> None:
    for each in axes:
        each.grid(alpha=0.3)
        if each.get_legend_handles_labels()[0] and not each.get_legend():
            each.legend(loc="best", fontsize="small")
    figure.suptitle(plain(title))
    axes[-1].set_xlabel("optimizer step")
    if len(runs) == 1:
        ending = textwrap.wrap(shortened(visible(runs[0].end.sentence), 400), 100)
        figure.supxlabel("\n".join(map(plain, ending)), fontsize="small")
    if len(runs) > 1:
        _name_runs(figure, runs, looks)


def _name_runs(figure: Any, runs: Sequence[LoggedRun], looks: Sequence[Look]) -> None:
    """Write the names of the runs below the panels, and what the marks mean."""
    from matplotlib.lines import Line2D

    black: dict[str, Any] = {"color": "black", "linestyle": "none"}
    texts = {text for run in runs for text in _EVENTS if any(text in mark.text for mark in run_marks(run))}
    signs = [Line2D([], [], marker=sign, label=text, **black) for text, sign in _EVENTS.items() if text in texts]
    signs.append(Line2D([], [], marker="*", markersize=10, label="best", **black))
    lines = []
    for number, (run, own) in enumerate(zip(runs, looks, strict=True), start=1):
        label = plain(f"{number}  {shortened(visible(run.name), 90)} ({run.end.word})")
        lines.append(Line2D([], [], **_style(own), marker=_MARKERS[own.marker], markersize=4, label=label))
    figure.legend(handles=signs, loc="outside upper center", fontsize="x-small", ncols=6, frameon=False)
    figure.legend(handles=lines, loc="outside lower left", fontsize="x-small", frameon=False)


def _style(own: Look, *, only: bool = False) -> dict[str, Any]:
    return {"color": "black" if only else own.color, "linestyle": "-" if only else _DASHES[own.dash]}


def _columns(points: Sequence[Point]) -> tuple[list[float], list[float]]:
    return [step for step, _ in points], [value for _, value in points]


def _scale(axes: Any, values: Sequence[float]) -> None:
    """Take a logarithmic axis for losses of which some are far above the others."""
    ordered = sorted(values)
    if ordered and ordered[0] > 0 and ordered[-1] > _RANGE * ordered[len(ordered) // 2]:
        axes.set_yscale("log")


def _label(name: str) -> str:
    return plain(shortened(visible(name.removeprefix("eval_")), 16))


def _legend(name: str) -> str:
    return plain(shortened(visible(name), 50)) + " (validation)"
