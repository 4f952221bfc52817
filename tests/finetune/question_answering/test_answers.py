"""The search for spans, the answers put together of windows, the threshold: against slow loops over everything."""

import time
from typing import Any

import numpy as np
import pytest
import torch
from datasets import Dataset, DatasetDict
from hypothesis import given
from hypothesis import strategies as st
from transformers import EvalPrediction

from hf_strategies.finetune.metrics import ComputeMetrics
from hf_strategies.finetune.question_answering.answers import AnswerFinder, best_answers, tune_null_threshold
from hf_strategies.finetune.question_answering.data import QuestionData
from hf_strategies.finetune.question_answering.metrics import QUESTION_METRICS
from hf_strategies.finetune.question_answering.trainer import FoundSpans, search_spans
from hf_strategies.finetune.question_answering.windows import WindowTable

Span = tuple[float, int, int]


def all_spans(start: torch.Tensor, end: torch.Tensor, first: int, stop: int, longest: int) -> list[Span]:
    """Every allowed span of a row with its score, the best first."""
    spans = [
        (float(start[i] + end[j]), i, j)
        for i in range(first, stop)
        for j in range(i, min(i + longest, stop))
        if not torch.isnan(start[i] + end[j])
    ]
    return sorted(spans, reverse=True)


def search(start: torch.Tensor, end: torch.Tensor, bounds: list[tuple[int, int]], longest: int, n: int) -> Any:
    first, stop = (torch.tensor(part) for part in zip(*bounds, strict=True))
    return search_spans(start, end, first, stop, longest=longest, n=n)


@pytest.mark.parametrize("longest", [1, 3, 8, 30])
@pytest.mark.parametrize("n", [1, 4, 50])
def test_the_best_spans_are_those_of_a_loop_over_all_spans(longest: int, n: int) -> None:
    torch.manual_seed(longest + n)
    start, end = torch.randn(5, 12), torch.randn(5, 12)
    bounds = [(0, 12), (3, 9), (11, 12), (4, 4), (2, 12)]
    scores, starts, ends = search(start, end, bounds, longest, n)
    assert scores.shape == starts.shape == ends.shape == (5, n)
    for row, (first, stop) in enumerate(bounds):
        wanted = all_spans(start[row], end[row], first, stop, longest)[:n]
        found = zip(scores[row].tolist(), starts[row].tolist(), ends[row].tolist(), strict=True)
        assert [span for span in found if span[0] > -np.inf] == [pytest.approx(span) for span in wanted]


def test_logits_that_are_no_numbers_give_no_span() -> None:
    start, end = torch.randn(2, 6), torch.randn(2, 6)
    start[0], end[1, 3] = torch.nan, torch.nan
    scores, starts, ends = search(start, end, [(1, 6), (1, 6)], 3, 20)
    assert bool((scores[0] == -torch.inf).all())
    wanted = all_spans(start[1], end[1], 1, 6, 3)
    found = zip(scores[1].tolist(), starts[1].tolist(), ends[1].tolist(), strict=True)
    assert [span for span in found if span[0] > -np.inf] == [pytest.approx(span) for span in wanted]


CONTEXTS = ["abcdefghij", "klmnopqrst", "uvwxyz"]


def table_of(questions: list[int], tokens: int, first: int = 0) -> WindowTable:
    """Windows of as many one-character tokens; window w of a question begins at its character 2 w."""
    opens = [place == 0 or questions[place - 1] != question for place, question in enumerate(questions)]
    shift = [2 * questions[:place].count(question) for place, question in enumerate(questions)]
    columns: dict[str, list[Any]] = {
        "window": list(range(first, first + len(questions))),
        "opens": opens,
        "token_starts": [[begin + token for token in range(tokens)] for begin in shift],
        "token_ends": [[begin + token + 1 for token in range(tokens)] for begin in shift],
    }
    return WindowTable(Dataset.from_dict(columns))


@pytest.mark.parametrize("n", [1, 3])
def test_answers_are_those_of_a_loop_over_all_windows_in_any_order(n: int) -> None:
    random = np.random.default_rng(n)
    questions = [0, 0, 0, 1, 1, 2]
    table = table_of(questions, tokens=4)
    starts = random.integers(0, 4, (6, n))
    ends = np.minimum(starts + random.integers(0, 3, (6, n)), 3)
    scores = np.round(random.normal(size=(6, n)), 3)
    scores[5] = -np.inf  # the third question has no span at all
    null = random.normal(size=6)
    order = random.permutation(6)
    parts = (part[order] for part in (scores, starts, ends, null, null))
    answers = best_answers(FoundSpans(*parts), order, table, CONTEXTS, n)
    for question, context in enumerate(CONTEXTS):
        best: dict[str, float] = {}
        for window in (place for place, owner in enumerate(questions) if owner == question):
            begin = 2 * questions[:window].count(question)
            for rank in range(n):
                text = context[begin + starts[window, rank] : begin + ends[window, rank] + 1]
                if scores[window, rank] > best.get(text, -np.inf):
                    best[text] = float(scores[window, rank])
        ranked = sorted(best.items(), key=lambda item: -item[1])[:n]
        assert answers.alternatives[question] == ranked
        assert answers.null[question] == min(null[[owner == question for owner in questions]])
    assert answers.texts[2] == ""
    assert answers.null_margin[2] == np.inf
    assert answers.chosen(1e9) == [*answers.texts[:2], ""]


def test_answers_have_no_white_space_at_their_ends_and_are_never_blank() -> None:
    """Tokens of one character each, as byte-level tokenizers have for spaces: the best span of all is two spaces."""
    starts, ends = np.array([[4, 0, 1, 4]]), np.array([[5, 4, 3, 6]])
    spans = FoundSpans(np.array([[9.0, 7.0, 8.0, 6.0]]), starts, ends, np.zeros(1), np.zeros(1))
    answers = best_answers(spans, np.arange(1), table_of([0], 8), [" abc  d\n"], 4)
    # The second and the third span are the same text without the spaces; it has the better score of the two.
    assert answers.alternatives == [[("abc", 8.0), ("d", 6.0)]]
    assert answers.texts == ["abc"]


def test_no_answer_is_said_where_it_is_better_by_more_than_the_threshold() -> None:
    spans = FoundSpans(
        np.array([[1.0], [2.0]]), np.array([[0], [1]]), np.array([[1], [1]]), np.array([1.5, 2.5]), np.zeros(2)
    )
    answers = best_answers(spans, np.arange(2), table_of([0, 1], 4), CONTEXTS[:2], 1)
    assert answers.null_margin.tolist() == [0.5, 0.5]
    assert answers.chosen(0.5) == answers.chosen(None) == ["ab", "l"]
    assert answers.chosen(0.4) == ["", ""]


def total(threshold: float, margin: np.ndarray, answered: np.ndarray, unanswered: np.ndarray) -> float:
    return float(np.where(margin > threshold, unanswered, answered).sum())


Question = tuple[float, float, bool]
QUESTIONS = st.lists(
    st.tuples(
        st.sampled_from([-7.5, -2.0, -0.5, 0.0, 0.5, 3.0, float("inf")]),
        st.sampled_from([0.0, 0.4, 1.0]),
        st.booleans(),
    ),
    min_size=1,
    max_size=12,
)


@given(QUESTIONS)
def test_no_threshold_scores_higher_than_the_tuned_one(questions: list[Question]) -> None:
    margin = np.array([question[0] for question in questions])
    unanswered = np.array([float(question[2]) for question in questions])
    answered = np.array([question[1] for question in questions]) * (1 - unanswered)
    tuned = tune_null_threshold(margin, answered, unanswered)
    others = [-100.0, *(value + shift for value in (-7.5, -2, -0.5, 0, 0.5, 3) for shift in (-0.01, 0.01)), 100.0]
    best = max(total(other, margin, answered, unanswered) for other in others)
    assert total(tuned, margin, answered, unanswered) == pytest.approx(best)


def test_of_equal_thresholds_the_one_nearest_to_0_is_tuned() -> None:
    margin, nothing = np.array([-9.0, -1.0, 2.0, 8.0]), np.zeros(4)
    assert tune_null_threshold(margin, nothing, nothing) == 0.5
    assert tune_null_threshold(np.array([np.inf]), np.ones(1), np.zeros(1)) == 0.0


def finder_of(questions: int, windows: int, **options: Any) -> tuple[AnswerFinder, FoundSpans]:
    """A validation set of so many questions with so many windows each, and random spans found in them."""
    random = np.random.default_rng(0)
    count = questions * windows
    owner = np.repeat(np.arange(questions), windows)
    tokens = [list(range(300))] * count
    encoded = Dataset.from_dict(
        {
            "window": np.arange(count),
            "opens": np.diff(owner, prepend=-1) > 0,
            "token_starts": [[5 * token for token in row] for row in tokens],
            "token_ends": [[5 * token + 4 for token in row] for row in tokens],
            "start_positions": np.zeros(count, dtype=int),
        }
    )
    right = [["word " * (row % 5)] * (row % 3) for row in range(questions)]
    rows = Dataset.from_dict({"context": ["word " * 300] * questions, "answer_texts": right})
    data = QuestionData(DatasetDict({"validation": rows}), {}, "test")
    starts = random.integers(0, 290, (count, 20))
    found = FoundSpans(random.normal(size=(count, 20)), starts, starts + 5, random.normal(size=count), np.ones(count))
    return AnswerFinder(data, DatasetDict({"validation": encoded}), threshold=None, **options), found


def test_windows_without_a_loss_do_not_count_in_the_mean() -> None:
    finder, found = finder_of(4, 2, unanswerable=True)
    losses = np.array([1.0, 3.0, np.nan, np.nan, 2.0, 2.0, 2.0, 2.0])
    decoded = finder.decode(EvalPrediction(predictions=tuple(found._replace(loss=losses)), label_ids=np.arange(8)))
    assert decoded is not None
    assert decoded.others["loss"] == 2.0


def test_a_thousand_questions_of_three_windows_are_measured_in_two_seconds() -> None:
    kept: list[float] = []
    finder, found = finder_of(1000, 3, unanswerable=True, n_best=20, keep=kept.append)
    compute = ComputeMetrics(QUESTION_METRICS, finder.decode)
    begin = time.perf_counter()
    values = compute(EvalPrediction(predictions=tuple(found), label_ids=np.arange(3000)))
    assert time.perf_counter() - begin < 2
    assert set(values) == {"loss", "null_threshold", *QUESTION_METRICS}
    assert kept == [values["null_threshold"]] == [finder.threshold]
