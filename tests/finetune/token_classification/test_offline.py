"""The offline default: which words of documentation are code."""

import dataclasses
import re

import pytest

from hf_strategies.finetune.offline.task import load_offline
from hf_strategies.finetune.token_classification.offline import CODE_WORDS, tagged_sentences


def shown(docstring: str) -> list[str]:
    """Sentences with brackets around what is code."""
    sentences = []
    for row in tagged_sentences(docstring):
        text = ""
        for token, tag in zip(row["tokens"], row["tags"], strict=True):
            text += {"B": f"] [{token}", "I": f" {token}", "O": f"] {token}"}[tag[0]]
        sentences.append(
            re.sub(r"(\[[^]]*)\]|\]", lambda found: f"{found[1]}]" if found[1] else "", text + "]").strip()
        )
    return sentences


@pytest.mark.parametrize(
    ("docstring", "sentence"),
    [
        ("Return the number that ``np.size`` has here.", "Return the number that [np.size] has here ."),
        ("Return the number that `np.size` has here.", "Return the number that [np.size] has here ."),
        ("All that :class:`~a.b.Cat` and :py:meth:`purr` do.", "All that [Cat] and [purr] do ."),
        ("It holds a [`~a.Cat`](http://x.y) or [`Dog`] here.", "It holds a [a.Cat] or [Dog] here ."),
        ("Call it with ``f(x, 1)`` where this is wanted.", "Call it with [f ( x , 1 )] where this is wanted ."),
        ("Both ``left`` ``right`` are taken for it here.", "Both [left] [right] are taken for it here ."),
        (
            "See :ref:`the guide <guide>` for what **all** of ``x`` means.",
            "See the guide for what all of [x] means .",
        ),
        ("See `the paper <http://x.y>`_ on what all of ``x`` means.", "See the paper on what all of [x] means ."),
        (
            "A non-empty list, e.g. that of ``x``, is needed here.",
            "A non-empty list , e.g . that of [x] , is needed here .",
        ),
    ],
)
def test_what_is_marked_is_code_and_the_marks_are_gone(docstring: str, sentence: str) -> None:
    assert shown(docstring) == [sentence]


@pytest.mark.parametrize(
    "docstring",
    [
        "Return the number of all that is here.",  # nobody marks code in this docstring
        "Use ``x`` here.",  # too short
        "Either ``a(b, c, d)`` or ``e`` is meant.",  # more code than words
        "The value of ``\\alpha`` is the one that matters here.",  # a formula
        "The value is x=3 where ``x`` is the one that matters.",  # code that nobody marked
        "the value of ``x`` is the one that matters here.",
        "The value of ``x`` is the one that matters here:",
    ],
)
def test_what_is_no_sentence_with_code_is_left_out(docstring: str) -> None:
    assert tagged_sentences(docstring) == []


def test_the_splits_have_clean_sentences_with_and_without_code() -> None:
    task = dataclasses.replace(CODE_WORDS, per_library=150, libraries=("numpy", "networkx"))
    splits = load_offline(task)
    rows = [row for split in splits.values() for row in split]
    assert 250 <= len(rows) <= 300
    assert len(splits["train"]) > 4 * len(splits["test"]) > 0
    assert all(len(row["tokens"]) == len(row["tags"]) and 6 <= len(row["tags"]) <= 40 for row in rows)
    assert {tag for row in rows for tag in row["tags"]} == {"O", "B-CODE", "I-CODE"}
    assert not [token for row in rows for token in row["tokens"] if set(token) & set("`\x02\x03 \\")]
    plain = sum(set(row["tags"]) == {"O"} for row in rows)
    assert 0.05 * len(rows) < plain < 0.5 * len(rows)
    # No entity goes on without having begun.
    assert not [
        row
        for row in rows
        for a, b in zip(["O", *row["tags"]], row["tags"], strict=False)
        if (a, b) == ("O", "I-CODE")
    ]
