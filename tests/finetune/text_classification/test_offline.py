"""Names and summaries of functions: half of the pairs are wrong, and each wrong one is really wrong."""

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hf_strategies import StrategyError
from hf_strategies.finetune.offline.cache import Rows
from hf_strategies.finetune.offline.task import load_offline
from hf_strategies.finetune.text_classification.data import ClassificationArguments, load_classification
from hf_strategies.finetune.text_classification.offline import (
    OFFLINE_TASKS,
    SUMMARY_PAIRS,
    summary_of,
    with_wrong_summaries,
)

TWO_LIBRARIES = replace(SUMMARY_PAIRS, libraries=["evaluate", "datasets"])


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Rows:
    """The pairs of two libraries."""
    return load_offline(TWO_LIBRARIES, cache_dir=tmp_path_factory.mktemp("pairs"))


@pytest.mark.parametrize(
    ("docstring", "summary"),
    [
        ("Return the `largest` item.  Of several, the first.", "Return the largest item."),
        ("Return the largest\n    item of all.\n\n    Args:\n        x: One.", "Return the largest item of all."),
        ("Load it, e.g. Here.\n\nMore.", "Load it, e.g. Here."),
        ("Too short.", ""),
        ("no capital letter at the start.", ""),
        ("Without an end to it", ""),
        ("Word " * 41 + "end.", ""),
        ("", ""),
        (">>> code(1)\n2", ""),
    ],
)
def test_a_summary_is_the_first_sentence_or_nothing(docstring: str, summary: str) -> None:
    assert summary_of(docstring) == summary


def row(name: str, summary: str, library: str = "lib") -> dict[str, Any]:
    return {"sentence1": name, "sentence2": summary, "library": library, "source": f"{library}:{name}"}


def test_every_second_row_gets_the_summary_of_another_one() -> None:
    given = [row(f"f{index}", f"Does {index}.") for index in range(8)]
    rows = with_wrong_summaries(given)
    assert [made["label"] for made in rows] == ["yes", "no"] * 4
    assert [made["sentence1"] for made in rows] == [made["sentence1"] for made in given]
    assert {made["sentence1"]: made["sentence2"] for made in rows[1::2]} == {
        "f1": "Does 5.",
        "f3": "Does 7.",
        "f5": "Does 1.",
        "f7": "Does 3.",
    }
    assert given == [row(f"f{index}", f"Does {index}.") for index in range(8)]


def test_a_wrong_summary_is_of_the_same_library_and_no_function_of_the_same_last_name() -> None:
    given = [
        row(f"{kind}.{name}", f"{kind} {name}.", lib) for lib in "ab" for kind in "ABCDE" for name in ("fit", "get")
    ]
    for made in with_wrong_summaries(given):
        [owner] = [
            other
            for other in given
            if other["sentence2"] == made["sentence2"] and other["library"] == made["library"]
        ]
        same = owner["sentence1"].split(".")[1] == made["sentence1"].split(".")[1]
        assert same is (made["label"] == "yes")


def test_a_summary_that_two_functions_share_is_kept_once() -> None:
    rows = with_wrong_summaries(
        [row("a", "Same."), row("b", "Same."), row("c", "Other."), row("d", "Same.", "other")]
    )
    assert [made["sentence1"] for made in rows if made["label"] == "yes"] == ["a", "d"]


def test_functions_that_are_nearly_all_called_the_same_are_left_out_rather_than_wrong() -> None:
    rows = with_wrong_summaries([row(f"A{index}.fit", f"Fit {index}.") for index in range(6)])
    assert [made["label"] for made in rows] == ["yes"] * 3


class TestPairs:
    """The data set of two libraries."""

    def test_half_of_each_split_and_library_is_wrong(self, pairs: Rows) -> None:
        for split, rows in pairs.items():
            for library in ("evaluate", "datasets"):
                labels = Counter(made["label"] for made in rows if made["library"] == library)
                assert abs(labels["yes"] - labels["no"]) <= max(2, 0.1 * labels["yes"]), (split, library, labels)
        assert len(pairs["train"]) > 200

    def test_each_summary_is_used_once_in_its_split(self, pairs: Rows) -> None:
        for split, rows in pairs.items():
            uses = Counter((made["library"], made["sentence2"]) for made in rows)
            assert set(uses.values()) == {1}, split

    def test_no_file_is_in_two_splits(self, pairs: Rows) -> None:
        files = {split: {made["source"].partition(":")[0] for made in rows} for split, rows in pairs.items()}
        assert not files["train"] & files["test"]
        assert not files["train"] & files["validation"]
        assert not files["validation"] & files["test"]


def test_the_same_machine_gives_the_same_pairs(tmp_path: Path) -> None:
    task = replace(SUMMARY_PAIRS, libraries=["evaluate"])
    one, other = (load_offline(task, cache_dir=tmp_path / name) for name in "ab")
    assert one == other
    assert one["train"]


class TestFlag:
    """``--offline_task``."""

    def test_the_pairs_are_read_as_pairs(self, pairs: Rows, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(OFFLINE_TASKS, "summary_pair", TWO_LIBRARIES)
        data = load_classification(ClassificationArguments(offline_task="summary_pair"))
        assert data.splits["train"].column_names == ["text", "text_pair", "label"]
        assert data.splits["train"]["text_pair"][:] == [made["sentence2"] for made in pairs["train"]]
        assert data.labels == ("no", "yes")
        assert data.name == "names and summaries of functions (offline)"

    @pytest.mark.parametrize("named", ["train_file", "validation_file", "test_file", "dataset_name"])
    @pytest.mark.parametrize("task", ["library", "summary_pair"])
    def test_it_is_refused_beside_named_data(self, named: str, task: str) -> None:
        arguments: dict[str, Any] = {"offline_task": task, named: "x.csv"}
        with pytest.raises(StrategyError, match=f"offline_task='{task}' with {named}: give one or the other"):
            ClassificationArguments(**arguments)
