"""From the best spans of windows to answers: the best span of all windows of a question, or no answer."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from datasets import DatasetDict
from transformers import EvalPrediction

from hf_strategies.finetune.metrics import Decoded
from hf_strategies.finetune.question_answering.data import QuestionData
from hf_strategies.finetune.question_answering.metrics import squad_2_answers, token_f1s
from hf_strategies.finetune.question_answering.trainer import FoundSpans
from hf_strategies.finetune.question_answering.windows import WindowTable

__all__ = ["AnswerFinder", "Answers", "best_answers", "tune_null_threshold"]


@dataclass(frozen=True)
class Answers:
    """The answers to questions: ``alternatives`` and the score of no answer, ``null``, of each question.

    The alternatives are (text, score), the best first; a question without any span has none. ``null`` is the lowest
    score of no answer among the question's windows, because each window that does not contain the answer scores "no
    answer" high.
    """

    alternatives: list[list[tuple[str, float]]]
    null: np.ndarray

    @property
    def texts(self) -> list[str]:
        """The best answer to each question, "" if it has no alternatives; the score of no answer is ignored."""
        return [answers[0][0] if answers else "" for answers in self.alternatives]

    @property
    def null_margin(self) -> np.ndarray:
        """The score of no answer minus that of the best answer; infinite for a question without alternatives."""
        scores = np.array([answers[0][1] if answers else -np.inf for answers in self.alternatives])
        with np.errstate(invalid="ignore"):
            return np.asarray(np.nan_to_num(self.null - scores, nan=np.inf, posinf=np.inf, neginf=-np.inf))

    def chosen(self, threshold: float | None) -> list[str]:
        """Return the answers, ``""`` where `null_margin` exceeds ``threshold``; with None, never."""
        if threshold is None:
            return self.texts
        return ["" if gap > threshold else text for text, gap in zip(self.texts, self.null_margin, strict=True)]


def best_answers(spans: FoundSpans, windows: np.ndarray, table: WindowTable, contexts: list[str], n: int) -> Answers:
    """Return the answers to all questions, out of the best spans of their windows.

    ``spans`` are those of ``windows``, given as rows of ``table``; ``contexts`` has the context of each question. The
    ``n`` best spans of each question are kept; a span that is in several windows counts once, with its best score.
    White space at the ends of a span does not belong to it, and a span of nothing else is none.
    """
    question = table.question[windows]
    null = np.full(len(contexts), np.inf)
    np.minimum.at(null, question, spans.null)
    row, column = np.nonzero(spans.scores > -np.inf)
    score = spans.scores[row, column]
    owner = question[row]
    start, end = table.characters(windows[row], spans.starts[row, column], spans.ends[row, column])
    start, end = _trimmed(contexts, owner, start, end)
    owner, start, end, score = (part[start < end] for part in (owner, start, end, score))
    keep = _n_best(owner, start, end, score, n)
    alternatives: list[list[tuple[str, float]]] = [[] for _ in contexts]
    kept = (part[keep].tolist() for part in (owner, start, end, score))
    for asked, begin, stop, value in zip(*kept, strict=True):
        alternatives[asked].append((contexts[asked][begin:stop], value))
    return Answers(alternatives, null)


def tune_null_threshold(margin: np.ndarray, answered: np.ndarray, unanswered: np.ndarray) -> float:
    """Return the threshold of no answer with the highest sum of scores; of equal ones the one nearest to 0.

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
    sums = np.concatenate([[0.0], np.cumsum(gain)])  # of the answered questions, relative to answering none
    sums[edges[:-1] == edges[1:]] = -np.inf  # no threshold separates equal margins
    best = np.flatnonzero(np.isclose(sums, sums.max(), rtol=0, atol=1e-9))
    return float(thresholds[best[np.argmin(np.abs(thresholds[best]))]])


class AnswerFinder:
    """Combines the spans of windows into answers; `decode` is the decode step of the metrics, for `QuestionTrainer`.

    With ``unanswerable`` (SQuAD 2.0), ``threshold`` decides which questions get "no answer". If ``keep`` is given,
    each evaluation of the validation set tunes the threshold to the highest F1, and calls ``keep`` with it.
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
        self.unanswerable, self.n_best, self._keep = unanswerable, n_best, keep
        self.threshold = threshold if unanswerable else None

    def decode(self, prediction: EvalPrediction) -> Decoded | None:
        """Return answers, right answers, the loss and the tuned threshold; None if the right answers are unknown."""
        windows: Any = prediction.label_ids
        split = next(name for name, table in self._tables.items() if 0 <= windows[0] - table.first < len(table))
        table, spans = self._tables[split], FoundSpans(*prediction.predictions)
        if not table.has_answers:
            return None
        answers = self._combine(split, spans, windows - table.first)
        # A window has no loss where no answer of its question stands in the context.
        has_loss = ~np.isnan(spans.loss)
        others = {"loss": float(spans.loss[has_loss].mean()) if has_loss.any() else float("nan")}
        references = list(self._splits[split]["answer_texts"])
        if self.unanswerable:
            references = squad_2_answers(references)
        if self._keep is not None and split == "validation":
            self.threshold = self._tuned(answers, references)
            self._keep(self.threshold)
            others["null_threshold"] = self.threshold
        return Decoded(answers.chosen(self.threshold), references, others)

    def answers(self, split: str, predictions: tuple[np.ndarray, ...]) -> Answers:
        """Return the answers to the questions of a split from the predictions for all its windows in their order."""
        return self._combine(split, FoundSpans(*predictions), np.arange(len(self._tables[split])))

    def _combine(self, split: str, spans: FoundSpans, windows: np.ndarray) -> Answers:
        contexts = list(self._splits[split]["context"])
        return best_answers(spans, windows, self._tables[split], contexts, self.n_best)

    def _tuned(self, answers: Answers, references: list[list[str]]) -> float:
        answered = token_f1s(answers.texts, references)
        unanswered = token_f1s([""] * len(references), references)
        return tune_null_threshold(answers.null_margin, answered, unanswered)


def _trimmed(
    contexts: list[str], question: np.ndarray, start: np.ndarray, end: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return where spans begin and end without the white space at their ends."""
    places = zip(question.tolist(), start.tolist(), end.tolist(), strict=True)
    texts = [contexts[asked][begin:stop] for asked, begin, stop in places]
    before = np.array([len(text) - len(text.lstrip()) for text in texts], dtype=start.dtype)
    after = np.array([len(text) - len(text.rstrip()) for text in texts], dtype=end.dtype)
    return start + before, end - after


def _n_best(question: np.ndarray, start: np.ndarray, end: np.ndarray, score: np.ndarray, n: int) -> np.ndarray:
    """Return the indices of each question's ``n`` best distinct spans, question by question, the best first."""
    order = np.lexsort((-score, end, start, question))
    spans = np.stack([question[order], start[order], end[order]])
    is_new = np.ones(len(order), dtype=bool)
    is_new[1:] = (spans[:, 1:] != spans[:, :-1]).any(axis=0)
    order = order[is_new]
    order = order[np.lexsort((start[order], -score[order], question[order]))]
    ranked = question[order]
    rank = np.arange(len(order)) - np.searchsorted(ranked, ranked, side="left")
    return order[rank < n]
