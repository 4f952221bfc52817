"""The baselines of question answering: the sentence, or the words, that have most in common with the question."""

import re
from collections.abc import Callable

import numpy as np
from datasets import Dataset

from hf_strategies.finetune.metrics import measure
from hf_strategies.finetune.question_answering.metrics import QUESTION_METRICS, normalize_answer, squad_2_answers

__all__ = ["likeliest_sentence", "likeliest_window", "question_baselines"]

_SENTENCE = re.compile(r"\S.*?(?:[.!?](?=\s)|$)", re.MULTILINE)
_WORD = re.compile(r"\S+")


def question_baselines(train: Dataset, test: Dataset, *, unanswerable: bool) -> dict[str, dict[str, float]]:
    """Measure the baselines on ``test`` with the recipe's own metrics; the length of windows is from ``train``.

    Both have the columns of `QuestionData`, the answers included. ``unanswerable`` is whether SQuAD 2.0's rules hold.
    """
    words = [len(texts[0].split()) for texts in train["answer_texts"] if texts]
    length = max(1, int(np.median(words))) if words else 1
    guesses: dict[str, Callable[[str, str], str]] = {
        "likeliest sentence": likeliest_sentence,
        f"likeliest {length} words": lambda question, context: likeliest_window(question, context, length),
    }
    if unanswerable:
        guesses["no answer"] = lambda question, context: ""
    references = list(test["answer_texts"])
    if unanswerable:
        references = squad_2_answers(references)
    questions = list(zip(test["question"], test["context"], strict=True))
    return {
        name: measure(QUESTION_METRICS, [guess(*question) for question in questions], references)
        for name, guess in guesses.items()
    }


def likeliest_sentence(question: str, context: str) -> str:
    """Return the sentence that shares most different words with the question, the first of several.

    >>> likeliest_sentence("Who sang?", "Ann came. Then Bob sang. All left.")
    'Then Bob sang.'
    """
    asked = set(normalize_answer(question).split())
    sentences = _SENTENCE.findall(context)
    return max(sentences, key=lambda sentence: len(asked & set(normalize_answer(sentence).split())), default="")


def likeliest_window(question: str, context: str, length: int) -> str:
    """Return the ``length`` words that have most words of the question within ``length`` words of them.

    They should be new: words of the question among them count against them. Of several such windows the one that
    follows most of the question's words is taken, and of those the first.

    >>> likeliest_window("Who sang the song?", "Many people sang the song Ann Lee wrote then.", 2)
    'Ann Lee'
    """
    words = list(_WORD.finditer(context))
    asked = set(normalize_answer(question).split())
    shared = [not asked.isdisjoint(normalize_answer(word.group()).split()) for word in words]
    length = min(length, len(words))
    before = np.concatenate([[0], np.cumsum(shared)])
    starts = np.arange(len(words) - length + 1)
    inside = before[starts + length] - before[starts]
    ahead = before[starts] - before[np.maximum(starts - length, 0)]
    after = before[np.minimum(starts + 2 * length, len(words))] - before[starts + length]
    best = int(np.argmax((ahead + after - inside) * (length + 1) + ahead))
    return context[words[best].start() : words[best + length - 1].end()]
