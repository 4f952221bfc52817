"""Which examples of an offline data set are taken, and which split each goes to.

The examples of one source file always go to the same split, because two sentences of one file resemble each other.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from typing import NamedTuple

from hf_strategies.errors import StrategyError
from hf_strategies.finetune.offline.cache import Row
from hf_strategies.finetune.offline.docstrings import Docstring, stable_rank

__all__ = ["SPLITS", "Example", "LibraryExamples", "Split", "split_by_hash", "split_evenly"]

SPLITS = ("train", "validation", "test")

_HELD_OUT = 10  # percent of the files or of the examples, to validation and as many to test
# `split_evenly` stops reading a library when it has this many times the examples that are wanted, because torch and
# transformers have thousands of files; but not before it has read enough files for all splits.
_ENOUGH_EXAMPLES, _ENOUGH_FILES = 1.5, 60
# A file with more than a fiftieth of a library's examples goes to train: it would be a fifth of a held-out split.
_LARGE_FILE = 50


class Example(NamedTuple):
    """A row and the docstring it was made of.

    Examples with the same ``key`` are copies of each other. ``rank`` is a hash of seed and row; examples sorted by it
    are in a random order that is the same on each machine.
    """

    row: Row
    docstring: Docstring
    key: str
    rank: str


LibraryExamples = Iterable[tuple[Docstring, list[Example]]]
"""The docstrings of one library, each with the examples made of it (maybe none), read one after the other."""

Split = Callable[[Mapping[str, LibraryExamples], int, int], dict[str, list[Example]]]
"""Takes the examples of each library, the number wanted per library, and the seed; returns examples by split."""


def split_by_hash(libraries: Mapping[str, LibraryExamples], per_library: int, seed: int) -> dict[str, list[Example]]:
    """Take the first examples of each library; give each file to a split by its hash.

    About 80 % of the files go to train, 10 % to validation and 10 % to test. Of copies, the first one is kept.
    """
    distinct: dict[str, Example] = {}
    for examples in libraries.values():
        flat = (example for _, of_docstring in examples for example in of_docstring)
        for example in islice(flat, per_library):
            distinct.setdefault(example.key, example)
    splits: dict[str, list[Example]] = {split: [] for split in SPLITS}
    for example in distinct.values():
        splits[_split_of(example.docstring, seed)].append(example)
    return splits


def split_evenly(libraries: Mapping[str, LibraryExamples], per_library: int, seed: int) -> dict[str, list[Example]]:
    """Take ``per_library`` examples of each library, 80 % to train, 10 % to validation and 10 % to test.

    Use it where the library is the label: each label is then equally frequent in each split. Examples that two
    libraries share are left out, as their label is ambiguous. A library with fewer examples gives all that it has.

    Raises `StrategyError` for ``per_library`` below 10, and if a library has too few files for each split.
    """
    if per_library < 10:
        raise StrategyError(f"per_library={per_library}: a tenth is held out per split, so give 10 or more")
    distinct = [_read_enough(examples, per_library) for examples in libraries.values()]
    occurrences = Counter(key for examples in distinct for key in examples)
    splits: dict[str, list[Example]] = {split: [] for split in SPLITS}
    for examples in distinct:
        unambiguous = [example for key, example in examples.items() if occurrences[key] == 1]
        for split, chosen in _fill_splits(unambiguous, per_library, seed).items():
            splits[split] += chosen
    _check_each_library_is_in_each_split(splits, libraries)
    return splits


def _split_of(docstring: Docstring, seed: int) -> str:
    percent = int(stable_rank(seed, "split", docstring.library, docstring.path), 16) % 100
    return "validation" if percent < _HELD_OUT else "test" if percent < 2 * _HELD_OUT else "train"


def _read_enough(examples: LibraryExamples, per_library: int) -> dict[str, Example]:
    """Return the distinct examples of a library by their key, reading no more files than are needed."""
    distinct: dict[str, Example] = {}
    files: set[str] = set()
    for docstring, of_docstring in examples:
        for example in of_docstring:
            distinct.setdefault(example.key, example)
        files.add(docstring.path)
        if len(distinct) >= _ENOUGH_EXAMPLES * per_library and len(files) >= _ENOUGH_FILES:
            break
    return distinct


def _fill_splits(examples: list[Example], per_library: int, seed: int) -> dict[str, list[Example]]:
    """Give whole files, in the order of a hash, to validation until it is full, then to test, the rest to train.

    Large files come last and so go to train: otherwise one file could be most of what is measured. Each split is then
    cut to its size.
    """
    by_file = defaultdict(list)
    for example in examples:
        by_file[f"{example.docstring.library}/{example.docstring.path}"].append(example)
    wanted = min(len(examples), per_library)
    held_out = wanted * _HELD_OUT // 100
    sizes = {"validation": held_out, "test": held_out, "train": wanted - 2 * held_out}
    splits: dict[str, list[Example]] = {split: [] for split in SPLITS}

    def small_files_first(file: str) -> tuple[bool, str]:
        return len(by_file[file]) > wanted / _LARGE_FILE, stable_rank(seed, "split", file)

    for file in sorted(by_file, key=small_files_first):
        split = next((name for name in ("validation", "test") if len(splits[name]) < sizes[name]), "train")
        splits[split] += by_file[file]
    return {
        split: sorted(chosen, key=lambda example: example.rank)[: sizes[split]] for split, chosen in splits.items()
    }


def _check_each_library_is_in_each_split(
    splits: dict[str, list[Example]], libraries: Mapping[str, LibraryExamples]
) -> None:
    for split, examples in splits.items():
        if missing := set(libraries).difference(example.docstring.library for example in examples):
            raise StrategyError(
                f"libraries: {min(missing)!r} has too few documented source files for a {split} split; "
                f"leave it out (or reinstall it, if its .py files were removed)"
            )
