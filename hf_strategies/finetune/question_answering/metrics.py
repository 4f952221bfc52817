"""Exact match and F1 of answers, as SQuAD's evaluation counts them, in [0, 1] like the other metrics here."""

import re
import string
from collections import Counter
from collections.abc import Sequence

import datasets
import evaluate
import numpy as np

__all__ = ["QUESTION_METRICS", "ExactMatch", "TokenF1", "exact_matches", "normalize_answer", "token_f1s"]

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)


def normalize_answer(text: str) -> str:
    """Lower-case an answer and take punctuation, articles and superfluous white space from it, as SQuAD does.

    >>> normalize_answer("The  U.S. Army!")
    'us army'
    """
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split())


def exact_matches(
    predictions: Sequence[str], references: Sequence[Sequence[str]], *, unanswerable: bool = False
) -> np.ndarray:
    """Return for each prediction 1 if it is one of its right answers after normalisation, else 0.

    ``references`` are the right answers of each question, none for a question without answer, which ``""`` is right
    for. With ``unanswerable`` (SQuAD 2.0) a right answer does not count of which normalisation leaves nothing.
    """
    pairs = zip(map(normalize_answer, predictions), references, strict=True)
    return np.array([float(said in _right(answers, unanswerable)) for said, answers in pairs])


def token_f1s(
    predictions: Sequence[str], references: Sequence[Sequence[str]], *, unanswerable: bool = False
) -> np.ndarray:
    """Return for each prediction the F1 of its words, the best over its right answers, after normalisation.

    Arguments as in `exact_matches`. Where nothing is left of prediction or answer, F1 is 0 in SQuAD 1.1; in
    SQuAD 2.0 (``unanswerable``) it is 1 if nothing is left of both. A question without answers follows the latter.

    >>> token_f1s(["in the old town", "yes"], [["the town"], []]).tolist()
    [0.5, 0.0]
    """
    words = [normalize_answer(prediction).split() for prediction in predictions]
    return np.array(
        [
            max(
                _f1(said, right.split(), empty_is_right=unanswerable or not answers)
                for right in _right(answers, unanswerable)
            )
            for said, answers in zip(words, references, strict=True)
        ]
    )


class _AnswerMetric(evaluate.Metric):
    """A metric of predicted texts against the lists of right answers, computed in memory.

    ``unanswerable`` tells whether SQuAD 2.0's rules hold, or those of SQuAD 1.1.
    """

    def __init__(self, *, unanswerable: bool = False) -> None:
        super().__init__(keep_in_memory=True)
        self._unanswerable = unanswerable

    def _info(self) -> evaluate.MetricInfo:
        text = datasets.Value("string")
        return evaluate.MetricInfo(
            description=type(self).__doc__ or "",
            citation="Rajpurkar et al. 2016, arXiv:1606.05250; Rajpurkar et al. 2018, arXiv:1806.03822",
            features=datasets.Features({"predictions": text, "references": datasets.Sequence(text)}),
        )


class ExactMatch(_AnswerMetric):
    """The share of predictions that are a right answer, in [0, 1] (SQuAD's own evaluation says percent).

    >>> ExactMatch().compute(predictions=["the Town.", "hall"], references=[["town"], ["town hall"]])
    {'exact_match': 0.5}
    """

    def _compute(self, predictions: list[str], references: list[list[str]]) -> dict[str, float]:
        scores = exact_matches(predictions, references, unanswerable=self._unanswerable)
        return {"exact_match": float(scores.mean())}


class TokenF1(_AnswerMetric):
    """The mean F1 of the words of predictions and right answers, in [0, 1] (SQuAD's own evaluation says percent).

    >>> TokenF1().compute(predictions=["the Town.", "hall"], references=[["town"], ["town hall"]])
    {'f1': 0.8333333333333333}
    """

    def _compute(self, predictions: list[str], references: list[list[str]]) -> dict[str, float]:
        return {"f1": float(token_f1s(predictions, references, unanswerable=self._unanswerable).mean())}


QUESTION_METRICS: dict[str, type[_AnswerMetric]] = {"exact_match": ExactMatch, "f1": TokenF1}


def _right(answers: Sequence[str], unanswerable: bool) -> list[str]:
    right = [text for text in map(normalize_answer, answers) if text or not unanswerable]
    return right or [""]


def _f1(said: list[str], right: list[str], *, empty_is_right: bool) -> float:
    if not said or not right:
        return float(empty_is_right and said == right)
    common = sum((Counter(said) & Counter(right)).values())
    return 2 * common / (len(said) + len(right))
