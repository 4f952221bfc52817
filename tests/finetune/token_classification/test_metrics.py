"""Metrics of tags: seqeval's own values, values worked out by hand, and no warnings."""

import random

import pytest
import seqeval.metrics
from datasets import Dataset
from seqeval.metrics.sequence_labeling import get_entities

from hf_strategies.finetune.metrics import measure
from hf_strategies.finetune.token_classification.metrics import (
    ENTITY_METRICS,
    TAG_METRICS,
    entity_f1,
    entity_precision,
    entity_recall,
    has_entities,
    tag_accuracy,
    tag_baselines,
    tag_macro_f1,
    tag_metrics,
)
from hf_strategies.finetune.token_classification.schemes import hint_at_scheme

IOB = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]


def random_tags(seed: int, tags: list[str]) -> list[list[str]]:
    chance = random.Random(seed)
    lengths = [1 + 7 * index % 13 for index in range(40)]
    return [[chance.choice(tags) for _ in range(length)] for length in lengths]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("tags", [IOB, ["O", "I-PER", "B-PER"], [*IOB, "E-PER", "S-PER", "E-LOC", "S-LOC"]])
def test_entity_metrics_are_those_of_seqeval(seed: int, tags: list[str]) -> None:
    predicted, true = random_tags(seed, tags), random_tags(seed + 100, tags)
    assert entity_precision(predicted, true) == pytest.approx(seqeval.metrics.precision_score(true, predicted))
    assert entity_recall(predicted, true) == pytest.approx(seqeval.metrics.recall_score(true, predicted))
    assert entity_f1(predicted, true) == pytest.approx(seqeval.metrics.f1_score(true, predicted))
    assert tag_accuracy(predicted, true) == pytest.approx(seqeval.metrics.accuracy_score(true, predicted))
    assert 0 < entity_f1(predicted, true) < 1


@pytest.mark.parametrize(
    ("predicted", "true", "scores"),
    [
        # Two of three predicted entities are true, two of four true ones are found.
        (
            [["B-PER", "I-PER", "O", "B-LOC"], ["B-LOC", "O"]],
            [["B-PER", "I-PER", "O", "B-PER"], ["B-LOC", "B-LOC"]],
            (2 / 3, 1 / 2, 4 / 7, 4 / 6),
        ),
        # The right type and beginning, the wrong end: nothing is found.
        ([["B-PER", "I-PER", "O"]], [["B-PER", "I-PER", "I-PER"]], (0.0, 0.0, 0.0, 2 / 3)),
        # Without a B- an entity begins all the same, as conlleval has it.
        ([["I-PER", "I-PER", "O"]], [["B-PER", "I-PER", "O"]], (1.0, 1.0, 1.0, 2 / 3)),
        # An entity does not go on in the next sentence.
        ([["O", "B-PER"], ["I-PER"]], [["O", "B-PER"], ["B-PER"]], (1.0, 1.0, 1.0, 2 / 3)),
        ([["O", "O"]], [["O", "O"]], (0.0, 0.0, 0.0, 1.0)),
        ([["O", "O"]], [["B-PER", "O"]], (0.0, 0.0, 0.0, 0.5)),
        ([["B-PER", "O"]], [["O", "O"]], (0.0, 0.0, 0.0, 0.5)),
    ],
)
def test_values_worked_out_by_hand(
    predicted: list[list[str]], true: list[list[str]], scores: tuple[float, ...]
) -> None:
    values = measure(ENTITY_METRICS, predicted, true)
    assert tuple(values[name] for name in ("precision", "recall", "f1", "accuracy")) == pytest.approx(scores)


def test_entities_are_counted_anew_when_tags_change() -> None:
    predicted, true = [["B-PER", "O"]], [["B-PER", "O"]]
    assert entity_f1(predicted, true) == 1.0
    predicted[0][0] = "O"
    assert entity_f1(predicted, true) == 0.0


def test_bilou_tags_count_as_the_bioes_tags_that_mean_the_same() -> None:
    to_bilou = {"E": "L", "S": "U"}
    bioes = ["O", *(f"{mark}-{kind}" for mark in "BIES" for kind in ("PER", "LOC"))]
    bilou = [to_bilou.get(tag[0], tag[0]) + tag[1:] for tag in bioes]
    predicted, true = random_tags(1, bioes), random_tags(2, bioes)
    as_bilou = [
        [[to_bilou.get(tag[0], tag[0]) + tag[1:] for tag in row] for row in rows] for rows in (predicted, true)
    ]
    assert tag_metrics(bilou) is tag_metrics(bioes) is ENTITY_METRICS
    assert measure(ENTITY_METRICS, *as_bilou) == measure(ENTITY_METRICS, predicted, true)


def test_bmes_tags_count_as_the_bioes_tags_that_mean_the_same() -> None:
    bioes = ["O", *(f"{mark}-{kind}" for mark in "BIES" for kind in ("PER", "LOC"))]
    predicted, true = random_tags(3, bioes), random_tags(4, bioes)
    wanted = measure(ENTITY_METRICS, predicted, true)
    for inside, single in (("M", "S"), ("M", "W")):
        marks = {"I": inside, "S": single}
        renamed = [
            [[marks.get(tag[0], tag[0]) + tag[1:] for tag in row] for row in rows] for rows in (predicted, true)
        ]
        assert measure(ENTITY_METRICS, *renamed) == wanted


def test_types_that_differ_before_a_hyphen_are_different() -> None:
    true, predicted = [["B-person-other", "O", "B-work-film"]], [["B-place-other", "O", "B-work-film"]]
    assert entity_f1(predicted, true) == 0.5


def test_words_of_chinese_are_found_by_hand() -> None:
    # Right: the first word of two characters. Wrong: two single characters for one word of three.
    true, predicted = [["B", "E", "B", "M", "E"]], [["B", "E", "S", "B", "E"]]
    assert tag_metrics(["B", "M", "E", "S"]) is ENTITY_METRICS
    values = measure(ENTITY_METRICS, predicted, true)
    assert [values[name] for name in ("precision", "recall", "f1")] == pytest.approx([1 / 3, 1 / 2, 2 / 5])


@pytest.mark.parametrize(
    ("tags", "strange"),
    [
        (["O", "PER", "LOC"], "PER"),
        (["B_PER", "I_PER", "O"], "B_PER"),
        (["PER-B", "PER-I", "O"], "PER-B"),
        (["b-per", "i-per", "o"], "b-per"),
        (["B-PER", "I-PER", "0"], "0"),
        (["B-PER", "I-PER", "B-LOC", "X"], "X"),
        (["NOUN", "VERB", "ADJ"], None),
        (["N", "O", "V"], None),  # parts of speech of one letter
        (["B-PER", "I-PER", "O"], None),
        (["B", "M", "E", "S"], None),
        (["NN", "IN", "PRP$", "."], None),
    ],
)
def test_tags_that_nearly_follow_a_scheme_are_hinted_at(tags: list[str], strange: str | None) -> None:
    hint = hint_at_scheme(tags)
    assert (hint is None) is (strange is None)
    assert strange is None or f"but {strange!r} follows no known scheme" in str(hint)


def test_parts_of_speech_have_accuracy_and_macro_f1() -> None:
    predicted, true = [["NOUN", "VERB"], ["NOUN"]], [["NOUN", "NOUN"], ["NOUN"]]
    # NOUN: precision 1, recall 2/3, F1 4/5; VERB is never right.
    assert tag_metrics(["NOUN", "VERB", "ADJ"]) is TAG_METRICS
    assert tag_accuracy(predicted, true) == pytest.approx(2 / 3)
    assert tag_macro_f1(predicted, true) == pytest.approx(0.4)


@pytest.mark.parametrize(
    ("tags", "entities"),
    [
        (IOB, True),
        (["O", "B", "I"], True),
        (["B-creative-work", "O"], True),
        (["O", "U-PER", "L-PER"], True),
        (["NOUN", "VERB", "O"], False),
        (["O"], False),
        (["0", "1"], False),
        (["B-PER", "X"], False),
        (["INTJ", "SYM", "B"], False),
        (["B-PER", "M-PER", "E-PER", "S-PER", "O"], True),
        (["B-PER", "M-PER", "E-PER", "W-PER", "O"], True),
        (["B", "M", "E", "S"], True),  # each character is in a word
        (["S", "A", "B"], False),
        (["B_PER", "I_PER", "O"], False),
    ],
)
def test_which_tags_are_those_of_entities(tags: list[str], entities: bool) -> None:
    assert has_entities(tags) is entities
    assert ("f1" in tag_metrics(tags)) is entities


def test_the_baselines_guess_by_word_and_the_most_frequent_tag_of_all() -> None:
    train = Dataset.from_dict(
        {
            "tokens": [["Ann", "saw", "Paris"], ["Paris", "saw", "Ann", "a"], ["Paris", "a", "a"]],
            "tags": [["B-PER", "O", "B-LOC"], ["B-PER", "O", "B-PER", "O"], ["B-LOC", "O", "O"]],
        }
    )
    test = Dataset.from_dict(
        {"tokens": [["Ann", "saw", "Bob"], ["Paris"]], "tags": [["B-PER", "O", "B-PER"], ["B-LOC"]]}
    )
    results = tag_baselines(train, test, IOB)
    names = ("precision", "recall", "f1", "accuracy")
    assert [results["majority tag"][name] for name in names] == [0.0, 0.0, 0.0, 0.25]
    # Ann B-PER, saw O, Bob O (unknown), Paris B-LOC: two of three entities, nothing wrong.
    by_word = results["most frequent tag of each word"]
    assert [by_word[name] for name in names] == pytest.approx([1.0, 2 / 3, 0.8, 0.75])


def test_the_sentences_of_the_random_comparison_hold_broken_entities_too() -> None:
    tags = random_tags(0, IOB)
    assert any(row[0].startswith("I-") for row in tags)
    assert len(get_entities(tags)) > 40
