"""What a criterion returns, and the two forms that its function may have.

A criterion that is a generator function reads the evaluations one by one and yields an entry for each, so that a
further evaluation costs the same however many came before. A criterion that is a function of a whole `Series` is
called again with all evaluations whenever there is a further one, so that its cost grows with their number.
"""

import functools
from collections.abc import Callable, Iterator
from typing import Any

from hf_strategies.stopping.history import Series, Stream

__all__ = ["Entries", "Reasons", "entries", "one_by_one"]

Reasons = list[str | None]
"""What a criterion returns: for each evaluation None, or the reason to stop there."""

Entries = Iterator[str | None]
"""The same, each entry before the next evaluation is read."""


def one_by_one(function: Callable[..., Entries]) -> Callable[..., Reasons]:
    """Return a criterion that judges one evaluation after the other as a function that returns a list.

    The list has the entries for all evaluations. `entries` takes the criterion in its own form.
    """

    @functools.wraps(function)
    def listed(series: Stream, **parameters: Any) -> Reasons:
        return list(function(series, **parameters))

    listed.entries = function  # type: ignore[attr-defined]
    return listed


def entries(function: Callable[..., Reasons], series: Stream, **parameters: Any) -> Entries:
    """Return an iterator over the entries of a criterion; each is taken before the next evaluation is read."""
    own_form = getattr(function, "entries", None)
    return own_form(series, **parameters) if own_form else _entries_of_whole(function, series, parameters)


def _entries_of_whole(function: Callable[..., Reasons], series: Stream, parameters: dict[str, Any]) -> Entries:
    """Yield the entries of a function of a whole series; it judges all that have come since its last call at once."""
    judged: Reasons = []
    for index, _ in enumerate(series):
        if index == len(judged):
            judged = function(Series.of(series), **parameters)
        yield judged[index]
