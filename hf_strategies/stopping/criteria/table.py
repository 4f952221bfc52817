"""The table of the stop criteria, with one row for each."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hf_strategies.stopping.criteria.budgets import flop_budget, time_budget, token_budget
from hf_strategies.stopping.criteria.overfitting import (
    generalisation_gap,
    generalisation_loss,
    progress_quotient,
    successive_increases,
)
from hf_strategies.stopping.criteria.patience import divergence, growing_patience, patience, target
from hf_strategies.stopping.criteria.reasons import Reasons
from hf_strategies.stopping.parameters import Amount, Count, Duration, Number, Parameter

__all__ = ["CRITERIA", "Criterion", "Golden"]


@dataclass(frozen=True)
class Golden:
    """An example worked out by hand: the values of a metric, and where a criterion stops and what is best there.

    ``settings`` are the criterion's parameters, and ``columns`` further attributes of the evaluations. An index of
    None stands for no stop, or no best evaluation.
    """

    values: Sequence[float]
    settings: Mapping[str, Any]
    stop_index: int | None
    best_index: int | None
    mode: str = "min"
    columns: Mapping[str, Sequence[float]] = field(default_factory=dict)


@dataclass(frozen=True)
class Criterion:
    """One row of the table: a criterion with its name, its parameters, a summary of one line and its source.

    ``function`` takes a `Series` and the parameters by name, and with ``takes_improvement`` also ``improvement``. It
    returns `Reasons`; `reasons.entries` takes one evaluation after the other. With ``needs_train_loss``, training has
    to log its loss before each evaluation. A budget names its ``resource`` ("seconds", "flos" or "tokens"), and its
    parameter ``limit`` is the amount of it: training evaluates as soon as that amount is used up. A criterion with
    ``safety`` ends a run for good and not because the metric has stalled; such a criterion may be used beside a
    callback that cools down at a plateau.
    """

    name: str
    function: Callable[..., Reasons]
    parameters: Mapping[str, Parameter]
    summary: str
    source: str
    takes_improvement: bool = False
    needs_train_loss: bool = False
    resource: str | None = None
    safety: bool = False
    golden: Golden | None = None


_LIMIT = "of which no more is spent once it is reached"

_ROWS = [
    Criterion(
        "patience",
        patience,
        {
            "patience": Duration(3, "evaluations, '500 steps', '2ep' or a fraction of training without improvement"),
            "baseline": Number(None, "an improvement ends the wait only if it beats this too"),
        },
        "no improvement for so long",
        "Keras EarlyStopping",
        takes_improvement=True,
        golden=Golden([1.0, 0.8, 0.9, 0.85, 0.7], {"patience": 2}, 3, 1),
    ),
    Criterion(
        "growing_patience",
        growing_patience,
        {
            "factor": Number(0.3, "evaluations of patience for each one up to the best", low=0),
            "offset": Count(10, "evaluations of patience from the beginning", low=1),
        },
        "no improvement for longer than factor * (number of the best evaluation) + offset",
        "AutoGluon, adaptive early stopping",
        takes_improvement=True,
        # best is number 4: 0.5 * 4 + 1 = 3 evaluations are allowed
        golden=Golden([5.0, 4.0, 3.0, 2.0, 2.5, 2.4, 2.3, 1.0], {"factor": 0.5, "offset": 1}, 6, 3),
    ),
    Criterion(
        "generalisation_loss",
        generalisation_loss,
        {"alpha": Number(5.0, "percent worse than the best so far", low=0)},
        "GL: the metric is worse than its best by more than alpha percent",
        "Prechelt 1998",
        # 100 * (2.125 / 2 - 1) = 6.25 > 5
        golden=Golden([4.0, 2.0, 2.0625, 2.125], {"alpha": 5.0}, 3, 1),
    ),
    Criterion(
        "progress_quotient",
        progress_quotient,
        {
            "alpha": Number(0.5, "the quotient of generalisation loss and training progress", low=0),
            "strip": Count(5, "evaluations in a strip"),
        },
        "PQ: generalisation loss is high against the progress of the training loss",
        "Prechelt 1998",
        needs_train_loss=True,
        # at 4: GL = 25, P_2 = 1000 * (1.5 / 1 - 1) = 500, 0.05; at 6: GL = 50, P_2 = 1000 * (1.05 - 1) = 50, 1.0
        golden=Golden(
            [4.0, 2.0, 2.0, 2.5, 2.75, 3.0],
            {"alpha": 0.5, "strip": 2},
            5,
            1,
            columns={"train_loss": [5.0, 4.0, 2.0, 1.0, 1.1, 1.0]},
        ),
    ),
    Criterion(
        "successive_increases",
        successive_increases,
        {"count": Count(3, "strips in a row that got worse"), "strip": Count(5, "evaluations in a strip")},
        "UP: the metric got worse in so many strips in a row",
        "Prechelt 1998",
        # ends of the strips of 2: 2.0, 3.0 (worse), 2.9 (better), 3.0 (worse), 3.1 (worse)
        golden=Golden([1.0, 2.0, 9.0, 3.0, 0.5, 2.9, 0.0, 3.0, 0.0, 3.1], {"count": 2, "strip": 2}, 9, 6),
    ),
    Criterion(
        "target",
        target,
        {"value": Number(..., "the value that is good enough")},
        "the metric has reached a value",
        "Lightning EarlyStopping, stopping_threshold",
        safety=True,
        golden=Golden([0.5, 0.89, 0.9, 0.95], {"value": 0.9}, 2, 2, "max"),
    ),
    Criterion(
        "divergence",
        divergence,
        {
            "threshold": Number(None, "a value beyond which it has diverged"),
            "factor": Number(None, "how many times worse than the best so far", low=1),
        },
        "the metric is NaN, infinite, beyond a threshold or many times worse than its best",
        "Lightning EarlyStopping, check_finite and divergence_threshold",
        safety=True,
        golden=Golden([2.0, 1.0, 2.5, 3.5], {"factor": 3.0}, 3, 1),
    ),
    Criterion(
        "generalisation_gap",
        generalisation_gap,
        {
            "gap": Number(None, "by how much the metric may exceed the training loss", low=0),
            "ratio": Number(None, "how many times the training loss it may be", low=0),
        },
        "the validation loss has left the training loss behind",
        "this package",
        needs_train_loss=True,
        golden=Golden([1.0, 0.75, 0.75, 1.0], {"gap": 0.5}, 3, 1, columns={"train_loss": [1.0, 0.5, 0.25, 0.125]}),
    ),
    Criterion(
        "time_budget",
        time_budget,
        {"limit": Amount(..., f"seconds, or '90min', '2h', '1d', {_LIMIT}", clock=True)},
        "so much wall time has passed",
        "Lightning Timer",
        resource="seconds",
        safety=True,
        golden=Golden([3.0, 2.0, 1.0], {"limit": "1min"}, 1, 1, columns={"seconds": [30.0, 60.0, 90.0]}),
    ),
    Criterion(
        "flop_budget",
        flop_budget,
        {"limit": Amount(..., f"floating-point operations, {_LIMIT}")},
        "so many floating-point operations were made",
        "this package",
        resource="flos",
        safety=True,
        golden=Golden([3.0, 2.0, 1.0], {"limit": 2e12}, 2, 2, columns={"flos": [5e11, 1.5e12, 2.5e12]}),
    ),
    Criterion(
        "token_budget",
        token_budget,
        {"limit": Amount(..., f"tokens, {_LIMIT}")},
        "so many tokens were seen",
        "this package",
        resource="tokens",
        safety=True,
        golden=Golden([3.0, 2.0, 1.0], {"limit": 1000}, 1, 1, columns={"tokens": [600, 1200, 1800]}),
    ),
]

CRITERIA: dict[str, Criterion] = {row.name: row for row in _ROWS}
"""Every criterion by its name."""
