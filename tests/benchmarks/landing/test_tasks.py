"""The rows that a task of the landing study draws."""

from dataclasses import replace
from typing import Any

import pytest

from benchmarks.landing.tasks import TASKS, Task, _sentences
from benchmarks.strategies.tasks import Splits


def rows_of(task: Task) -> Splits:
    label: Any = (lambda n: [float(n % 2), float(n % 3 == 0)]) if task.kind == "many" else (lambda n: n % 5)
    return {split: [((f"{split} {n}",), label(n)) for n in range(2000)] for split in ("train", "validation", "test")}


@pytest.mark.parametrize("name", ["docstrings", "nlupp", "banking77_16"])
def test_a_task_with_wrong_labels_has_the_rows_of_the_one_without(name: str) -> None:
    clean, wrong = (
        replace(task, rows=lambda task=task: rows_of(task)).draw(1)
        for task in (TASKS[name], TASKS[f"{name}_flipped"])
    )
    assert clean["validation"] == wrong["validation"]
    assert clean["test"] == wrong["test"]
    assert [texts for texts, _ in clean["train"]] == [texts for texts, _ in wrong["train"]]
    changed = sum(a != b for a, b in zip(clean["train"], wrong["train"], strict=True))
    assert changed == round(0.2 * len(clean["train"]))


@pytest.mark.parametrize("name", ["docstrings", "wnut17"])
def test_no_row_is_trained_on_and_validated(name: str) -> None:
    task = replace(TASKS[name], rows=lambda: rows_of(TASKS["docstrings"]))
    drawn = [task.draw(seed) for seed in (0, 1)]
    for splits in drawn:
        assert {texts for texts, _ in splits["train"]}.isdisjoint({texts for texts, _ in splits["validation"]})
        assert [len(splits[split]) for split in splits] == [task.train, task.validation, task.test]
        official = {texts[0].split()[0] for texts, _ in splits["validation"]}
        assert official == ({"train", "validation"} if task.pooled else {"validation"})
    assert drawn[0] != drawn[1]


def test_rows_of_a_context_stay_on_one_side() -> None:
    splits = {"train": [((f"question {n}", f"{n // 20}"), n % 2) for n in range(2000)], "validation": [], "test": []}
    task = replace(TASKS["xquad"], rows=lambda: splits, context=lambda row: row[0][1], test=0)
    drawn = task.draw(0)
    trained, held = ({task.context(row) for row in drawn[split]} for split in ("train", "validation"))  # type: ignore[misc]
    assert trained.isdisjoint(held)
    assert (len(drawn["train"]), len(drawn["validation"])) == (1008, 500)


def test_sentences_cover_the_text_and_end_before_a_capital() -> None:
    text = 'It was 3.5 km long. He said "No." Then he left, e.g. by train.'
    found = list(_sentences(text))
    assert [sentence for _, _, sentence in found] == [
        "It was 3.5 km long.", 'He said "No."', "Then he left, e.g. by train.",
    ]  # fmt: skip
    assert [start for start, _, _ in found] == [0, *(end for _, end, _ in found[:-1])]
    assert found[-1][1] == len(text)


def test_at_least_eight_settings_of_which_two_are_small() -> None:
    assert len(TASKS) == 13
    small = [task.name for task in TASKS.values() if (task.train, task.validation) == (240, 128)]
    assert small == ["banking77_30_small", "docstrings_small_flipped"]
    for task in TASKS.values():
        if task.name not in (*small, "sts16"):
            assert (task.train, task.validation) == (1008, 500)
