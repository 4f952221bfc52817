"""The text-classification data that needs no network: which library does this sentence come from?

The sentences are the English in the docstrings of the standard library and of packages that are installed
wherever this project is. They are read as text (see ``docstrings.py``) and cleaned (see ``prose.py``);
here they are labelled, made unique, split and cached.
"""

import importlib.metadata
import platform
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from hf_strategies.errors import StrategyError
from hf_strategies.finetune.offline.cache import Rows, cache_root, kept
from hf_strategies.finetune.offline.docstrings import (
    DISTRIBUTIONS,
    STANDARD_LIBRARY,
    docstrings_of,
    stable_rank,
    walk_docstrings,
)
from hf_strategies.finetune.offline.prose import CLEANING_VERSION, sentences_of

__all__ = [
    "LIBRARIES",
    "PER_LABEL",
    "Sentence",
    "build_corpus",
    "docstrings_of",
    "library_version",
    "load_corpus",
    "sentences_of",
]

LIBRARIES: tuple[str, ...] = (
    "python",
    "torch",
    "transformers",
    "numpy",
    "pandas",
    "sklearn",
    "sympy",
    "networkx",
)
"""The labels: the standard library, and dependencies of torch, transformers, datasets and scikit-learn."""

PER_LABEL = 2500
"""Sentences per label, all splits together, where a library has as many."""

SPLITS = ("train", "validation", "test")

# A sentence with one of these in it gives the answer away (or points to the wrong one).
_NAMES = {
    "python": r"python",
    "torch": r"torch",
    "transformers": r"transformers|hugging\W?face|\bhf\b|🤗",
    "numpy": r"numpy|\bnp\b",
    "pandas": r"pandas|\bpd\b",
    "sklearn": r"sklearn|scikit",
    "sympy": r"sympy",
    "networkx": r"networkx|\bnx\b",
}
# Reading stops at so many times the sentences wanted, for torch and transformers have thousands of files; but
# not before so many files that they can be split.
_ENOUGH_SENTENCES, _ENOUGH_FILES = 1.5, 60


@dataclass(frozen=True)
class Sentence:
    """One sentence, the library it comes from, and where there: ``"numpy/lib/_npyio_impl.py:load"``."""

    text: str
    label: str
    source: str


def build_corpus(
    *, seed: int = 0, per_label: int = PER_LABEL, libraries: Sequence[str] = LIBRARIES
) -> dict[str, list[Sentence]]:
    """Read, clean, label and split the sentences of ``libraries``: train 80 %, validation 10 %, test 10 %.

    ``per_label`` is the most sentences a library gives to all splits together; ``seed`` decides which, and
    their order. The split is by source file: no file, and no text, is in two splits. Left out are sentences
    that name a library, and those that two libraries share. The same machine, versions and arguments give
    the same result. Raises StrategyError (a ValueError) for a library that is missing or has too few files,
    and for ``per_label`` below 10.

    >>> corpus = build_corpus(per_label=50, libraries=["python", "numpy"])
    >>> {split: len(sentences) for split, sentences in corpus.items()}
    {'train': 80, 'validation': 10, 'test': 10}
    """
    if per_label < 10:
        raise StrategyError(f"per_label={per_label}: a tenth is held out per split, so give 10 or more")
    if len(set(libraries)) < len(libraries):
        raise StrategyError(f"libraries={list(libraries)!r}: name each library once")
    corpus: dict[str, list[Sentence]] = {split: [] for split in SPLITS}
    for sentences in _unambiguous([_sentences_in(name, libraries, seed, per_label) for name in libraries]):
        for split, chosen in _split_by_file(sentences, seed, per_label).items():
            corpus[split] += chosen
    _check_every_label_is_everywhere(corpus, libraries)
    return {split: _shuffled(sentences, seed) for split, sentences in corpus.items()}


def load_corpus(
    *,
    seed: int = 0,
    per_label: int = PER_LABEL,
    cache_dir: Path | None = None,
    libraries: Sequence[str] = LIBRARIES,
) -> dict[str, list[dict[str, str]]]:
    """Return :func:`build_corpus` as rows of ``text``, ``label`` and ``source``, built once per machine.

    The rows are kept as JSON lines under ``cache_dir``, else ``$HF_STRATEGIES_CACHE``, else
    ``$XDG_CACHE_HOME/hf_strategies``, else ``~/.cache/hf_strategies``, in a folder whose name changes with
    the versions of Python and of the libraries and with the arguments. A damaged copy is built anew; where
    nothing can be written the rows are built each time, with a warning. Raises StrategyError as
    :func:`build_corpus` does.

    >>> load_corpus()["train"][0].keys()  # doctest: +SKIP
    dict_keys(['text', 'label', 'source'])
    """
    folder = cache_root(cache_dir) / f"corpus-{_fingerprint(seed, per_label, libraries)}"

    def build() -> Rows:
        corpus = build_corpus(seed=seed, per_label=per_label, libraries=libraries)
        return {split: [asdict(sentence) for sentence in corpus[split]] for split in SPLITS}

    return kept(folder, build)


def _sentences_in(library: str, libraries: Sequence[str], seed: int, per_label: int) -> dict[str, Sentence]:
    """Return the sentences of one library by their key, reading no more files than are needed."""
    names = _names_of(libraries)
    found: dict[str, Sentence] = {}
    files: set[str] = set()
    for docstring in walk_docstrings(library, seed=seed):
        for text in sentences_of(docstring.text):
            if not names.search(text):
                found.setdefault(_key(text), Sentence(text, library, docstring.source))
        files.add(docstring.path)
        if len(found) >= _ENOUGH_SENTENCES * per_label and len(files) >= _ENOUGH_FILES:
            break
    return found


def _names_of(libraries: Sequence[str]) -> re.Pattern[str]:
    known = {name: rf"\b{re.escape(name)}\b" for name in libraries} | _NAMES
    return re.compile("|".join(known.values()), re.IGNORECASE)


def _key(text: str) -> str:
    """Return what two copies of a sentence have in common: letters without case, numbers without value."""
    return " ".join(re.findall(r"[^\W\d_]+|0+", re.sub(r"\d+", "0", text.casefold())))


def _unambiguous(per_library: list[dict[str, Sentence]]) -> list[list[Sentence]]:
    times = Counter(key for sentences in per_library for key in sentences)
    return [[s for key, s in sentences.items() if times[key] == 1] for sentences in per_library]


def _split_by_file(sentences: list[Sentence], seed: int, per_label: int) -> dict[str, list[Sentence]]:
    """Give whole files, in the order of a hash, to the held-out splits until those are full.

    Files of more than a fifth of a held-out split come last, that is to train: there, one file must not be
    most of what is measured. What a split has too much is cut.
    """
    by_file = defaultdict(list)
    for sentence in sentences:
        by_file[sentence.source.rpartition(":")[0]].append(sentence)
    wanted = min(len(sentences), per_label)
    quota = {"validation": wanted // 10, "test": wanted // 10, "train": wanted - 2 * (wanted // 10)}
    splits: dict[str, list[Sentence]] = {split: [] for split in SPLITS}

    def turn(file: str) -> tuple[bool, str]:
        return len(by_file[file]) > wanted / 50, stable_rank(seed, "split", file)

    for file in sorted(by_file, key=turn):
        split = next((name for name in ("validation", "test") if len(splits[name]) < quota[name]), "train")
        splits[split] += by_file[file]
    return {split: _shuffled(chosen, seed)[: quota[split]] for split, chosen in splits.items()}


def _shuffled(sentences: Iterable[Sentence], seed: int) -> list[Sentence]:
    return sorted(sentences, key=lambda sentence: stable_rank(seed, "order", sentence.text))


def _check_every_label_is_everywhere(corpus: dict[str, list[Sentence]], libraries: Sequence[str]) -> None:
    for split, sentences in corpus.items():
        if missing := set(libraries).difference(sentence.label for sentence in sentences):
            raise StrategyError(
                f"libraries: {min(missing)!r} has too few documented source files for a {split} split; "
                f"leave it out (or reinstall it, if its .py files were removed)"
            )


def _fingerprint(seed: int, per_label: int, libraries: Sequence[str]) -> str:
    versions = [(name, library_version(name)) for name in libraries]
    return stable_rank(CLEANING_VERSION, platform.python_version(), versions, seed, per_label)


def library_version(library: str) -> str:
    """Return the version of an installed library, by its name in imports; Python's for the standard library."""
    if library == STANDARD_LIBRARY:
        return platform.python_version()
    try:
        return importlib.metadata.version(DISTRIBUTIONS.get(library, library))
    except importlib.metadata.PackageNotFoundError:
        return "unknown"  # a package on sys.path only; if it is missing altogether, building says so
