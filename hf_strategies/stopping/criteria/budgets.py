"""Criteria that hold when training has used up a budget of time, floating-point operations or tokens.

At an evaluation where the use was not recorded, such as one before the run was resumed with a callback that records
it, no criterion here holds.
"""

from collections.abc import Callable

from hf_strategies.stopping.criteria.reasons import Entries, one_by_one
from hf_strategies.stopping.history import Stream

__all__ = ["flop_budget", "time_budget", "token_budget"]


@one_by_one
def time_budget(series: Stream, *, limit: float) -> Entries:
    """Training has taken ``limit`` seconds of wall time, evaluations and earlier parts of a resumed run included."""
    return _spent(series, "seconds", limit, lambda used: f"training has taken {used:.0f} of {limit:.0f} seconds")


@one_by_one
def flop_budget(series: Stream, *, limit: float) -> Entries:
    """Training has made ``limit`` floating-point operations, as the Trainer estimates them (`total_flos`)."""
    return _spent(series, "flos", limit, lambda used: f"training has made {used:.3g} of {limit:.3g} operations")


@one_by_one
def token_budget(series: Stream, *, limit: float) -> Entries:
    """Training has seen ``limit`` tokens (`include_num_input_tokens_seen`)."""
    return _spent(series, "tokens", limit, lambda used: f"training has seen {used:.0f} of {limit:.0f} tokens")


def _spent(series: Stream, resource: str, limit: float, reason: Callable[[float], str]) -> Entries:
    for evaluation in series:
        used = getattr(evaluation, resource)
        yield None if used is None or used < limit else reason(used)
