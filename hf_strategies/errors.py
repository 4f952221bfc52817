"""How a user's mistake is told: one line with the argument, its value and the remedy."""

from collections.abc import Iterable
from difflib import get_close_matches

__all__ = ["StrategyError", "did_you_mean"]


class StrategyError(ValueError):
    """A mistake in what the user asked for; commands print it on one line and exit with code 2."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Name the near matches of a mistyped name, or all that is known when that is short, as a remedy.

    >>> did_you_mean("cosin", ["cosine", "linear"])
    "did you mean 'cosine'?"
    >>> did_you_mean("xyz", ["cosine", "linear"])
    "known: 'cosine', 'linear'"
    >>> did_you_mean("xyz", [])
    'none is known'
    """
    names = sorted(known)
    close = get_close_matches(name, names, n=3, cutoff=0.6)
    if close:
        return f"did you mean {' or '.join(map(repr, close))}?"
    if not names:
        return "none is known"
    shown = ", ".join(map(repr, names[:12]))
    return f"known: {shown}" + (f" and {len(names) - 12} more" if len(names) > 12 else "")
