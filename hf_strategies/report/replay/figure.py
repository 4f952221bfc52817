"""The figure of a replay: the metric with the stops above; below, steps saved against the value kept."""

import os
from collections.abc import Iterable, Sequence
from typing import Any

from hf_strategies.report.figure_file import checked_path, new_figure, plain, save_figure
from hf_strategies.report.replay.report import ReplayReport
from hf_strategies.stopping.history import Evaluation
from hf_strategies.stopping.replay.runs import Outcome
from hf_strategies.stopping.replay.summary import Summary

__all__ = ["draw_replay"]

# Curves differ by their dashes, and the marks of stop, kept and suggested by their shape, so that the figure can be
# read in greyscale.
_DASHES: tuple[Any, ...] = ("-", (0, (6, 2)), (0, (1.2, 1.4)), (0, (7, 2, 1.5, 2)), (0, (3, 1.5)), (0, (10, 3)))
_STOP: dict[str, Any] = {"marker": "v", "s": 70, "color": "black", "zorder": 4}
_KEPT: dict[str, Any] = {
    "marker": "o",
    "s": 110,
    "facecolors": "none",
    "edgecolors": "#d55e00",
    "linewidths": 2,
    "zorder": 5,
}
_POINT: dict[str, Any] = {"color": "0.35", "markerfacecolor": "white"}
_MOST_LABELS = 4  # More labels at one point are shortened to the first and the last.


def draw_replay(report: ReplayReport, path: str | os.PathLike[str]) -> None:
    """Draw a replay into a PNG, SVG or PDF file; the suffix of ``path`` selects the format.

    The upper panel has the watched metric over the optimizer steps. For one run, it marks the stop of each
    setting; for several runs, the stop of the suggested setting. The lower panel has a point for each setting:
    the share of steps saved, against the value kept (one run) or against the mean share of the gain given up,
    with its standard error (several runs).

    Raises `StrategyError` for a path that cannot be written to, and when matplotlib is not installed.
    """
    file = checked_path(path)
    figure = new_figure(8, 8)
    curves, trade = figure.subplots(2, 1, height_ratios=(3, 2))
    alone = len(report.runs) == 1
    (_draw_one_run if alone else _draw_runs)(curves, report)
    _draw_trade(trade, report, alone)
    for axes in (curves, trade):
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(loc="best", fontsize=8)
    save_figure(figure, file)


def _draw_one_run(axes: Any, report: ReplayReport) -> None:
    _draw_curve(axes, report.outcomes[0], "-", report.runs[0].name)
    stops: dict[tuple[float, float], list[str]] = {}
    for label, outcome in zip(report.labels, report.outcomes, strict=True):
        if outcome.stop:
            stops.setdefault((outcome.stop.step, outcome.stop.value), []).append(label)
    _mark(axes, [outcome.kept for outcome in report.outcomes], _KEPT, "kept: the best up to a stop")
    _mark(axes, [outcome.stop for outcome in report.outcomes], _STOP, f"stop, with its {report.label_name}")
    _write_labels(axes, stops)
    _frame(axes, report)
    # Entries of the legend without a mark, for the settings that have no stop in the panel.
    for title, shown in (("ran on", [each.ran_on for each in report.outcomes]), ("no stop", _unstopped(report))):
        labels = [label for label, is_shown in zip(report.labels, shown, strict=True) if is_shown]
        if labels:
            axes.plot([], [], " ", label=plain(f"{title}: {report.label_name} {_shortened(labels)}"))


def _unstopped(report: ReplayReport) -> list[bool]:
    return [outcome.stop is None and not outcome.ran_on for outcome in report.outcomes]


def _draw_runs(axes: Any, report: ReplayReport) -> None:
    many = len(report.runs) > len(_DASHES)
    suggested: list[Outcome] = []
    for index, run in enumerate(report.runs):
        outcomes = report.of_run(run)
        label = (f"{len(report.runs)} runs" if index == 0 else None) if many else run.name
        _draw_curve(axes, outcomes[0], None if many else _DASHES[index], label)
        if report.suggestion:
            suggested += [each for each in outcomes if each.setting is report.suggestion.summary.setting]
    if report.suggestion:
        _mark(axes, [each.kept for each in suggested], _KEPT, "kept under the suggested setting")
        _mark(axes, [each.stop for each in suggested], _STOP, f"its stop: {report.suggestion.summary.setting}")
    _frame(axes, report)


def _draw_curve(axes: Any, outcome: Outcome, dashes: Any, label: str | None) -> None:
    points = [(each.step, each.value) for each in outcome.judgement.history]
    color = "0.35" if dashes == "-" else "#0072b2"
    style = {"color": color, "marker": ".", "linewidth": 1.5} if dashes else {"color": "0.65", "linewidth": 1.0}
    shown = None if label is None else plain(label)
    axes.plot(*zip(*points, strict=True), linestyle=dashes or "-", label=shown, **style)


def _mark(axes: Any, evaluations: Iterable[Evaluation | None], style: dict[str, Any], label: str) -> None:
    points = sorted({(each.step, each.value) for each in evaluations if each})
    if points:
        axes.scatter(*zip(*points, strict=True), label=plain(label), **style)


def _frame(axes: Any, report: ReplayReport) -> None:
    """Set the labels, the title and the limits of the upper panel."""
    axes.set_xlabel("optimizer step")
    axes.set_ylabel(plain(f"{report.monitor} ({report.better} is better)"))
    title = "".join(f"{name}={value}  " for name, value in report.shared.items()).strip()
    axes.set_title(plain(title), fontsize=9)
    axes.set_xlim(0, 1.03 * max(run.steps for run in report.runs))
    axes.margins(y=0.12)
    _cut(axes, report)


def _cut(axes: Any, report: ReplayReport) -> None:
    """Limit the y axis to about the values between the first and the best, in case the metric diverged later."""
    ends = [
        (each.first, each.best_of_run.value)
        for each in report.outcomes
        if each.first is not None and each.best_of_run
    ]
    if not ends:
        return
    low, high = min(map(min, ends)), max(map(max, ends))
    room = (high - low) or abs(high) or 1.0
    bottom, top = axes.get_ylim()
    axes.set_ylim(max(bottom, low - 3 * room), min(top, high + 3 * room))


def _draw_trade(axes: Any, report: ReplayReport, alone: bool) -> None:
    """Draw the lower panel, the trade of steps saved for gain given up."""
    points: dict[tuple[float, float], list[str]] = {}
    for label, summary in zip(report.labels, report.summaries, strict=True):
        height = _height(summary, alone)
        if height is None:
            continue
        saved, shape = 100 * summary.saved, "s" if summary.ran_on else "o"
        points.setdefault((saved, height), []).append(label)
        bar = 100 * summary.given_up_error if summary.given_up_error and not alone else None
        axes.errorbar(saved, height, bar, fmt=shape, capsize=3, markersize=7, **_POINT)
    _write_labels(axes, points, beside=not alone)
    _draw_suggestion(axes, report, alone)
    axes.set_xlabel("optimizer steps saved, %" + ("" if alone else f", mean over {len(report.runs)} runs"))
    axes.set_ylabel(plain(f"{report.monitor} kept") if alone else "gain given up, % (bars: standard error)")
    axes.margins(0.08, 0.2)
    axes.plot([], [], "o", **_POINT, label=f"a setting, by its {report.label_name}")
    if any(summary.ran_on for summary in report.summaries):
        axes.plot([], [], "s", **_POINT, label="ran on in a run: counts as saving nothing")


def _height(summary: Summary, alone: bool) -> float | None:
    """Return what the y axis of the lower panel shows of a setting; None when no value of it was finite."""
    if alone or summary.given_up is None:
        return summary.kept
    return 100 * summary.given_up


def _draw_suggestion(axes: Any, report: ReplayReport, alone: bool) -> None:
    if report.suggestion is None:
        return
    summary = report.suggestion.summary
    height = _height(summary, alone)
    if height is not None:
        label = plain(f"suggested: {summary.setting}")
        axes.plot(100 * summary.saved, height, "*", color="#d55e00", markersize=15, zorder=5, label=label)


def _write_labels(axes: Any, labels: dict[tuple[float, float], list[str]], *, beside: bool = False) -> None:
    """Write labels above their points at two alternating heights or, clear of error bars, ``beside`` the points."""
    for index, (point, names) in enumerate(_merged(labels).items()):
        offset, place = ((8, 0), ("left", "center")) if beside else ((0, 9 + 10 * (index % 2)), ("center", "bottom"))
        text = plain(_shortened(names))
        axes.annotate(text, point, offset, textcoords="offset points", ha=place[0], va=place[1], fontsize=8)


def _merged(labels: dict[tuple[float, float], list[str]]) -> dict[tuple[float, float], list[str]]:
    """Merge points that are so close that their labels would touch: the first of them gets all their labels."""
    across, up = (_spread([point[axis] for point in labels]) for axis in (0, 1))
    merged: dict[tuple[float, float], list[str]] = {}
    for (x, y), names in sorted(labels.items()):
        near = [at for at in merged if abs(at[0] - x) <= across / 40 and abs(at[1] - y) <= up / 8]
        merged.setdefault(near[0] if near else (x, y), []).extend(names)
    return merged


def _spread(values: Sequence[float]) -> float:
    return max(values, default=0.0) - min(values, default=0.0)


def _shortened(labels: Sequence[str]) -> str:
    return ", ".join(labels) if len(labels) <= _MOST_LABELS else f"{labels[0]} … {labels[-1]}"
