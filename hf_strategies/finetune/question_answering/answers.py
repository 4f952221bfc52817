"""From the spans found in windows to answers: the best of each question's windows, or no answer."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from datasets import DatasetDict
from transformers import EvalPrediction

from hf_strategies.finetune.question_answering.data import QuestionData
from hf_strategies.finetune.question_answering.metrics import QUESTION_METRICS, token_f1s
from hf_strategies.finetune.question_answering.trainer import FoundSpans
from hf_strategies.finetune.question_answering.windows import WindowTable

__all__ = ["AnswerFinder", "Answers", "best_answers", "tune_null_threshold"]


@dataclass(frozen=True)
class Answers:
    """The answers to Q questions: for each its alternatives, the best first, as (text, score); and ``null``.

    ``null`` is the score of no answer, the least of the question's windows: a window without the answer says that it
    has none. A question without any span has no alternatives.
    """

    alternatives: list[list[tuple[str, float]]]
    null: np.ndarray

    @property
    def texts(self) -> list[str]:
        """The best answer to each question, whatever the score of no answer."""
        return [found[0][0] if found else "" for found in self.alternatives]

    @property
    def null_margin(self) -> np.ndarray:
        """By how much no answer scores better than the best answer; infinite where there is none."""
        scores = np.array([found[0][1] if found else -np.inf for found in self.alternatives])
        with np.errstate(invalid="ignore"):
            return np.asarray(np.nan_to_num(self.null - scores, nan=np.inf, posinf=np.inf, neginf=-np.inf))

    def chosen(self, threshold: float | None) -> list[str]:
        """Return the answers, ``""`` where no answer is better by more than ``threshold``; None: never."""
        if threshold is None:
            return self.texts
        return ["" if gap > threshold else text for text, gap in zip(self.texts, self.null_margin, strict=True)]


def best_answers(found: FoundSpans, windows: np.ndarray, table: WindowTable, contexts: list[str], n: int) -> Answers:
    """Put together what was found in ``windows``, numbers of rows of ``table``, of all questions in ``contexts``.

    Of each question the ``n`` best spans are kept; one found in several windows counts once, with its best score.
    """
    question = table.question[windows]
    null = np.full(len(contexts), np.inf)
    np.minimum.at(null, question, found.null)
    row, column = np.nonzero(found.scores > -np.inf)
    score = found.scores[row, column]
    start, end = table.characters(windows[row], found.starts[row, column], found.ends[row, column])
    keep = _n_best(question[row], start, end, score, n)
    alternatives: list[list[tuple[str, float]]] = [[] for _ in contexts]
    kept = (part[keep].tolist() for part in (question[row], start, end, score))
    for asked, begin, stop, value in zip(*kept, strict=True):
        alternatives[asked].append((contexts[asked][begin:stop], value))
    return Answers(alternatives, null)


def tune_null_threshold(margin: np.ndarray, answered: np.ndarray, unanswered: np.ndarray) -> float:
    """Return the threshold of no answer with the highest sum of scores; of several the one nearest to 0.

    A question scores ``unanswered`` if its ``margin`` (`Answers.null_margin`) exceeds the threshold, else
    ``answered``. The threshold lies midway between two margins, or 1 beyond all of them.

    >>> tune_null_threshold(np.array([-3.0, 1.0, 5.0]), np.array([1.0, 1.0, 0.0]), np.array([0.0, 0.0, 1.0]))
    3.0
    """
    finite = np.isfinite(margin)
    order = np.argsort(margin[finite], kind="stable")
    sorted_margin, gain = margin[finite][order], (answered - unanswered)[finite][order]
    if not len(order):
        return 0.0
    edges = np.concatenate([[sorted_margin[0] - 2], sorted_margin, [sorted_margin[-1] + 2]])
    thresholds = (edges[:-1] + edges[1:]) / 2
    sums = np.concatenate([[0.0], np.cumsum(gain)])  # of the questions that are answered, relative to none
    sums[edges[:-1] == edges[1:]] = -np.inf  # no threshold separates equal margins
    best = np.flatnonzero(np.isclose(sums, sums.max(), rtol=0, atol=1e-9))
    return float(thresholds[best[np.argmin(np.abs(thresholds[best]))]])


class AnswerFinder:
    """A ``compute_metrics`` for `QuestionTrainer`: answers are put together from windows, and measured.

    With ``unanswerable``, ``threshold`` decides where "no answer" is said; ``tune`` sets it anew with each evaluation
    of the validation set, to the highest F1. ``keep`` is called with it then.
    """

    def __init__(
        self,
        data: QuestionData,
        encoded: DatasetDict,
        *,
        unanswerable: bool,
        threshold: float | None,
        n_best: int = 1,
        keep: Callable[[float], None] | None = None,
    ) -> None:
        self._splits = {split: rows for split, rows in data.splits.items() if split != "train"}
        self._tables = {split: WindowTable(encoded[split]) for split in self._splits}
        self._metrics = [metric(unanswerable=unanswerable) for metric in QUESTION_METRICS.values()]
        self.unanswerable, self.n_best, self._keep = unanswerable, n_best, keep
        self.threshold = threshold if unanswerable else None

    def __call__(self, prediction: EvalPrediction) -> dict[str, float]:
        """Return exact match, F1 and the loss, as far as the answers are known, and the threshold that was tuned."""
        windows: Any = prediction.label_ids
        split = next(name for name, table in self._tables.items() if 0 <= windows[0] - table.first < len(table))
        table, found = self._tables[split], FoundSpans(*prediction.predictions)
        if not table.has_answers:
            return {}
        answers = self._put_together(split, found, windows - table.first)
        values = {"loss": float(found.loss.mean())}
        right = list(self._splits[split]["answer_texts"])
        if self._keep is not None and split == "validation":
            self.threshold = self._tuned(answers, right)
            self._keep(self.threshold)
            values["null_threshold"] = self.threshold
        for metric in self._metrics:
            values |= metric.compute(predictions=answers.chosen(self.threshold), references=right)
        return values

    def answers(self, split: str, predictions: tuple[np.ndarray, ...]) -> Answers:
        """Return the answers to a split's questions out of the predictions for its windows, in their order."""
        return self._put_together(split, FoundSpans(*predictions), np.arange(len(self._tables[split])))

    def _put_together(self, split: str, found: FoundSpans, windows: np.ndarray) -> Answers:
        contexts = list(self._splits[split]["context"])
        return best_answers(found, windows, self._tables[split], contexts, self.n_best)

    def _tuned(self, answers: Answers, right: list[list[str]]) -> float:
        answered = token_f1s(answers.texts, right, unanswerable=True)
        unanswered = token_f1s([""] * len(right), right, unanswerable=True)
        return tune_null_threshold(answers.null_margin, answered, unanswered)


def _n_best(question: np.ndarray, start: np.ndarray, end: np.ndarray, score: np.ndarray, n: int) -> np.ndarray:
    """Return the places of each question's ``n`` best distinct spans, question by question, the best first."""
    order = np.lexsort((-score, end, start, question))
    spans = np.stack([question[order], start[order], end[order]])
    is_new = np.ones(len(order), dtype=bool)
    is_new[1:] = (spans[:, 1:] != spans[:, :-1]).any(axis=0)
    order = order[is_new]
    order = order[np.lexsort((start[order], -score[order], question[order]))]
    ranked = question[order]
    rank = np.arange(len(order)) - np.searchsorted(ranked, ranked, side="left")
    return order[rank < n]
