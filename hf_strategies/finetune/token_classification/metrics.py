"""Metrics of tags: seqeval's for entities, shares of tags for all others; and what a tagger must beat."""

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from itertools import chain

import datasets
import evaluate
from datasets import Dataset
from seqeval.metrics.sequence_labeling import accuracy_score, precision_recall_fscore_support
from sklearn.metrics import f1_score

__all__ = [
    "TOKEN_METRICS",
    "EntityScores",
    "TagAccuracy",
    "TagMacroF1",
    "has_entities",
    "metric_names",
    "tag_baselines",
    "tag_scores",
]

Tags = Sequence[Sequence[str]]
"""The tags of each word of each sentence."""

_ENTITY_TAG = re.compile(r"[BILESU](?:-.+)?|O")
# seqeval's conlleval mode knows the last word of an entity, and an entity of one word, by these marks only.
_SEQEVAL = {"L": "E", "U": "S"}


class _TagMetric(evaluate.Metric):
    """A metric of predicted against true tags, sentence by sentence, computed in memory."""

    def __init__(self) -> None:
        super().__init__(keep_in_memory=True)

    def _info(self) -> evaluate.MetricInfo:
        tags = datasets.Sequence(datasets.Value("string"))
        return evaluate.MetricInfo(
            description=type(self).__doc__ or "",
            citation="seqeval, Nakayama 2018; scikit-learn, Pedregosa et al. 2011",
            features=datasets.Features({"predictions": tags, "references": tags}),
        )


class EntityScores(_TagMetric):
    """Precision, recall and F1 of whole entities over all types together, each in [0, 1]; 0 where undefined.

    An entity is right when its type, first word and last word are. As seqeval has it without ``mode="strict"``, and
    conlleval before it: an I- after O or after another type begins an entity. Tags may be IOB, BIOES or BILOU.

    >>> EntityScores().compute(predictions=[["B-a", "I-a", "B-b"]], references=[["B-a", "I-a", "O"]])
    {'precision': 0.5, 'recall': 1.0, 'f1': 0.6666666666666666}
    """

    def _compute(self, predictions: Tags, references: Tags) -> dict[str, float]:
        precision, recall, f1, _ = precision_recall_fscore_support(
            _for_seqeval(references), _for_seqeval(predictions), average="micro", zero_division=0
        )
        return {"precision": float(precision), "recall": float(recall), "f1": float(f1)}


class TagAccuracy(_TagMetric):
    """The share of words with the right tag, in [0, 1].

    >>> TagAccuracy().compute(predictions=[["NOUN", "VERB"], ["NOUN"]], references=[["NOUN", "NOUN"], ["NOUN"]])
    {'accuracy': 0.6666666666666666}
    """

    def _compute(self, predictions: Tags, references: Tags) -> dict[str, float]:
        return {"accuracy": float(accuracy_score(references, predictions))}


class TagMacroF1(_TagMetric):
    """The mean over the tags of F1 over words, each tag weighing the same, in [0, 1].

    A tag counts that is predicted or true at least once.

    >>> TagMacroF1().compute(predictions=[["NOUN", "VERB"], ["NOUN"]], references=[["NOUN", "NOUN"], ["NOUN"]])
    {'macro_f1': 0.4}
    """

    def _compute(self, predictions: Tags, references: Tags) -> dict[str, float]:
        true, predicted = list(chain.from_iterable(references)), list(chain.from_iterable(predictions))
        return {"macro_f1": float(f1_score(true, predicted, average="macro", zero_division=0.0))}


_OF_ENTITIES = {("precision", "recall", "f1"): EntityScores, ("accuracy",): TagAccuracy}
_OF_TAGS = {("accuracy",): TagAccuracy, ("macro_f1",): TagMacroF1}

TOKEN_METRICS = ("precision", "recall", "f1", "accuracy", "macro_f1")
"""All that may be reported; which it is depends on the tags (`metric_names`)."""


def has_entities(tags: Sequence[str]) -> bool:
    """Return whether these are the tags of entities: O, and others that begin with B-, I- (or E-, S-, L-, U-).

    >>> has_entities(["O", "B-PER", "I-PER"]), has_entities(["NOUN", "VERB"]), has_entities(["O"])
    (True, False, False)
    """
    return all(map(_ENTITY_TAG.fullmatch, tags)) and set(tags) > {"O"}


def metric_names(tags: Sequence[str]) -> tuple[str, ...]:
    """Return the metrics for these tags: of entities where there are any, else of single tags.

    >>> metric_names(["O", "B-PER"]), metric_names(["NOUN", "VERB"])
    (('precision', 'recall', 'f1', 'accuracy'), ('accuracy', 'macro_f1'))
    """
    return tuple(chain.from_iterable(_OF_ENTITIES if has_entities(tags) else _OF_TAGS))


def tag_scores(predictions: Tags, references: Tags, tags: Sequence[str]) -> dict[str, float]:
    """Return the values of `metric_names` of the predicted against the true tags; ``tags`` are all there are."""
    values: dict[str, float] = {}
    for metric in (_OF_ENTITIES if has_entities(tags) else _OF_TAGS).values():
        values |= metric().compute(predictions=predictions, references=references)
    return values


def tag_baselines(train: Dataset, test: Dataset, tags: Sequence[str]) -> dict[str, dict[str, float]]:
    """Measure on ``test`` what needs no model: the most frequent tag of ``train``, of all words and of each word.

    Both have the columns ``tokens`` and ``tags``. A word that is not in ``train`` gets the most frequent tag of all;
    of tags that are as frequent as each other the one that comes first in ``train`` is taken.
    """
    by_word: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for tokens, sentence_tags in zip(train["tokens"], train["tags"], strict=True):
        for token, tag in zip(tokens, sentence_tags, strict=True):
            by_word[token][tag] += 1
    majority = Counter(chain.from_iterable(train["tags"])).most_common(1)[0][0]
    usual = {token: times.most_common(1)[0][0] for token, times in by_word.items()}
    sentences, truth = list(test["tokens"]), list(test["tags"])
    guesses = {
        "majority tag": [[majority] * len(tokens) for tokens in sentences],
        "most frequent tag of each word": [[usual.get(token, majority) for token in tokens] for tokens in sentences],
    }
    return {name: tag_scores(guess, truth, tags) for name, guess in guesses.items()}


def _for_seqeval(sentences: Tags) -> list[list[str]]:
    return [[_SEQEVAL.get(tag[0], tag[0]) + tag[1:] for tag in sentence] for sentence in sentences]
