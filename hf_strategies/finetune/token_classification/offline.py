"""The token-classification data that needs no network: which words of a sentence of documentation are code?

The words in back-ticks, or in a role such as ``:class:``, are tagged B-CODE and I-CODE; the markup itself is removed.
"""

import re

from hf_strategies.finetune.offline.docstrings import stable_rank
from hf_strategies.finetune.offline.prose import paragraphs_of, split_sentences, strip_markup
from hf_strategies.finetune.offline.task import OfflineTask

__all__ = ["CODE_WORDS", "tagged_sentences"]

MIN_WORDS, MAX_WORDS = 6, 40
_MAX_CODE_SHARE = 0.5
_PLAIN_SENTENCES = 3  # one of so many sentences without code is kept

# They mark where code begins and ends; no text contains these characters.
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
# Formulas, URLs and unmarked code, in the text outside of marked code.
_NOT_ENGLISH = re.compile(
    r"[\x02\x03{}|\\<>^~$#@`*\u2022\u2192=_]|\.\.\.|://|www\.|[A-Za-z]\(|\S/\S+/|[^\x00-\x7f]{3}"
)


def tagged_sentences(docstring: str) -> list[dict[str, list[str]]]:
    """Return the sentences of a docstring as ``tokens`` and ``tags``: B-CODE, I-CODE and O.

    A sentence has 6 to 40 tokens, words and punctuation, of which at most half are code. Every third sentence without
    code is kept too, but none of a docstring that has no code at all.

    >>> tagged_sentences("Return the number that ``np.size`` has for this axis.")[0]["tags"]
    ['O', 'O', 'O', 'O', 'B-CODE', 'O', 'O', 'O', 'O', 'O']
    """
    texts = [
        text for paragraph in paragraphs_of(docstring) for text in split_sentences(strip_markup(_marked(paragraph)))
    ]
    if not any(_BEGIN in text for text in texts):
        return []
    rows = [_tagged(text) for text in texts if _is_usable_sentence(text)]
    return [row for row in rows if _has_allowed_size(row["tags"])]


CODE_WORDS = OfflineTask(
    name="code-words",
    title="code in documentation (offline default)",
    version=1,
    rows=lambda docstring: tagged_sentences(docstring.text),
    per_library=1500,
)
"""Sentences of documentation; the words in them that are code are tagged."""


def _marked(text: str) -> str:
    for pattern, replacement in _CODE:
        text = pattern.sub(replacement, text)
    return text


def _is_usable_sentence(text: str) -> bool:
    plain = re.sub(f"{_BEGIN}[^{_END}]*{_END}", "Code", text)
    if not plain or not plain[0].isupper() or plain[-1] not in ".!?" or plain.count("(") != plain.count(")"):
        return False
    if "\\" in text or _NOT_ENGLISH.search(plain):
        return False
    return _BEGIN in text or int(stable_rank("plain", text), 16) % _PLAIN_SENTENCES == 0


def _tagged(text: str) -> dict[str, list[str]]:
    """Split a sentence into tokens and tag them; the marks of code are removed.

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


def _has_allowed_size(tags: list[str]) -> bool:
    code = sum(tag != "O" for tag in tags)
    return MIN_WORDS <= len(tags) <= MAX_WORDS and code <= _MAX_CODE_SHARE * len(tags)
