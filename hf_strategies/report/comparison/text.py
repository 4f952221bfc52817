"""A comparison as text and as data: a table of the strategies, their differences, and a sentence for each."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from hf_strategies.comparison.summary import Challenger, Comparison, Strategy
from hf_strategies.errors import visible
from hf_strategies.report.lines import aligned, fit
from hf_strategies.report.run.looks import shortened
from hf_strategies.report.run.summary import duration

__all__ = ["comparison_data", "comparison_text"]

_NAME = 40


def comparison_text(comparison: Comparison, width: int | None) -> str:
    """Return the table of a comparison, and below it a sentence for each strategy but the first."""
    challengers = {each.name: each for each in comparison.challengers}
    unit = f", {comparison.unit}" if comparison.unit else ""
    metric = shortened(visible(comparison.metric), _NAME)
    head = ["", f"{metric}{unit}", "s.e.", "seeds", "difference", "95 % interval", "wins", "steps", "time", "FLOPs"]
    rows = [head, *(_row(each, challengers.get(each.name), comparison) for each in comparison.strategies)]
    better = "higher is better" if comparison.greater_is_better else "lower is better; a difference below 0 is worse"
    names = {each.name: shortened(each.name, _NAME) for each in comparison.strategies}
    sentences = [_with_names(each.sentence, names) for each in comparison.challengers]
    return fit("\n".join([*aligned(rows, left=0, width=width), "", f"({better})", *sentences]), width)


def comparison_data(comparison: Comparison) -> dict[str, Any]:
    """Return a comparison for programs; values and differences are in the unit of the metric."""
    return asdict(comparison)


def _with_names(sentence: str, names: Mapping[str, str]) -> str:
    for name, short in sorted(names.items(), key=lambda each: -len(each[0])):
        if name != short:
            sentence = sentence.replace(name, short)
    return visible(sentence) + "."


def _row(strategy: Strategy, beside: Challenger | None, comparison: Comparison) -> list[str]:
    scale = comparison.scale
    error = "-" if strategy.error is None else f"{scale * strategy.error:.2f}"
    cells = [
        shortened(visible(strategy.name), _NAME),
        f"{scale * strategy.mean:.2f}",
        error,
        str(len(strategy.seeds)),
    ]
    if beside is None:
        cells += ["", "", ""]
    else:
        found = beside.difference
        known = found.low is not None and found.high is not None
        interval = f"[{scale * (found.low or 0):+.2f}, {scale * (found.high or 0):+.2f}]" if known else "-"
        interval += " (99.9 %)" if beside.raced else ""
        cells += [f"{scale * found.mean:+.2f}", interval, f"{100 * beside.wins:.0f} %"]
    return [*cells, f"{strategy.steps:.0f}", duration(strategy.seconds), f"{strategy.flops:.3g}"]
