"""The figure of a comparison: each strategy's seeds and mean, and the paired differences with their intervals."""

import os
import textwrap
from typing import Any

from hf_strategies.comparison.summary import Comparison
from hf_strategies.errors import visible
from hf_strategies.report.figure_file import checked_path, new_figure, plain, save_figure
from hf_strategies.report.run.looks import look, shortened

__all__ = ["draw_comparison"]

_NAME = 28
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "p", "h")


def draw_comparison(comparison: Comparison, path: str | os.PathLike[str]) -> None:
    """Draw a comparison into a PNG, SVG or PDF file; the suffix of ``path`` selects the format. Needs matplotlib.

    At the left a dot for each seed, lines between the dots of a seed, and a bar at each mean; at the right the paired
    differences, each with its interval. Strategies differ by marks as well as by colour.
    """
    file = checked_path(path)
    count = len(comparison.strategies)
    figure = new_figure(9.0, 2.6 + 0.55 * count)
    left, right = figure.subplots(1, 2, sharey=True)
    places = {strategy.name: count - 1 - place for place, strategy in enumerate(comparison.strategies)}
    _draw_seeds(left, comparison, places)
    _draw_differences(right, comparison, places)
    left.set_yticks(list(places.values()), [plain(shortened(visible(name), _NAME)) for name in places])
    left.set_ylim(-0.6, count - 0.4)
    for axes in (left, right):
        axes.grid(axis="x", alpha=0.3)
    lines = [part for each in comparison.challengers for part in textwrap.wrap(visible(each.sentence), 120)]
    figure.supxlabel("\n".join(map(plain, lines[:8])), fontsize="small")
    save_figure(figure, file)


def _draw_seeds(axes: Any, comparison: Comparison, places: dict[str, int]) -> None:
    scale = comparison.scale
    by_seed: dict[int, list[tuple[float, int]]] = {}
    for index, strategy in enumerate(comparison.strategies):
        place = places[strategy.name]
        for seed, value in zip(strategy.seeds, strategy.values, strict=True):
            by_seed.setdefault(seed, []).append((scale * value, place))
        style: dict[str, Any] = {"marker": _MARKERS[index % len(_MARKERS)], "color": look(index).color}
        axes.plot([scale * v for v in strategy.values], [place] * len(strategy.values), linestyle="none", **style)
        axes.plot([scale * strategy.mean] * 2, [place - 0.28, place + 0.28], color="black", linewidth=2.5)
    for points in by_seed.values():
        axes.plot(*zip(*points, strict=True), color="0.75", linewidth=0.8, zorder=0)
    unit = f", {comparison.unit}" if comparison.unit else ""
    axes.set_xlabel(plain(f"{shortened(visible(comparison.metric), _NAME)}{unit} (bar: mean)"))


def _draw_differences(axes: Any, comparison: Comparison, places: dict[str, int]) -> None:
    scale = comparison.scale
    axes.axvline(0, color="0.3", linewidth=1)
    for index, each in enumerate(comparison.challengers, start=1):
        found, place = each.difference, places[each.name]
        style: dict[str, Any] = {"fmt": _MARKERS[index % len(_MARKERS)], "color": look(index).color, "capsize": 4}
        if found.low is None or found.high is None:
            axes.plot([scale * found.mean], [place], marker=style["fmt"], color=style["color"])
            continue
        bars = [[scale * (found.mean - found.low)], [scale * (found.high - found.mean)]]
        axes.errorbar([scale * found.mean], [place], xerr=bars, linewidth=1.8, **style)
    first = shortened(visible(comparison.strategies[0].name), _NAME)
    axes.set_xlabel(plain(f"better than {first} by (95 % interval)"))
