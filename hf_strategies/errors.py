"""What the user reads: the error for a mistake, with argument, value and remedy, and lines while a run goes on."""

import logging
import re
import sys
from collections.abc import Iterable
from difflib import get_close_matches

__all__ = ["HIDDEN", "StrategyError", "announce", "did_you_mean", "first_line", "short", "visible"]

# Control characters, among them the escape character of terminals; those that turn the direction of text around; line
# and paragraph separators; the byte order mark; halves of a surrogate pair, which no output can encode.
HIDDEN = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")
"""The characters that are never written out as they are."""

logger = logging.getLogger(__name__)

_LONGEST_MESSAGE = 1000
_LONGEST_VALUE = 200


class StrategyError(ValueError):
    """A mistake in the user's input; commands print its message on one line and exit with code 2.

    The message is kept to one line of bounded length in which control characters are escaped, because it may hold
    text of a file that nobody has looked at.

    >>> str(StrategyError("column 'a\\x1b[2J'\\n is empty"))
    "column 'a\\\\x1b[2J' is empty"
    """

    def __init__(self, message: object = "") -> None:
        super().__init__(short(visible(" ".join(str(message).split())), _LONGEST_MESSAGE))


def announce(line: str) -> None:
    """Log one line for the user; a progress bar that is on the terminal moves out of its way.

    The level is that of warnings, because a script that sets up no logging shows only those.
    """
    bars = sys.modules.get("tqdm")  # there is no bar before it is imported
    if bars is None:
        logger.warning(visible(line))
        return
    with bars.tqdm.external_write_mode(file=sys.stderr):
        logger.warning(visible(line))


def visible(text: object, *, keep: str = "") -> str:
    """Return a text with its control characters written as escapes, for whatever is printed, drawn or put on a card.

    A text from a file, such as a label, a column or the name of a metric, could otherwise clear the terminal, change
    its title, or show another text than it holds. ``keep`` are characters that stay, such as line ends.

    >>> print(visible("loss\\x1b[2J"))
    loss\\x1b[2J
    """
    return HIDDEN.sub(lambda found: found[0] if found[0] in keep else _escaped(found[0]), str(text))


def short(text: str, most: int = _LONGEST_VALUE) -> str:
    """Return a text of at most about ``most`` characters, its middle left out where it is longer.

    >>> short("a" * 5000, 10)
    'aaaaa...aaaaa'
    """
    half = most // 2
    return text if len(text) <= most + 3 else f"{text[:half]}...{text[-half:]}"


def first_line(mistake: BaseException) -> str:
    """Return the first line of an error's message without its final full stop; the error's type if it has no message.

    >>> first_line(ValueError("no such file.\\nCheck the name.")), first_line(KeyError())
    ('no such file', 'KeyError')
    """
    lines = str(mistake).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(mistake).__name__


def _escaped(character: str) -> str:
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return the remedy for an unknown name: the most similar known names, or the first twelve if none is similar.

    >>> did_you_mean("cosin", ["cosine", "linear"])
    "did you mean 'cosine'?"
    >>> did_you_mean("xyz", ["cosine", "linear"])
    "known: 'cosine', 'linear'"
    >>> did_you_mean("xyz", [])
    'none is known'
    """
    names = sorted(known)
    # Few names have capitals, and many users write some, as in "COSINE".
    close = get_close_matches(name, names, n=3, cutoff=0.6) or get_close_matches(name.lower(), names, n=3, cutoff=0.6)
    if close:
        return f"did you mean {' or '.join(map(repr, close))}?"
    if not names:
        return "none is known"
    shown = ", ".join(map(repr, names[:12]))
    return f"known: {shown}" + (f" and {len(names) - 12} more" if len(names) > 12 else "")
