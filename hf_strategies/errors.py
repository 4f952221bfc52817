"""The error for a user's mistake; its message is one line with the argument, its value and the remedy."""

from collections.abc import Iterable
from difflib import get_close_matches

__all__ = ["StrategyError", "did_you_mean"]


class StrategyError(ValueError):
    """A mistake in the user's input; commands print its message on one line and exit with code 2."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return the remedy for an unknown name: the known names most like it or, without any, the first twelve of all.

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
