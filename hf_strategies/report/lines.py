"""Text in lines of a given width: for a terminal of so many columns, and for a shell, which joins the lines again."""

import re
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

__all__ = ["aligned", "broken_literal", "fill", "fit", "shell_command"]

# A path or a name that is broken could not be copied.
_WHOLE_WORDS: Mapping[str, Any] = {"break_on_hyphens": False, "break_long_words": False}
_COLUMN = re.compile(r"\S {2,}(?=\S)")
_SHELL_WORD = re.compile(r"""(?:[^\s"']|"[^"]*"|'[^']*')+""")
_JSON = re.compile(r"(?:^|\s)'[{\[]")  # as `shlex.quote` writes it
# A part of a literal of JSON or Python, up to a comma that is in no string.
_ENTRY = re.compile(r"""(?:"(?:\\.|[^"\\])*"|[^",]|,(?! ))+(?:, |$)""")


def fit(text: str, width: int | None) -> str:
    """Break the lines of a text that are longer than ``width`` at spaces; None leaves them as they are.

    What follows is indented: to the last column of the line, if it has columns, which two spaces or more separate.

    >>> print(fit("name  what it is good for", 17))
    name  what it is
          good for
    """
    if width is None:
        return text
    return "\n".join(part for line in text.split("\n") for part in _fitted(line, width))


def _fitted(line: str, width: int) -> list[str]:
    if len(line) <= width:
        return [line]
    column = max((found.end() for found in _COLUMN.finditer(line)), default=width)
    if column > 0.6 * width:  # too little room would be left
        column = len(line) - len(line.lstrip()) + 2
    return textwrap.wrap(line, width, subsequent_indent=" " * column, **_WHOLE_WORDS)


def fill(text: str, width: int) -> str:
    """Break the paragraphs of a text anew, at ``width``; lines that are indented stay as they are.

    >>> print(fill("one\\ntwo\\n\\n  a formula\\n\\nthree", 20))
    one two
    <BLANKLINE>
      a formula
    <BLANKLINE>
    three
    """
    lines: list[str] = []
    for is_paragraph, group in groupby(text.strip("\n").split("\n"), key=lambda line: line[:1].strip() != ""):
        found = list(group)
        lines += textwrap.wrap(" ".join(found), width, **_WHOLE_WORDS) if is_paragraph else found
    return "\n".join(lines)


def shell_command(text: str, width: int | None, indent: str = "") -> str:
    """Break a command at its words, each line but the last with a backslash at its end, for a shell to join them.

    A flag stays on a line with its value. A value that is too long for a line is broken only if it is JSON.

    >>> print(shell_command("python run.py --name a --list 'b c'", 24))
    python run.py --name a \\
      --list 'b c'
    """
    if width is None or len(indent) + len(text) <= width:
        return indent + text
    lines = [indent]
    for unit in _units(_SHELL_WORD.findall(text)):
        gap = "" if lines[-1].endswith(" ") or not lines[-1] else " "
        if lines[-1].strip() and len(lines[-1]) + len(gap) + len(unit) + 2 > width:
            lines[-1] += " \\"
            lines.append(f"{indent}  ")
            gap = ""
        lines[-1] += gap + unit
    return "\n".join(broken_literal(line, width, f"{indent}    ") if _JSON.search(line) else line for line in lines)


def _units(words: Iterable[str]) -> Iterator[str]:
    """Yield the words, those of a flag and its one value together."""
    held = ""
    for word in words:
        if held and word.startswith("-"):
            yield held
            held = word
        elif held:
            yield f"{held} {word}"
            held = ""
        elif word.startswith("-"):
            held = word
        else:
            yield word
    if held:
        yield held


def broken_literal(text: str, width: int, indent: str) -> str:
    """Break a literal of JSON or Python that is longer than ``width`` after commas; its meaning is the same.

    >>> print(broken_literal('{"a, b": 1, "c": 2}', 12, " "))
    {"a, b": 1,
     "c": 2}
    """
    entries = _ENTRY.findall(text) if len(text) > width else []
    lines = [""]
    for entry in entries if "".join(entries) == text else [text]:  # a quote may have no partner
        if lines[-1].strip() and len(lines[-1]) + len(entry.rstrip()) > width:
            lines[-1] = lines[-1].rstrip()
            lines.append(indent)
        lines[-1] += entry
    return "\n".join(lines)


def aligned(rows: Sequence[Sequence[str]], *, left: int, width: int | None = None) -> list[str]:
    """Align the columns: ``left`` of them after the first to the left, all others to the right.

    Columns that do not fit into ``width`` follow below, after the first column once more.
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines: list[str] = []
    for part in _parts(widths, width):
        lines += [""] if lines else []
        for row in rows:
            cells = [_cell(row[index], widths[index], 1 <= index <= left) for index in part]
            lines.append("  ".join(cells).rstrip())
    return lines


def _cell(text: str, width: int, left: bool) -> str:
    return text.ljust(width) if left else text.rjust(width)


def _parts(widths: Sequence[int], width: int | None) -> list[list[int]]:
    """Return the columns of each part of a table, the first of which every part begins with."""
    parts = [[0]]
    for index in range(1, len(widths)):
        part = [*parts[-1], index]
        if width is not None and len(parts[-1]) > 1 and sum(widths[each] + 2 for each in part) - 2 > width:
            parts.append([0, index])
        else:
            parts[-1] = part
    return parts
