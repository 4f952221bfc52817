"""The figure of the benchmark of strategies: what a way of training costs, and how good it is."""

from collections.abc import Mapping
from math import ceil
from pathlib import Path
from typing import Any

from benchmarks.strategies.strategies import BUDGETS, STRATEGIES, SWEEPS
from benchmarks.strategies.table import Ways, summary
from benchmarks.strategies.tasks import TASKS

MARKS = "sD^v<>PXdh*"
DEPTH = 25  # points below the best that are shown


def draw(everything: Mapping[str, Ways], path: Path) -> None:
    """Draw a panel for each task: optimizer steps of all its runs (log) against the test metric."""
    from matplotlib.figure import Figure

    rows = ceil(len(everything) / 2)
    figure = Figure(figsize=(13, 4.2 * rows), layout="constrained")
    panels = figure.subplots(rows, 2, squeeze=False).flatten()
    for axes, (name, ways) in zip(panels, everything.items(), strict=False):
        _panel(axes, ways)
        task = TASKS[name]
        axes.set_title(f"{name} (to {task.role} on)")
        axes.set_xlabel("optimizer steps of all runs it is chosen from")
        axes.set_ylabel(f"test {task.metric}, points")
    for axes in panels[len(everything) :]:
        axes.set_axis_off()
    labels: dict[str, Any] = {}
    for axes in figure.axes:
        handles, names = axes.get_legend_handles_labels()
        labels |= dict(zip(names, handles, strict=True))
    figure.legend(list(labels.values()), list(labels), loc="outside lower center", ncols=4)
    figure.savefig(path, dpi=110)


def _panel(axes: Any, ways: Ways) -> None:
    from matplotlib.ticker import LogLocator, NullFormatter, ScalarFormatter

    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(ScalarFormatter())
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.grid(alpha=0.3)
    for sweep, dashes in zip(SWEEPS, ("-", ":"), strict=True):
        _budgets(axes, ways, sweep, dashes)
    singles = [name for name, row in STRATEGIES.items() if not row.is_swept]
    wholes = [f"{sweep} sweep{weights}" for sweep in SWEEPS for weights in ("", ", best weights")]
    for index, name in enumerate([*wholes, *singles]):
        if name in ways:
            value, spread, _, cost = summary(ways[name].values())
            color = "black" if name in wholes else f"C{index % 10}"
            hollow = {"markerfacecolor": "white"} if name.endswith("best weights") else {}
            axes.errorbar(
                cost, value, spread, fmt=MARKS[index % len(MARKS)], color=color, capsize=3, label=name, **hollow
            )

    # The shortest budgets may have learned next to nothing; the figure is for the others.
    top = max(summary(choices.values())[0] for choices in ways.values())
    axes.set_ylim(bottom=max(axes.get_ylim()[0], top - DEPTH))


def _budgets(axes: Any, ways: Ways, sweep: str, dashes: str) -> None:
    points = [(epochs, ways[name]) for epochs in BUDGETS if (name := f"{sweep}_{epochs}") in ways]
    if not points:
        return
    values = [summary(choices.values()) for _, choices in points]
    costs = [value[3] for value in values]
    axes.plot(costs, [v[0] for v in values], f"o{dashes}", color="0.5", markersize=4, label=f"{sweep}, by budget")
    for (epochs, _), value in zip(points, values, strict=True):
        axes.annotate(
            str(epochs), (value[3], value[0]), fontsize=8, textcoords="offset points", xytext=(4, -9), clip_on=True
        )
