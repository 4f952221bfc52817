"""Tasks of the landing study: more rows and more kinds of tasks than those on which the defaults were chosen.

They build on the data sets of `benchmarks.strategies.tasks`. A task has at least 1000 training and 500 validation
rows where its data allow it; three are small on purpose.
"""

import random
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import groupby
from typing import Any

from benchmarks.strategies.tasks import FLIPPED, Row, Splits, _read, banking77, docstrings, flip, nlupp, sts16

EVALUATIONS_PER_EPOCH = 2
MINILM_RATES = (2e-4, 6e-4)
SMALL_BERT_RATES = (5e-4, 1.5e-3)


@dataclass(frozen=True)
class Task:
    """A task; ``data`` names its data set, so that tasks which share one can be left out together.

    ``kind`` is "labels" (one of several), "many" (any of several), "number" or "tokens" (a label for each word).
    ``pooled`` draws the validation rows from the rows that are not trained on; otherwise from the official
    validation set. ``context`` maps a row to what must not be on both sides. ``epochs`` is the length of the hold.
    """

    name: str
    data: str
    rows: Callable[[], Splits]
    kind: str
    train: int
    validation: int
    test: int
    max_length: int
    flipped: float = 0.0
    small_bert: bool = False
    pooled: bool = True
    context: Callable[[Row], str] | None = None
    epochs: int = 14

    @property
    def metric(self) -> str:
        """The name of its metric; that of the tokens counts words with a label other than O."""
        return {"labels": "accuracy", "number": "spearman"}.get(self.kind, "micro_f1")

    @property
    def rates(self) -> tuple[float, float]:
        """A moderate and a high peak rate, by the kind of model and not by the task."""
        return SMALL_BERT_RATES if self.small_bert else MINILM_RATES

    def draw(self, seed: int) -> Splits:
        """Draw the rows of a seed; some labels of the training set are flipped, of the others never.

        A task with flipped labels has the rows of the one without.
        """
        generator = random.Random(f"{self.name.removesuffix('_flipped')} {seed}")
        everything = self.rows()
        pool = self._shuffled(everything["train"] + (everything["validation"] if self.pooled else []), generator)
        held = pool[self.train :] if self.pooled else self._shuffled(everything["validation"], generator)
        if self.context is not None:
            trained = {self.context(row) for row in pool[: self.train]}
            held = [row for row in held if self.context(row) not in trained]
        test = generator.sample(everything["test"], min(self.test, len(everything["test"])))
        train = flip(pool[: self.train], self.flipped, generator)
        return {"train": train, "validation": held[: self.validation], "test": test}

    def _shuffled(self, rows: list[Row], generator: random.Random) -> list[Row]:
        """Return the rows in a random order, those of a context one after another."""
        context = self.context or (lambda row: repr(row))
        groups = [list(group) for _, group in groupby(sorted(rows, key=context), key=context)]
        generator.shuffle(groups)
        return [row for group in groups for row in group]


# --- rows ---------------------------------------------------------------------------------------------------


def wnut17() -> Splits:
    """Return the words of WNUT-17 with a label each; 0 is O."""
    splits = {split: _read("wnut17", split) for split in ("train", "validation", "test")}
    names = ["O", *sorted({tag for row in splits["train"] for tag in row["ner_tags"]} - {"O"})]
    return {
        split: [(tuple(row["tokens"]), [names.index(tag) for tag in row["ner_tags"]]) for row in rows]
        for split, rows in splits.items()
    }


def xquad() -> Splits:
    """Return a question with a sentence of its paragraph: 1 where the sentence holds the answer.

    Each question is there twice, with that sentence and with another one of the same paragraph. The official
    validation set, of other articles, is the test set.
    """
    return {"train": list(_pairs("train")), "validation": [], "test": list(_pairs("validation"))}


def _pairs(split: str) -> Iterable[Row]:
    generator = random.Random(0)
    for row in _read("xquad_en", split):
        start, sentences = row["answers"]["answer_start"][0], list(_sentences(row["context"]))
        right = [text for first, last, text in sentences if first <= start < last]
        wrong = [text for first, last, text in sentences if not first <= start < last]
        if right and wrong:
            yield (row["question"], right[0]), 1
            yield (row["question"], generator.choice(wrong)), 0


def _sentences(text: str) -> Iterable[tuple[int, int, str]]:
    start = 0
    for end in [*(match.end() for match in re.finditer(r"[.!?]['\")]*\s+(?=[\"'(]?[A-Z])", text)), len(text)]:
        yield start, end, text[start:end].strip()
        start = end


@lru_cache(maxsize=1)
def _paragraphs() -> Mapping[str, str]:
    return {row["question"]: row["context"] for split in ("train", "validation") for row in _read("xquad_en", split)}


def paragraph(row: Row) -> str:
    """Return the paragraph of a pair of `xquad`."""
    return _paragraphs()[row[0][0]]


_30: Any = partial(banking77, 30)

TASKS: Mapping[str, Task] = {
    task.name: task
    for task in (
        Task("wnut17", "wnut17", wnut17, "tokens", 1008, 500, 1000, 48, pooled=False),
        Task("xquad", "xquad", xquad, "labels", 1008, 500, 700, 64, context=paragraph),
        Task("banking77", "banking77", partial(banking77, 77), "labels", 1008, 500, 1000, 32),
        Task("banking77_16", "banking77", banking77, "labels", 1008, 500, 640, 32),
        Task("banking77_16_flipped", "banking77", banking77, "labels", 1008, 500, 640, 32, flipped=FLIPPED),
        Task("nlupp", "nlupp", nlupp, "many", 1008, 500, 385, 32),
        Task("nlupp_flipped", "nlupp", nlupp, "many", 1008, 500, 385, 32, flipped=FLIPPED),
        Task("docstrings", "docstrings", docstrings, "labels", 1008, 500, 1000, 32),
        Task("docstrings_flipped", "docstrings", docstrings, "labels", 1008, 500, 1000, 32, flipped=FLIPPED),
        Task("docstrings_new", "docstrings", docstrings, "labels", 1008, 500, 1000, 32, small_bert=True),
        Task("sts16", "sts16", sts16, "number", 208, 149, 350, 48, epochs=20),
        Task("banking77_30_small", "banking77", _30, "labels", 240, 128, 1000, 32, epochs=20),
        Task("docstrings_small_flipped", "docstrings", docstrings, "labels", 240, 128, 1000, 32,
             flipped=FLIPPED, epochs=20),
    )
}  # fmt: skip
