"""The metrics of tags: seqeval's for whole entities, and shares of words for any other tags; and the baselines.

Predictions and references are lists of sentences, each a list with the tag of each word.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from functools import lru_cache
from itertools import chain

from datasets import Dataset
from seqeval.metrics.sequence_labeling import accuracy_score, precision_recall_fscore_support
from sklearn.metrics import f1_score

from hf_strategies.finetune.metrics import Metric, measure
from hf_strategies.finetune.token_classification.schemes import SEQEVAL_MARKS, has_entities

__all__ = [
    "ENTITY_METRICS",
    "TAG_METRICS",
    "Tags",
    "entity_f1",
    "entity_precision",
    "entity_recall",
    "for_seqeval",
    "has_entities",
    "tag_accuracy",
    "tag_baselines",
    "tag_macro_f1",
    "tag_metrics",
]


Tags = Sequence[Sequence[str]]
"""The tags of each word of each sentence."""


def entity_precision(predictions: Tags, references: Tags) -> float:
    """The share of predicted entities that are right, in [0, 1]; 0 where none is predicted.

    An entity is right when its type, first word and last word are. As in seqeval without ``mode="strict"``, and in
    conlleval before it, an I- after O or after another type begins an entity. Tags may be IOB, BIOES, BILOU or BMES.

    >>> entity_precision([["B-a", "I-a", "B-b"]], [["B-a", "I-a", "O"]])
    0.5
    """
    return _entity_scores(_frozen(predictions), _frozen(references))[0]


def entity_recall(predictions: Tags, references: Tags) -> float:
    """The share of true entities that are predicted, in [0, 1]; 0 where there is none. See `entity_precision`.

    >>> entity_recall([["B-a", "I-a", "B-b"]], [["B-a", "I-a", "O"]])
    1.0
    """
    return _entity_scores(_frozen(predictions), _frozen(references))[1]


def entity_f1(predictions: Tags, references: Tags) -> float:
    """The harmonic mean of precision and recall of entities, in [0, 1]; 0 where both are. See `entity_precision`.

    >>> entity_f1([["B-a", "I-a", "B-b"]], [["B-a", "I-a", "O"]])
    0.6666666666666666
    """
    return _entity_scores(_frozen(predictions), _frozen(references))[2]


def tag_accuracy(predictions: Tags, references: Tags) -> float:
    """The share of words with the right tag, in [0, 1].

    >>> tag_accuracy([["NOUN", "VERB"], ["NOUN"]], [["NOUN", "NOUN"], ["NOUN"]])
    0.6666666666666666
    """
    return float(accuracy_score(references, predictions))


def tag_macro_f1(predictions: Tags, references: Tags) -> float:
    """The mean over the tags of F1 over words, each tag weighing the same, in [0, 1].

    A tag counts that is predicted or true at least once.

    >>> tag_macro_f1([["NOUN", "VERB"], ["NOUN"]], [["NOUN", "NOUN"], ["NOUN"]])
    0.4
    """
    true, predicted = list(chain.from_iterable(references)), list(chain.from_iterable(predictions))
    return float(f1_score(true, predicted, average="macro", zero_division=0.0))


ENTITY_METRICS: dict[str, Metric] = {
    "precision": entity_precision,
    "recall": entity_recall,
    "f1": entity_f1,
    "accuracy": tag_accuracy,
}
TAG_METRICS: dict[str, Metric] = {"accuracy": tag_accuracy, "macro_f1": tag_macro_f1}


def tag_metrics(tags: Sequence[str]) -> dict[str, Metric]:
    """Return the table for a data set that has these tags: of entities where there are any, else of single tags.

    >>> list(tag_metrics(["O", "B-PER"])), list(tag_metrics(["NOUN", "VERB"]))
    (['precision', 'recall', 'f1', 'accuracy'], ['accuracy', 'macro_f1'])
    """
    return ENTITY_METRICS if has_entities(tags) else TAG_METRICS


@lru_cache(maxsize=1)
def _entity_scores(predictions: Tags, references: Tags) -> tuple[float, float, float]:
    """Return precision, recall and F1 of entities; an evaluation asks for all three, and finding entities is slow."""
    precision, recall, f1, _ = precision_recall_fscore_support(
        for_seqeval(references), for_seqeval(predictions), average="micro", zero_division=0
    )
    return float(precision), float(recall), float(f1)


def _frozen(sentences: Tags) -> Tags:
    return tuple(map(tuple, sentences))


def for_seqeval(sentences: Tags) -> list[list[str]]:
    """Return tags with seqeval's marks, and with types in one piece: it reads a type from its last hyphen on."""
    tags = {tag for sentence in sentences for tag in sentence}
    known = {tag: SEQEVAL_MARKS.get(tag[0], tag[0]) + tag[1:2] + tag[2:].replace("-", "\0") for tag in tags}
    return [[known[tag] for tag in sentence] for sentence in sentences]


def tag_baselines(train: Dataset, test: Dataset, tags: Sequence[str]) -> dict[str, dict[str, float]]:
    """Measure the most frequent tag of ``train`` on ``test``: that of all words, and that of each word.

    Both have the columns ``tokens`` and ``tags``; ``tags`` are all that there are. A word that is not in ``train``
    gets the most frequent tag of all words. Of tags that are equally frequent the first in ``train`` is taken.
    """
    by_word: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for tokens, sentence_tags in zip(train["tokens"], train["tags"], strict=True):
        for token, tag in zip(tokens, sentence_tags, strict=True):
            by_word[token][tag] += 1
    majority = Counter(chain.from_iterable(train["tags"])).most_common(1)[0][0]
    most_frequent = {token: counts.most_common(1)[0][0] for token, counts in by_word.items()}
    sentences, references = list(test["tokens"]), list(test["tags"])
    predictions = {
        "majority tag": [[majority] * len(tokens) for tokens in sentences],
        "most frequent tag of each word": [
            [most_frequent.get(token, majority) for token in tokens] for tokens in sentences
        ],
    }
    return {name: measure(tag_metrics(tags), predicted, references) for name, predicted in predictions.items()}
