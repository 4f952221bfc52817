"""The tagging data that needs no network: which words of a sentence of documentation are code?

The words that stand in back-ticks, or in a role such as ``:class:``, are tagged B-CODE and I-CODE; the marks
themselves are gone.
"""

import re

from hf_strategies.finetune.offline.docstrings import stable_rank
from hf_strategies.finetune.offline.prose import paragraphs_of, split_sentences, strip_markup
from hf_strategies.finetune.offline.task import OfflineTask

__all__ = ["CODE_WORDS", "tagged_sentences"]

MIN_WORDS, MAX_WORDS = 6, 40
_MOST_CODE = 0.5
_PLAIN_SENTENCES = 3  # of as many without code, one is kept

# Where code begins and ends; no text has these characters.
_BEGIN, _END = "\x02", "\x03"

_ROLES = r"(?:[\w.+-]+:)?(?:class|func|meth|mod|attr|exc|obj|data|const|code|param|any|py)"
_CODE = (
    (re.compile(rf":{_ROLES}:`~[^`<]*?(\w+)`"), rf"{_BEGIN}\1{_END}"),  # :class:`~a.b.C` is shown as C
    (re.compile(rf":{_ROLES}:`!?([^`<]+?)`"), rf"{_BEGIN}\1{_END}"),
    (re.compile(r"\[`[~!]?([^`<]+)`\](?:\([^)]*\))?"), rf"{_BEGIN}\1{_END}"),  # [`x`] and [`x`](url)
    (re.compile(r"(?<![`:\w])``([^`<]+)``(?![`\w])"), rf"{_BEGIN}\1{_END}"),
    (re.compile(r"(?<![`:\w])`([^`<]+)`(?![`\w])"), rf"{_BEGIN}\1{_END}"),
)
_WORD = re.compile(r"\w+(?:[.'\u2019-]\w+)*|[^\w\s]")
# Formulas, addresses and code that nobody marked, outside of what is marked.
_NOT_PROSE = re.compile(r"[\x02\x03{}|\\<>^~$#@`*\u2022\u2192=_]|\.\.\.|://|www\.|[A-Za-z]\(|\S/\S+/|[^\x00-\x7f]{3}")


def tagged_sentences(docstring: str) -> list[dict[str, list[str]]]:
    """Return the sentences of a docstring as ``tokens`` and ``tags``: B-CODE, I-CODE and O.

    A sentence has 6 to 40 words, punctuation counted, of which at most half are code; of those without code every
    third is kept, and none of a docstring that marks no code. Nothing is raised.

    >>> tagged_sentences("Return the number that ``np.size`` has for this axis.")[0]["tags"]
    ['O', 'O', 'O', 'O', 'B-CODE', 'O', 'O', 'O', 'O', 'O']
    """
    texts = [
        text for paragraph in paragraphs_of(docstring) for text in split_sentences(strip_markup(_marked(paragraph)))
    ]
    if not any(_BEGIN in text for text in texts):
        return []
    rows = [_tagged(text) for text in texts if _is_wanted(text)]
    return [row for row in rows if _has_shares(row["tags"])]


CODE_WORDS = OfflineTask(
    name="code-words",
    title="code in documentation (offline default)",
    version=1,
    rows=lambda docstring: tagged_sentences(docstring.text),
    per_library=1500,
)
"""Sentences of documentation with the words in them that are code."""


def _marked(text: str) -> str:
    for pattern, replacement in _CODE:
        text = pattern.sub(replacement, text)
    return text


def _is_wanted(text: str) -> bool:
    plain = re.sub(f"{_BEGIN}[^{_END}]*{_END}", "Code", text)
    if not plain or not plain[0].isupper() or plain[-1] not in ".!?" or plain.count("(") != plain.count(")"):
        return False
    if "\\" in text or _NOT_PROSE.search(plain):
        return False
    return _BEGIN in text or int(stable_rank("plain", text), 16) % _PLAIN_SENTENCES == 0


def _tagged(text: str) -> dict[str, list[str]]:
    """Part the words of a sentence and tag them, the marks taken away.

    >>> _tagged("Use \x02f(x)\x03, or not.")["tags"]
    ['O', 'B-CODE', 'I-CODE', 'I-CODE', 'I-CODE', 'O', 'O', 'O', 'O']
    """
    clean, span_at = "", []
    span = number = 0
    for piece in re.split(f"([{_BEGIN}{_END}])", text):
        if piece == _BEGIN:
            span = number = number + 1
        elif piece == _END:
            span = 0
        else:
            clean += piece
            span_at += [span] * len(piece)
    words = list(_WORD.finditer(clean))
    spans = [span_at[word.start()] for word in words]
    tags = [
        "O" if not span else "I-CODE" if span == before else "B-CODE"
        for span, before in zip(spans, [0, *spans], strict=False)
    ]
    return {"tokens": [word[0] for word in words], "tags": tags}


def _has_shares(tags: list[str]) -> bool:
    code = sum(tag != "O" for tag in tags)
    return MIN_WORDS <= len(tags) <= MAX_WORDS and code <= _MOST_CODE * len(tags)
