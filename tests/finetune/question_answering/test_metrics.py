"""Exact match and F1 equal what the official evaluation scripts of SQuAD 1.1 and 2.0 compute."""

import collections
import random
import re
import string
from collections.abc import Callable
from typing import Any

import evaluate
import pytest
from datasets import Dataset

from hf_strategies.finetune.metrics import TableMetric
from hf_strategies.finetune.question_answering.baselines import (
    likeliest_sentence,
    likeliest_window,
    question_baselines,
)
from hf_strategies.finetune.question_answering.metrics import (
    QUESTION_METRICS,
    exact_match,
    exact_matches,
    squad_2_answers,
    token_f1,
    token_f1s,
)

# The functions of SQuAD's evaluate-v1.1.py and evaluate-v2.0.py (Rajpurkar et al.), as published.


def normalize_answer(s: str) -> str:
    def remove_articles(text: str) -> str:
        return re.sub(r"\b(a|an|the)\b", " ", text)

    def white_space_fix(text: str) -> str:
        return " ".join(text.split())

    def remove_punc(text: str) -> str:
        exclude = set(string.punctuation)
        return "".join(ch for ch in text if ch not in exclude)

    return white_space_fix(remove_articles(remove_punc(s.lower())))


def f1_score(prediction: str, ground_truth: str) -> float:
    prediction_tokens = normalize_answer(prediction).split()
    ground_truth_tokens = normalize_answer(ground_truth).split()
    common = collections.Counter(prediction_tokens) & collections.Counter(ground_truth_tokens)
    num_same = sum(common.values())
    if num_same == 0:
        return 0
    precision = 1.0 * num_same / len(prediction_tokens)
    recall = 1.0 * num_same / len(ground_truth_tokens)
    return (2 * precision * recall) / (precision + recall)


def exact_match_score(prediction: str, ground_truth: str) -> float:
    return float(normalize_answer(prediction) == normalize_answer(ground_truth))


def metric_max_over_ground_truths(
    metric_fn: Callable[[str, str], float], prediction: str, ground_truths: list[str]
) -> float:
    return max(metric_fn(prediction, ground_truth) for ground_truth in ground_truths)


def get_tokens(s: str) -> list[str]:
    return normalize_answer(s).split() if s else []


def compute_exact(a_gold: str, a_pred: str) -> int:
    return int(normalize_answer(a_gold) == normalize_answer(a_pred))


def compute_f1(a_gold: str, a_pred: str) -> float:
    gold_toks = get_tokens(a_gold)
    pred_toks = get_tokens(a_pred)
    common = collections.Counter(gold_toks) & collections.Counter(pred_toks)
    num_same = sum(common.values())
    if len(gold_toks) == 0 or len(pred_toks) == 0:
        return int(gold_toks == pred_toks)
    if num_same == 0:
        return 0
    precision = 1.0 * num_same / len(pred_toks)
    recall = 1.0 * num_same / len(gold_toks)
    return (2 * precision * recall) / (precision + recall)


def get_raw_scores(prediction: str, answers: list[str]) -> tuple[float, float]:
    gold_answers = [text for text in answers if normalize_answer(text)]
    if not gold_answers:
        gold_answers = [""]
    return (
        max(compute_exact(gold, prediction) for gold in gold_answers),
        max(compute_f1(gold, prediction) for gold in gold_answers),
    )


WORDS = ["the", "The", "a", "an", "A.", "cat", "Cat,", "cats", "dog", "(dog)", "U.S.", "don't", "-", "é", "É", "ß"]
WORDS += ["naïve", "ﬁre", "\u00a0", "“x”", "10", "10%", "theatre"]


def random_texts(count: int, most: int, chance: random.Random) -> list[str]:
    spaces = [" ", "  ", "\t", ""]
    return [
        "".join(chance.choice(WORDS) + chance.choice(spaces) for _ in range(chance.randint(0, most)))
        for _ in range(count)
    ]


@pytest.fixture(scope="module")
def pairs() -> list[tuple[str, list[str]]]:
    """1,000 predictions with up to four right answers, some of them equal to the prediction but for an article."""
    chance = random.Random(0)
    found = []
    for prediction in random_texts(1000, 5, chance):
        answers = random_texts(chance.randint(0, 3), 5, chance)
        if chance.random() < 0.2:
            answers.insert(chance.randint(0, len(answers)), f"The {prediction}!")
        found.append((prediction, answers))
    return found


def test_both_metrics_are_those_of_squad_1_on_random_pairs(pairs: list[tuple[str, list[str]]]) -> None:
    known = [(said, answers or ["the cat"]) for said, answers in pairs]
    said, answers = [pair[0] for pair in known], [pair[1] for pair in known]
    exact = [metric_max_over_ground_truths(exact_match_score, *pair) for pair in known]
    f1 = [metric_max_over_ground_truths(f1_score, *pair) for pair in known]
    assert exact_matches(said, answers).tolist() == exact
    assert token_f1s(said, answers) == pytest.approx(f1, abs=1e-12)
    assert all(0.05 < sum(scores) / 1000 < 0.95 for scores in (exact, f1))
    assert exact_match(said, answers) == pytest.approx(sum(exact) / 1000)
    assert token_f1(said, answers) == pytest.approx(sum(f1) / 1000)


def test_both_metrics_are_those_of_squad_2_on_random_pairs(pairs: list[tuple[str, list[str]]]) -> None:
    said, answers = [pair[0] for pair in pairs], squad_2_answers([pair[1] for pair in pairs])
    scores = [get_raw_scores(*pair) for pair in pairs]
    assert exact_matches(said, answers).tolist() == [exact for exact, _ in scores]
    assert token_f1s(said, answers) == pytest.approx([f1 for _, f1 in scores], abs=1e-12)
    combined = evaluate.combine([TableMetric(*row) for row in QUESTION_METRICS.items()])
    values = combined.compute(predictions=said, references=answers)
    assert values["exact_match"] == pytest.approx(sum(exact for exact, _ in scores) / 1000)
    assert values["f1"] == pytest.approx(sum(f1 for _, f1 in scores) / 1000)


@pytest.mark.parametrize(
    ("said", "answers", "unanswerable", "exact", "f1"),
    [
        ("the old Town", ["old town!"], False, 1, 1),
        ("old town hall", ["town", "town hall of York"], False, 0, 4 / 7),  # 2 of 3 and 2 of 4 words
        ("", [], True, 1, 1),
        ("cat", [], True, 0, 0),
        ("", ["cat"], True, 0, 0),
        ("a", ["the"], False, 1, 0),  # nothing is left of either: SQuAD 1.1 has F1 0 for it
        ("a", ["the"], True, 1, 1),
        ("cat cat", ["cat"], False, 0, 2 / 3),
    ],
)
def test_metrics_have_the_values_worked_out_by_hand(
    said: str, answers: list[str], unanswerable: bool, exact: float, f1: float
) -> None:
    references = squad_2_answers([answers]) if unanswerable else [answers]
    assert exact_matches([said], references) == pytest.approx(exact)
    assert token_f1s([said], references) == pytest.approx(f1)


def test_values_are_plain_floats_that_the_trainers_log_can_hold() -> None:
    for metric in QUESTION_METRICS.values():
        assert type(metric(["x", "y"], [["x"], ["z", "y"]])) is float


CONTEXT = "Ann moved to York. In May Bob moved to the city of Paris! Nobody else moved."


def rows(**columns: list[Any]) -> Dataset:
    return Dataset.from_dict(columns)


def test_the_sentence_that_shares_most_words_with_the_question_is_taken() -> None:
    assert likeliest_sentence("When was it that Bob moved?", CONTEXT) == "In May Bob moved to the city of Paris!"
    assert likeliest_sentence("Anything?", CONTEXT) == "Ann moved to York."


def test_the_window_next_to_the_questions_words_is_taken() -> None:
    assert (
        likeliest_window("To which city has Bob moved?", "We know that Bob moved to New York in May.", 2)
        == "New York"
    )
    assert likeliest_window("Who?", "Short.", 5) == "Short."


def test_baselines_are_measured_with_the_length_of_the_training_answers() -> None:
    train = rows(answer_texts=[["New York"], ["one two three"], ["Old Town"], []])
    test = rows(
        question=["Where?", "Bob moved where in May?"], context=["No.", CONTEXT], answer_texts=[[], ["to the"]]
    )
    results = question_baselines(train, test, unanswerable=True)
    assert list(results) == ["likeliest sentence", "likeliest 2 words", "no answer"]
    assert results["no answer"]["exact_match"] == 0.5
    assert results["no answer"]["f1"] == 0.5
    assert "no answer" not in question_baselines(train, test, unanswerable=False)
