"""Exact match and F1 of answers, as SQuAD's evaluation computes them, but in [0, 1] and not in percent.

Predictions are texts; references are lists with the right answers of each question. The list is empty for a question
without an answer, for which ``""`` is right. For SQuAD 2.0, references are what `squad_2_answers` returns.
"""

import re
import string
from collections import Counter
from collections.abc import Sequence

import numpy as np

from hf_strategies.finetune.metrics import Metric

__all__ = [
    "QUESTION_METRICS",
    "exact_match",
    "exact_matches",
    "normalize_answer",
    "squad_2_answers",
    "token_f1",
    "token_f1s",
]

Texts = Sequence[str]

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)


def normalize_answer(text: str) -> str:
    """Lower-case an answer and remove punctuation, articles and superfluous white space from it, as SQuAD does.

    >>> normalize_answer("The  U.S. Army!")
    'us army'
    """
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split())


def squad_2_answers(references: Sequence[Texts]) -> list[list[str]]:
    """Return the answers that count in SQuAD 2.0: those that are not empty after normalisation.

    >>> squad_2_answers([["the town", "the"], ["The!"]])
    [['the town'], []]
    """
    return [[answer for answer in answers if normalize_answer(answer)] for answers in references]


def exact_matches(predictions: Texts, references: Sequence[Texts]) -> np.ndarray:
    """Return 1 for each prediction that equals one of its right answers after normalisation, else 0."""
    return np.array(
        [
            float(normalize_answer(prediction) in (list(map(normalize_answer, answers)) or [""]))
            for prediction, answers in zip(predictions, references, strict=True)
        ]
    )


def token_f1s(predictions: Texts, references: Sequence[Texts]) -> np.ndarray:
    """Return for each prediction the F1 of its words, the best over its right answers, after normalisation.

    F1 is 0 where the prediction or the answer is empty after normalisation. For a question without an answer it is 1
    if the prediction is empty, else 0.

    >>> token_f1s(["in the old town", "yes"], [["the town"], []]).tolist()
    [0.5, 0.0]
    """
    return np.array(
        [
            _best_f1(normalize_answer(prediction).split(), [normalize_answer(answer).split() for answer in answers])
            for prediction, answers in zip(predictions, references, strict=True)
        ]
    )


def exact_match(predictions: Texts, references: Sequence[Texts]) -> float:
    """The share of predictions that equal a right answer after normalisation, in [0, 1].

    >>> exact_match(["the Town.", "hall"], [["town"], ["town hall"]])
    0.5
    """
    return float(exact_matches(predictions, references).mean())


def token_f1(predictions: Texts, references: Sequence[Texts]) -> float:
    """The mean F1 of the words of predictions and right answers (see `token_f1s`), in [0, 1].

    >>> token_f1(["the Town.", "hall"], [["town"], ["town hall"]])
    0.8333333333333333
    """
    return float(token_f1s(predictions, references).mean())


QUESTION_METRICS: dict[str, Metric] = {"exact_match": exact_match, "f1": token_f1}


def _best_f1(predicted: list[str], answers: list[list[str]]) -> float:
    if not answers:
        return float(not predicted)
    return max(_f1(predicted, answer) for answer in answers)


def _f1(predicted: list[str], answer: list[str]) -> float:
    if not predicted or not answer:
        return 0.0
    common = sum((Counter(predicted) & Counter(answer)).values())
    return 2 * common / (len(predicted) + len(answer))
