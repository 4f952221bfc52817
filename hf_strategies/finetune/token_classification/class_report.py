"""The report of each type of entity, or of each tag, of a set of sentences."""

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any

from seqeval.metrics.sequence_labeling import get_entities, precision_recall_fscore_support

from hf_strategies.finetune.class_report import ClassReport, confusion_of, label_report, scores_of
from hf_strategies.finetune.token_classification.metrics import Tags, for_seqeval, has_entities

__all__ = ["NO_ENTITY", "entity_report", "tag_report", "token_report"]

NO_ENTITY = "(none)"
"""In the confusion of entities, the class of words that are no entity, or another one."""

_AVERAGES = ("micro", "macro", "weighted")
_UNTYPED = "_"  # seqeval's type of the entities of tags without types, such as B and M of Chinese words


def token_report(predictions: Tags, references: Tags, tags: Sequence[str]) -> ClassReport:
    """Return the report of entities where ``tags``, those of the model, have any, else of single tags."""
    make = entity_report if has_entities(tags) else tag_report
    return make(predictions, references)


def entity_report(predictions: Tags, references: Tags) -> ClassReport:
    """Return the report of whole entities by their type, as seqeval counts them.

    In the confusion, an entity whose words are predicted exactly counts under the predicted type; one whose words are
    not an entity of the other side counts as missed, or as predicted where there is none (`NO_ENTITY`).

    >>> report = entity_report([["B-a", "I-a", "B-b"]], [["B-a", "I-a", "O"]])
    >>> report.classes["b"]
    {'precision': 0.0, 'recall': 0.0, 'f1': 0.0, 'support': 0}
    >>> report.confusion
    {'a': {'a': 1}, '(none)': {'b': 1}}
    """
    predicted, true = for_seqeval(predictions), for_seqeval(references)
    pairs = list(_pairs(_spans(predicted), _spans(true)))
    names = sorted({name for pair in pairs for name in pair} - {NO_ENTITY})

    def measure(average: str | None) -> Any:
        return precision_recall_fscore_support(true, predicted, average=average, zero_division=0)

    return ClassReport("entities", *scores_of(measure, names, _AVERAGES), confusion_of(pairs, [*names, NO_ENTITY]))


def tag_report(predictions: Tags, references: Tags) -> ClassReport:
    """Return the report of words by their tag.

    >>> tag_report([["NOUN", "VERB"]], [["NOUN", "NOUN"]]).confusion
    {'NOUN': {'NOUN': 1, 'VERB': 1}}
    """
    predicted, true = (list(chain.from_iterable(sentences)) for sentences in (predictions, references))
    names = sorted({*predicted, *true})
    places = {name: place for place, name in enumerate(names)}
    report = label_report([places[tag] for tag in predicted], [places[tag] for tag in true], names)
    return ClassReport("words", report.classes, report.averages, report.confusion)


def _spans(sentences: list[list[str]]) -> dict[tuple[int, int], str]:
    """Return the type of each entity by its first and last word, counted over all sentences."""
    entities = get_entities(sentences)
    names = ((str(name).replace("\0", "-"), start, end) for name, start, end in entities)
    return {(start, end): "entity" if name == _UNTYPED else name for name, start, end in names}


def _pairs(predicted: dict[tuple[int, int], str], true: dict[tuple[int, int], str]) -> Iterator[tuple[str, str]]:
    """Yield the true and the predicted type at the words of each entity of either side."""
    for words in {**true, **predicted}:
        yield true.get(words, NO_ENTITY), predicted.get(words, NO_ENTITY)
