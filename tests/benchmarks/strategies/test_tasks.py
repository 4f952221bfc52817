"""What the tasks of the benchmark of strategies are made of: flipped labels, metrics, batches."""

import random
from collections import Counter

import numpy as np
import pytest

from benchmarks.strategies import models, tasks


def test_a_fifth_of_the_labels_is_flipped_and_no_text_changes() -> None:
    rows = [((f"text {index}",), index % 4) for index in range(100)]
    flipped = tasks.flip(rows, 0.2, random.Random(0))
    assert [texts for texts, _ in flipped] == [texts for texts, _ in rows]
    assert sum(new != old for (_, new), (_, old) in zip(flipped, rows, strict=True)) == 20
    assert flipped == tasks.flip(rows, 0.2, random.Random(0))
    assert flipped != tasks.flip(rows, 0.2, random.Random(1))


def test_the_flipped_task_has_the_rows_of_the_clean_one(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = {split: [((f"{split} {n}",), n % 3) for n in range(600)] for split in ("train", "validation", "test")}
    drawn = []
    for name in ("banking77", "banking77_flipped"):
        task = tasks.TASKS[name]
        monkeypatch.setitem(vars(task), "rows", lambda: rows)
        drawn.append(task.draw(3))
    clean, noisy = drawn
    assert clean["validation"] == noisy["validation"]
    assert clean["test"] == noisy["test"]
    assert [texts for texts, _ in clean["train"]] == [texts for texts, _ in noisy["train"]]
    changed = sum(a != b for a, b in zip(clean["train"], noisy["train"], strict=True))
    assert changed == round(0.2 * len(clean["train"]))


def test_metrics_on_values_worked_out_by_hand() -> None:
    logits = np.array([[2.0, 1.0], [0.0, 3.0], [1.0, 0.0], [5.0, 6.0]])
    assert tasks.accuracy(logits, np.array([0, 1, 1, 1])) == 0.75
    # Said: (0), (0, 1); true: (0, 1), (1): two of three said are right, two of three true are said.
    assert tasks.micro_f1(np.array([[1.0, -1.0], [1.0, 1.0]]), np.array([[1.0, 1.0], [0.0, 1.0]])) == 2 * 2 / 6
    assert tasks.micro_f1(np.array([[-1.0]]), np.array([[0.0]])) == 0.0
    assert tasks.spearman(np.array([[0.1], [0.2], [0.9]]), np.array([0.0, 0.5, 1.0])) == pytest.approx(1.0)
    assert tasks.spearman(np.array([[0.1], [0.1], [0.1]]), np.array([0.0, 0.5, 1.0])) == 0.0


def test_an_epoch_is_every_row_once_in_batches_of_like_length() -> None:
    rows = [{"input_ids": [1] * (1 + index % 40)} for index in range(200)]
    sampler = models.LikeLengths(rows, seed=0)
    first, second = list(sampler), list(sampler)
    assert Counter(first) == Counter(range(200)) == Counter(second)
    assert first != second
    assert list(models.LikeLengths(rows, seed=0)) == first
    batches = [first[start : start + 16] for start in range(0, 200, 16)]
    assert [len(batch) for batch in batches] == [16] * 12 + [8]
    spreads = [max(len(rows[i]["input_ids"]) for i in b) - min(len(rows[i]["input_ids"]) for i in b) for b in batches]
    assert np.mean(spreads) < 20  # of rows taken at random it would be about 35


def test_padding_is_marked_as_such() -> None:
    rows = [
        {"input_ids": [5, 6, 7], "token_type_ids": [0, 0, 1], "attention_mask": [1, 1, 1], "labels": 1},
        {"input_ids": [5], "token_type_ids": [0], "attention_mask": [1], "labels": 0},
    ]
    batch = models.collate(rows)
    assert batch["input_ids"].tolist() == [[5, 6, 7], [5, 0, 0]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1], [1, 0, 0]]
    assert batch["labels"].tolist() == [1, 0]
