"""The settings of a stopping rule: the default and the help text of each, in one place.

The flags of `StrategyArguments` and the options of ``hf-strategies replay`` take their help from here. The
constructors of the callbacks repeat the names and the defaults, for readers and type checkers; a test compares them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hf_strategies.stopping.improvement import IMPROVEMENT_PARAMETERS

__all__ = ["RULE_SETTINGS", "RuleSetting"]

_LENGTHS = "3 (evaluations), '500 steps', '2ep' or 0.1 (of the planned steps)"


@dataclass(frozen=True)
class RuleSetting:
    """The default of one setting, and its help text, which begins in lower case."""

    default: Any
    help: str


RULE_SETTINGS: Mapping[str, RuleSetting] = {
    "monitor": RuleSetting(
        "loss",
        "metric to watch, with or without 'eval_' in front, or an expression of several, such as"
        " 'mean(books_loss, web_loss)'",
    ),
    "mode": RuleSetting(None, "'min' or 'max', needed when the metric's direction is not known from its name"),
    "patience": RuleSetting(None, f"length without an improvement: {_LENGTHS}"),
    "stop_when": RuleSetting(
        None,
        "criteria in place of the patience, joined by 'or' and 'and', such as 'patience(5) or target(0.95) or"
        " divergence(factor=3)'; 'hf-strategies criteria' lists them",
    ),
    "baseline": RuleSetting(None, "an improvement ends the wait only if it beats this value too"),
    "smoothing": RuleSetting(None, "judge the metric smoothed: 'ema(0.3)', 'median(3)' or 'mean(3)'"),
    "start_from": RuleSetting(0, f"ignore the evaluations before: {_LENGTHS}"),
    **{name: RuleSetting(row.default, row.help) for name, row in IMPROVEMENT_PARAMETERS.items()},
}
"""The settings of `StoppingRule.read` by their names."""
