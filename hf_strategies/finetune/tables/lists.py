"""Lists that a table has to write as text: ``['a', 'b']``, ``["a", "b"]``, ``[1, 0]`` and numpy's ``['a' 'b']``.

Tuples and sets of texts count as lists.
"""

import ast
import re
from typing import Any

__all__ = ["parse_list"]

_STRING = r"'(?:[^'\\]|\\.)*'" + r'|"(?:[^"\\]|\\.)*"'
_PLAIN = rf"{_STRING}|[^\s,'\"\[\]()]+"
# numpy 2 writes its numbers and texts in a Python list as np.int64(1) and np.str_('a').
_ENTRY = re.compile(rf"np\.\w+\((?P<scalar>{_PLAIN})\)|(?P<plain>{_PLAIN})", re.DOTALL)
_BETWEEN = re.compile(r"\s*,\s*|\s+|")
_WORDS = {"true": True, "True": True, "false": False, "False": False, "null": None, "None": None, "nan": None}
_BRACKETS = {"[": "]", "(": ")", "{": "}"}


def parse_list(text: str) -> list[Any] | None:
    """Return the list of texts, numbers, truth values and None that ``text`` writes; None for any other text.

    The entries are separated by commas as Python and JSON write them, or by spaces as numpy does. NaN becomes None.
    Where the brackets are those of a tuple or a set, all entries have to be texts, for ``(1)`` is hardly a list.

    >>> parse_list("['warm', 'a, b']"), parse_list("['a' 'b']"), parse_list("[1. 0.]"), parse_list("[]")
    (['warm', 'a, b'], ['a', 'b'], [1.0, 0.0], [])
    >>> parse_list("plain"), parse_list("[warm, sad]"), parse_list("['a'] and more")
    (None, None, None)
    >>> parse_list("('a', 'b')"), parse_list("{'a'}"), parse_list("(1)"), parse_list("['a', nan]")
    (['a', 'b'], ['a'], None, ['a', None])
    """
    text = text.strip()
    if len(text) < 2 or _BRACKETS.get(text[0]) != text[-1]:
        return None
    inner = text[1:-1].strip()
    entries: list[Any] = []
    place = 0
    while place < len(inner):
        match = _ENTRY.match(inner, place)
        if match is None:
            return None
        try:
            entries.append(_value(match["scalar"] or match["plain"]))
        except (ValueError, SyntaxError):
            return None
        between = _BETWEEN.match(inner, match.end())
        place = between.end() if between else len(inner)
        if place == match.end() < len(inner):
            return None  # two entries with nothing between them
    are_texts = bool(entries) and all(isinstance(entry, str) for entry in entries)
    return entries if text[0] == "[" or are_texts else None


def _value(entry: str) -> Any:
    if entry in _WORDS:
        return _WORDS[entry]
    if entry[0] in "'\"":
        return ast.literal_eval(entry)
    return float(entry) if re.search("[.eEn]", entry) else int(entry)
