"""How examples are chosen and split: whole files, copies once, each library in the same way."""

from collections.abc import Callable

import pytest

from hf_strategies.finetune.offline.docstrings import Docstring
from hf_strategies.finetune.offline.splits import SPLITS, Example, LibraryExamples, Split, split_by_hash, split_evenly


def library(name: str, files: int, *, in_each: int = 1, text: Callable[[int], str] | None = None) -> LibraryExamples:
    """Examples numbered from 0, ``in_each`` file as many."""
    for file in range(files):
        docstring = Docstring(name, f"{file}.py", "<module>", "")
        texts = [(text or f"{name} {{}}".format)(file * in_each + number) for number in range(in_each)]
        yield docstring, [Example({"text": each}, docstring, each, each) for each in texts]


@pytest.mark.parametrize("split", [split_by_hash, split_evenly])
def test_no_file_is_in_two_splits(split: Split) -> None:
    splits = split({name: library(name, 100, in_each=3) for name in "ab"}, 300, 0)
    files = {split: {example.docstring.source for example in examples} for split, examples in splits.items()}
    assert sum(map(len, files.values())) == len(set.union(*files.values()))
    assert all(files[split] for split in SPLITS)


def test_by_hash_the_first_examples_of_each_library_are_taken_and_of_copies_the_first() -> None:
    splits = split_by_hash({"a": library("a", 9, text=str), "b": library("b", 9, text=str)}, 5, 0)
    taken = {(each.docstring.library, each.row["text"]) for examples in splits.values() for each in examples}
    assert taken == {("a", str(number)) for number in range(5)}


def test_by_hash_about_a_tenth_of_the_files_is_held_out_for_each_set() -> None:
    splits = split_by_hash({"a": library("a", 2000)}, 2000, 0)
    assert sum(map(len, splits.values())) == 2000
    assert 160 < len(splits["validation"]) < 240
    assert 160 < len(splits["test"]) < 240


def test_evenly_each_library_gives_80_10_and_10_percent_and_nothing_that_two_share() -> None:
    libraries = {"a": library("a", 200), "b": library("b", 200, text=lambda n: f"a {n}" if n < 20 else f"b {n}")}
    splits = split_evenly(libraries, 100, 0)
    for name in libraries:
        sizes = [sum(each.docstring.library == name for each in splits[split]) for split in SPLITS]
        assert sizes == [80, 10, 10]
    shared = {f"a {number}" for number in range(20)}
    assert not shared & {each.row["text"] for examples in splits.values() for each in examples}


def test_evenly_a_large_file_goes_to_train() -> None:
    large = [(Docstring("a", "large.py", "<module>", ""), [f"large {number}" for number in range(30)])]
    examples = [(docstring, [Example({}, docstring, text, text) for text in texts]) for docstring, texts in large]
    for seed in range(5):
        splits = split_evenly({"a": [*examples, *library("a", 70)]}, 100, seed)
        assert {each.docstring.path for each in splits["train"]} >= {"large.py"}
        assert "large.py" not in {each.docstring.path for split in SPLITS[1:] for each in splits[split]}
