"""The baselines of token classification: the most frequent tag, of all words and of each word."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from itertools import chain

from datasets import Dataset

from hf_strategies.finetune.metrics import measure
from hf_strategies.finetune.token_classification.metrics import tag_metrics

__all__ = ["tag_baselines"]


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
