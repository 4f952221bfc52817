"""Criteria that hold when training has used up a budget of time, floating-point operations or tokens.

At an evaluation where the use was not recorded, such as one before the run was resumed with a callback that records
it, no criterion here holds.
"""

from collections.abc import Callable

from hf_strategies.stopping.criteria.patience import Reasons
from hf_strategies.stopping.history import Series

__all__ = ["flop_budget", "time_budget", "token_budget"]


def time_budget(series: Series, *, limit: float) -> Reasons:
    """Training has taken ``limit`` seconds of wall time, evaluations and earlier parts of a resumed run included."""
    return _spent(series, "seconds", limit, lambda used: f"training has taken {used:.0f} of {limit:.0f} seconds")


def flop_budget(series: Series, *, limit: float) -> Reasons:
    """Training has made ``limit`` floating-point operations, as the Trainer estimates them (`total_flos`)."""
    return _spent(series, "flos", limit, lambda used: f"training has made {used:.3g} of {limit:.3g} operations")


def token_budget(series: Series, *, limit: float) -> Reasons:
    """Training has seen ``limit`` tokens (`include_num_input_tokens_seen`)."""
    return _spent(series, "tokens", limit, lambda used: f"training has seen {used:.0f} of {limit:.0f} tokens")


def _spent(series: Series, resource: str, limit: float, reason: Callable[[float], str]) -> Reasons:
    amounts = [getattr(evaluation, resource) for evaluation in series.evaluations]
    return [None if used is None or used < limit else reason(used) for used in amounts]
