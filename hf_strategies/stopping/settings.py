"""The settings of a stopping rule with their defaults and what they mean, each written once.

The flags of `StrategyArguments` and the options of ``hf-strategies replay`` take their help from here; the
constructors of the callbacks repeat the names and defaults for readers and type checkers, which a test compares.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hf_strategies.stopping.improvement import IMPROVEMENT_PARAMETERS

__all__ = ["RULE_SETTINGS", "Setting"]

_LENGTHS = "3 (evaluations), '500 steps', '2ep' or 0.1 (of the planned steps)"


@dataclass(frozen=True)
class Setting:
    """One setting: its default, and what it means, as the part of a sentence that begins a help text."""

    default: Any
    help: str


RULE_SETTINGS: Mapping[str, Setting] = {
    "monitor": Setting(
        "loss",
        "metric to watch, with or without 'eval_' in front, or an expression of several, such as"
        " 'mean(books_loss, web_loss)'",
    ),
    "mode": Setting(None, "'min' or 'max', needed when the metric's direction is not known from its name"),
    "patience": Setting(None, f"length without an improvement: {_LENGTHS}"),
    "stop_when": Setting(
        None,
        "criteria in place of the patience, joined by 'or' and 'and', such as 'patience(5) or target(0.95) or"
        " divergence(factor=3)'; 'hf-strategies criteria' lists them",
    ),
    "baseline": Setting(None, "an improvement ends the wait only if it beats this value too"),
    "smoothing": Setting(None, "judge the metric smoothed: 'ema(0.3)', 'median(3)' or 'mean(3)'"),
    "start_from": Setting(0, f"ignore the evaluations before: {_LENGTHS}"),
    **{name: Setting(row.default, row.help) for name, row in IMPROVEMENT_PARAMETERS.items()},
}
"""The settings that `StoppingRule.read` takes, by name."""
