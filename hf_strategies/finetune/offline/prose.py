"""The plain English sentences of docstrings, without code, markup and lists of arguments.

`sentences_of` does all steps; `paragraphs_of`, `strip_markup` and `split_sentences` are the single steps, for tasks
that need the markup (names in back-ticks) or other sentences.
"""

import re
from collections.abc import Iterable, Iterator
from inspect import cleandoc

CLEANING_VERSION = 1
"""Version of the tasks that are made of these sentences: raise it whenever a change here changes the sentences."""

MIN_WORDS, MAX_WORDS = 6, 40
# With a smaller share of such words the "sentence" is code, a citation, a title or a list of names.
MIN_ALPHABETIC, MIN_LOWERCASE = 0.8, 0.5

_ARGUMENTS = (
    r"(?:(?:other|keyword|optional|extra|input|output|model|common)\s+)?"
    r"(?:parameters?|params|args|arguments?|kwargs|inputs?|returns?|outputs?|yields?|receives|raises|warns|"
    r"attributes|properties|methods|functions|classes|fields|members|shapes?|usage|see also|references?|"
    r"authors?|contents)"
)
_SECTION = re.compile(_ARGUMENTS + r"\s*:?", re.IGNORECASE)
_UNDERLINE = re.compile(r"([-=~^\"'#*+.])\1{2,}")
_TEXT_DIRECTIVE = re.compile(
    r"\.\.\s*(?:note|warning|tip|hint|important|caution|attention|admonition|deprecated|version\w+)\s*::"
)
# The first line of a block that is not running text; it is dropped with everything that is indented below it.
_ITEM = re.compile(
    rf"{_ARGUMENTS}\s*:$"  # Args:
    r"|(?:[-*+\u2022]|\(?\d+[.)]|\(?[a-z]\))\s"  # bullets and numbered lists
    r"|:[a-z]+[^:`]*:(?:\s|$)|@\w+"  # :param x: and @param x:
    r"|\.\.(?:\s|$)"  # directives, comments, footnotes
    r"|\*{0,2}`*\w+`*\*{0,2}\s*(?:\([^)]*\)\s*:|\s:\s|:\s+`)",  # x (`int`): and x : int
    re.IGNORECASE,
)

_MARKUP: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"(?::[\w.+-]+)+:`~[^`<]*?(\w+)`"), r"\1"),  # :class:`~a.b.C` is shown as C
    (re.compile(r"(?::[\w.+-]+)+:`!?([^`<]*?)(?:\s*<[^`>]*>)?`"), r"\1"),  # :ref:`words <target>`
    (re.compile(r"\[`~?!?([^`]*)`\](?:\([^)]*\))?"), r"\1"),  # [`x`] and [`x`](url)
    (re.compile(r"\[([^\]]+)\]\([^)\s]*\)"), r"\1"),  # [words](url)
    (re.compile(r"`{1,2}([^`<]+?)\s*<[^`>]*>`{1,2}_{0,2}"), r"\1"),  # `words <url>`_
    (re.compile(r"`{1,3}~?([^`]+)`{1,3}(?:_{1,2}(?!\w))?"), r"\1"),
    (re.compile(r"\s*\[[#\w*.+-]+\]_(?!\w)"), ""),  # citations
    (re.compile(r"(?<![\w*])\*{1,3}(\w(?:[^*]*[^\s*])?)\*{1,3}(?!\w)"), r"\1"),
    (re.compile(r"\\(?=[\s*_`'\"])\s?"), ""),  # rst escapes
    (re.compile(r"\s+"), " "),
)
_SENTENCE_END = re.compile(
    r"(?<=[.!?])(?<!\be\.g\.)(?<!\bi\.e\.)(?<!\bcf\.)(?<!\bvs\.)(?<!\bresp\.)(?<!\bal\.)(?<!\b[A-Z]\.)"
    r"(?<!\bFig\.)(?<!\bEq\.)(?<!\bNo\.)(?<!\bDr\.)(?<!\bSec\.)\s+(?=[\"'(]*[A-Z])"
)
# Symbols of code and of mathematics, URLs, paths, calls, other scripts; and endings where something was removed:
# "given in [1]_.", "for example, e.g.".
_NOT_ENGLISH = re.compile(
    r"[{}|\\<>^~$#@`*\u2022\u2192=]|\.\.\.|://|www\.|[A-Za-z]\(|__|\S/\S+/|[^\x00-\x7f]{3}"
    r"|\b(?:[ei]\.[ge]|cf|vs|in|by|on|from|see|of|and|to|with|for)[).]+$",
    re.IGNORECASE,
)


def sentences_of(docstring: str) -> list[str]:
    """Return the plain English sentences of a docstring, without markup, code or lists of arguments.

    A sentence has 6 to 40 words, most of them alphabetic, starts with a capital letter and ends with one of
    ``.!?``. A docstring without such sentences gives an empty list.

    >>> sentences_of('''Return the :class:`~a.Cat` that ``key`` names. Short one.
    ...
    ...     >>> get("x")
    ...
    ... Args:
    ...     key: The name under which the animal was registered.
    ... ''')
    ['Return the Cat that key names.']
    """
    sentences: list[str] = []
    for paragraph in paragraphs_of(docstring):
        sentences += [text for text in split_sentences(strip_markup(paragraph)) if _is_english_sentence(text)]
    return sentences


def split_sentences(text: str) -> list[str]:
    """Split running text into sentences, after each ``.!?`` that ends one.

    >>> split_sentences("It is fast, e.g. Here. And there?")
    ['It is fast, e.g. Here.', 'And there?']
    """
    return [sentence.strip() for sentence in _SENTENCE_END.split(text)]


def paragraphs_of(docstring: str) -> list[str]:
    """Return the running text of a docstring as one string per paragraph, markup left in.

    Gone are doctests, fenced and literal blocks, bulleted lists, headings and sections that describe
    arguments.

    >>> paragraphs_of("Load `x`\\nfrom disk.\\n\\nReturns\\n-------\\nx : int\\n    What was loaded.")
    ['Load `x` from disk.']
    """
    lines: Iterable[str] = cleandoc(docstring).splitlines()
    for drop in (_without_fences, _without_doctests, _without_sections, _without_blocks):
        lines = drop(lines)
    paragraphs: list[list[str]] = []
    last_indent: int | None = None
    for line in lines:
        indent = indent_of(line) if line.strip() else None
        if indent is not None and indent != last_indent:
            paragraphs.append([])
        if indent is not None:
            paragraphs[-1].append(line.strip())
        last_indent = indent
    return [" ".join(paragraph) for paragraph in paragraphs]


def strip_markup(text: str) -> str:
    """Return ``text`` without reStructuredText and Markdown markup, the marked words kept, on one line.

    >>> strip_markup("See **the** [`~Cat`], :ref:`its legs <legs>` and\\n`here <http://x.y>`_ [1]_.")
    'See the Cat, its legs and here.'
    """
    for pattern, replacement in _MARKUP:
        text = pattern.sub(replacement, text)
    return text.strip()


def indent_of(line: str) -> int:
    """Return the number of characters of white space at the start of a line."""
    return len(line) - len(line.lstrip())


def _without_fences(lines: Iterable[str]) -> Iterator[str]:
    inside = False
    for line in lines:
        is_fence = line.lstrip().startswith(("```", "~~~")) and "```" not in line.lstrip()[3:]
        inside ^= is_fence
        yield "" if inside or is_fence else line


def _without_doctests(lines: Iterable[str]) -> Iterator[str]:
    inside = False
    for line in lines:
        # The output of an example runs to the next blank line.
        inside = bool(line.strip()) and (inside or line.lstrip().startswith((">>>", "In [", "$ ", "% ")))
        yield "" if inside else line


def _without_sections(lines: Iterable[str]) -> Iterator[str]:
    """Drop underlined headings, and the text of sections that list arguments."""
    held, dropping = "", False
    for line in lines:
        if _UNDERLINE.fullmatch(line.strip()):
            dropping = _SECTION.fullmatch(held.strip()) is not None
            held = line = ""
        yield "" if dropping else held
        held = line
    yield "" if dropping else held


def _without_blocks(lines: Iterable[str]) -> Iterator[str]:
    """Drop list items, directives and literal blocks: the first line and everything that is indented below it."""
    opened_at: int | None = None
    for line in lines:
        stripped, indent = line.strip(), indent_of(line)
        if stripped and opened_at is not None and indent <= opened_at:
            opened_at = None
        if opened_at is not None or _TEXT_DIRECTIVE.match(stripped):
            yield ""
        elif _ITEM.match(stripped):
            opened_at = indent
            yield ""
        else:
            opened_at = indent if stripped.endswith("::") else None
            yield line


def _is_english_sentence(text: str) -> bool:
    words = text.split()
    if not MIN_WORDS <= len(words) <= MAX_WORDS or not text[0].isupper() or text[-1] not in ".!?":
        return False
    if _NOT_ENGLISH.search(text) or any(text.count(a) != text.count(b) for a, b in ("()", "[]")):
        return False
    bare = [re.sub("['\u2019-]", "", word.strip("\"'.,;:!?()")) for word in words]
    alphabetic = sum(word.isalpha() for word in bare)
    lowercase = sum(word[:1].islower() for word in bare)
    return alphabetic >= MIN_ALPHABETIC * len(words) and lowercase >= MIN_LOWERCASE * len(words)
