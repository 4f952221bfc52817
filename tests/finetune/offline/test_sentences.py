"""The offline corpus: what is a sentence, what is read and what is not run, how it is split and kept."""

import itertools
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hf_strategies.finetune.offline import sentences as corpus_module
from hf_strategies.finetune.offline.cache import cache_root, read_rows
from hf_strategies.finetune.offline.docstrings import walk_docstrings
from hf_strategies.finetune.offline.sentences import (
    LIBRARIES,
    build_corpus,
    docstrings_of,
    load_corpus,
    sentences_of,
)
from tests.conftest import CHECKOUT

ANIMALS = (
    "badger",
    "beaver",
    "weasel",
    "marten",
    "otter",
    "ferret",
    "squirrel",
    "dormouse",
    "hedgehog",
    "mole",
)
PLACES = ("barn", "burrow", "cellar", "forest", "garden", "hedge", "meadow", "orchard", "river", "valley")
FAKES = ["fake_burrows", "fake_rivers"]
GIVEAWAYS = (
    *("PyTorch", "torch.nn", "a NumPy", "np.sum", "pandas'", "pd.NA", "scikit-learn", "sklearn", "SymPy"),
    *("Hugging Face", "HF", "Transformers", "NetworkX", "nx.Graph", "CPython", "Pythonic", *FAKES),
)


def write_package(root: Path, name: str, docstrings: dict[str, str]) -> None:
    """Write a package of files that hold a docstring each, and that raise as soon as they are imported."""
    for path, docstring in {"__init__.py": "A package.", **docstrings}.items():
        file = root / name / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f'"""{docstring}"""\nraise RuntimeError("imported")\n', encoding="utf-8")


def write_fakes(root: Path, order: Callable[[list[str]], list[str]] = list) -> None:
    """Two packages of ten files with ten sentences each: 100 sentences per package, all different."""
    for name, verb in zip(order(FAKES), order(["slept", "swam"]), strict=True):
        files = {
            f"{animal}.py": " ".join(f"Yesterday the {animal} {verb} near the {place}." for place in PLACES)
            for animal in order(list(ANIMALS))
        }
        write_package(root, name, files)


@pytest.fixture
def fakes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    write_fakes(tmp_path / "site")
    monkeypatch.syspath_prepend(tmp_path / "site")
    return FAKES


def texts(corpus: dict[str, list[corpus_module.Sentence]]) -> list[str]:
    return [sentence.text for sentences in corpus.values() for sentence in sentences]


NUMPYDOC = """
Count the sheep that ``fence`` lets through.

Parameters
----------
fence : Fence
    The fence must be closed at all times.

Returns
-------
int
    The number of sheep that came through.

Notes
-----
Counting sheep is a way to fall asleep [1]_.

>>> count(Fence())
The output looks like a sentence here.

Examples
--------
The next example needs a very long fence::

    The literal block is not a sentence.

Done by :func:`~farm.count` and `a friend <http://x.org>`_ of mine.
"""
GOOGLE = """Opens the **gate** of the [`Farm`] for one day.

    Args:
        key (`str`):
            The key that opens the gate of the farm.
        name: The name of the farmer with the key.

    - A bullet point is not a running text.

    ```python
    The fenced code is not a sentence either.
    ```

    .. note::
        The farmer must be awake at that time.

    Raises:
        KeyError: If there is no key for the gate.
    """
SPHINX = """Feed all the hens in the yard, e.g. Bertha and her sisters.

:param corn: The corn that is given to them.
    It goes on in the following line here.
:returns: How many of the hens came along.

See https://hens.example for more about the hens.
The result is x = {1: 2} for all the hens.
Smith, J. and Miller, K. Hens And Their Food, Springer.

all sentences start with a capital letter here.

This one does not end as it should
"""
WRAPPED = ["Both sheep sleep in the old barn.", "Nobody knows why they do so."]


@pytest.mark.parametrize(
    ("docstring", "expected"),
    [
        (
            NUMPYDOC,
            [
                "Count the sheep that fence lets through.",
                "Counting sheep is a way to fall asleep.",
                "Done by count and a friend of mine.",
            ],
        ),
        (GOOGLE, ["Opens the gate of the Farm for one day.", "The farmer must be awake at that time."]),
        (SPHINX, ["Feed all the hens in the yard, e.g. Bertha and her sisters."]),
        ("Both sheep sleep in\nthe old barn. Nobody knows why they do so.", WRAPPED),
        ("", []),
    ],
    ids=["numpydoc", "google", "sphinx", "wrapped", "empty"],
)
def test_only_the_running_text_of_a_docstring_is_left(docstring: str, expected: list[str]) -> None:
    assert sentences_of(docstring) == expected


@pytest.mark.parametrize(("words", "kept"), [(5, False), (6, True), (40, True), (41, False)])
def test_a_sentence_has_6_to_40_words(words: int, kept: bool) -> None:
    text = " ".join(["Sheep"] + ["graze"] * (words - 1)) + "."
    assert sentences_of(text) == ([text] if kept else [])


def test_names_count_from_the_module_wherever_the_definition_stands() -> None:
    source = """
'M.'
try:
    class A:
        'A.'
        async def f(self):
            'F.'
            def g(): 'G.'
except E:
    def h(): 'H.'
"""
    assert list(docstrings_of(source)) == [
        ("<module>", "M."),
        ("A", "A."),
        ("A.f", "F."),
        ("A.f.g", "G."),
        ("h", "H."),
    ]


def test_reading_a_library_runs_none_of_it(fakes: list[str]) -> None:
    assert len(list(walk_docstrings(fakes[0]))) == 11  # __init__ and one per animal; each raises if imported
    build_corpus(libraries=fakes, per_label=100)
    assert not set(fakes) & set(sys.modules)


def test_a_dotted_name_does_not_import_its_parent(fakes: list[str]) -> None:
    with pytest.raises(ValueError, match=r"'fake_burrows\.otter' is not installed"):
        next(walk_docstrings("fake_burrows.otter"))


def test_tests_vendored_copies_and_broken_files_are_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    skipped = ("tests/a.py", "_vendor/b.py", "site-packages/c.py", "test_d.py", "conftest.py")
    write_package(tmp_path, "fake_farm", {"sub/kept.py": "Kept.", **dict.fromkeys(skipped, "Not read.")})
    (tmp_path / "fake_farm" / "python2.py").write_text('"""Not read."""\nprint "hello"\n')
    (tmp_path / "fake_farm" / "null.py").write_bytes(b'"""Not read."""\n\0')
    (tmp_path / "fake_farm" / "latin.py").write_bytes(b'"""Not read: \xe9."""\n')
    monkeypatch.syspath_prepend(tmp_path)
    sources = {docstring.source for docstring in walk_docstrings("fake_farm")}
    assert sources == {"fake_farm/__init__.py:<module>", "fake_farm/sub/kept.py:<module>"}


def test_a_module_of_one_file_is_a_library_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "fake_module.py").write_text('def f():\n    "Do it."\n')
    monkeypatch.syspath_prepend(tmp_path)
    (docstring,) = walk_docstrings("fake_module")
    assert docstring.source == "fake_module/fake_module.py:f"


@pytest.mark.parametrize(
    "giveaway",
    GIVEAWAYS,
)
def test_a_sentence_that_names_a_library_is_left_out(
    giveaway: str, fakes: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    leaking = f"Yesterday the lynx met {giveaway} near the barn."
    both = f"{leaking} Yesterday the lynx hid near the torrent."
    write_package(tmp_path / "site", fakes[0], {"lynx.py": both})
    found = [text for text in texts(build_corpus(libraries=fakes)) if "lynx" in text]
    assert found == ["Yesterday the lynx hid near the torrent."]
    assert sentences_of(leaking) == [leaking]  # so it was the name that kept it out


def test_a_sentence_found_twice_is_kept_once_and_in_two_libraries_not_at_all(
    fakes: list[str], tmp_path: Path
) -> None:
    once = {
        "a.py": "The lynx that we saw has 4 paws and 2 eyes.",
        "b.py": "The Lynx that we saw has 16 paws and 3 eyes.",
        "c.py": "The lynx has been seen in both.",
    }
    write_package(tmp_path / "site", fakes[0], once)
    write_package(tmp_path / "site", fakes[1], {"d.py": "The LYNX has been seen in both!"})
    found = [
        [text for text in texts(build_corpus(seed=seed, libraries=fakes)) if "lynx" in text.casefold()]
        for seed in range(5)  # a seed may cut it off with what a split has too much
    ]
    assert max(map(len, found)) == 1
    assert all("paws" in text for text in itertools.chain(*found))


def test_no_file_and_no_text_is_in_two_splits() -> None:
    corpus = build_corpus(per_label=300, libraries=["python", "networkx"])
    files = {split: {s.source.rpartition(":")[0] for s in sentences} for split, sentences in corpus.items()}
    for one, other in itertools.combinations(corpus, 2):
        assert not files[one] & files[other]
        assert not {s.text.casefold() for s in corpus[one]} & {s.text.casefold() for s in corpus[other]}


def test_every_label_gives_its_share_to_every_split() -> None:
    corpus = build_corpus(per_label=300, libraries=["python", "networkx"])
    shares = {split: Counter(sentence.label for sentence in sentences) for split, sentences in corpus.items()}
    assert shares["train"] == {"python": 240, "networkx": 240}
    assert shares["validation"] == shares["test"] == {"python": 30, "networkx": 30}


def test_sources_are_relative_and_lead_back_to_the_sentence(fakes: list[str], tmp_path: Path) -> None:
    for sentence in itertools.chain(*build_corpus(libraries=fakes).values()):
        path, _, name = sentence.source.partition(":")
        assert name == "<module>"
        assert sentence.text in (tmp_path / "site" / path).read_text(encoding="utf-8")
        assert path.split("/")[0] == sentence.label


def test_the_seed_decides_the_split_and_nothing_else(fakes: list[str]) -> None:
    one, other = build_corpus(seed=1, libraries=fakes), build_corpus(seed=2, libraries=fakes)
    assert one == build_corpus(seed=1, libraries=fakes)
    assert one["test"] != other["test"]
    assert sorted(texts(one)) == sorted(texts(other))


PRINT_ROWS = (
    "import json, pathlib, sys; from hf_strategies.finetune.offline.sentences import load_corpus;"
    "rows = load_corpus(cache_dir=pathlib.Path(sys.argv[1]), libraries=sys.argv[2:], per_label=100);"
    "print(json.dumps(rows))"
)


def start_loading(site: Path, cache: Path, hash_seed: str = "0") -> subprocess.Popen[str]:
    path = os.pathsep.join([str(site), str(CHECKOUT)])
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", PRINT_ROWS, str(cache), *FAKES],
        env={**os.environ, "PYTHONPATH": path, "PYTHONHASHSEED": hash_seed},
        stdout=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen[str]) -> str:
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    return output


def test_the_hash_seed_and_the_order_of_the_files_on_disk_change_no_byte(tmp_path: Path) -> None:
    write_fakes(tmp_path / "one")
    write_fakes(tmp_path / "other", order=lambda names: names[::-1])
    first = finish(start_loading(tmp_path / "one", tmp_path / "cache_one", hash_seed="1"))
    assert first == finish(start_loading(tmp_path / "other", tmp_path / "cache_other", hash_seed="2"))
    assert len(json.loads(first)["train"]) == 160


def test_processes_that_build_at_once_all_end_with_the_same_valid_cache(tmp_path: Path) -> None:
    write_fakes(tmp_path / "site")
    processes = [start_loading(tmp_path / "site", tmp_path / "cache") for _ in range(4)]
    outputs = {finish(process) for process in processes}
    assert len(outputs) == 1
    (folder,) = (tmp_path / "cache").iterdir()  # nothing temporary is left
    assert read_rows(folder) == json.loads(outputs.pop())


def forbid_building(monkeypatch: pytest.MonkeyPatch) -> None:
    def build(**_: object) -> None:
        raise AssertionError("built again")

    monkeypatch.setattr(corpus_module, "build_corpus", build)


def test_the_second_load_builds_nothing_and_returns_what_was_built(
    fakes: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built = build_corpus(libraries=fakes)
    first = load_corpus(libraries=fakes, cache_dir=tmp_path / "cache")
    forbid_building(monkeypatch)
    assert load_corpus(libraries=fakes, cache_dir=tmp_path / "cache") == first
    assert first == {
        split: [{"text": s.text, "label": s.label, "source": s.source} for s in sentences]
        for split, sentences in built.items()
    }


@pytest.mark.parametrize("what", ["seed", "per_label", "libraries", "version"])
def test_another_setting_or_version_is_another_cache(
    what: str, fakes: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load_corpus(libraries=fakes, cache_dir=tmp_path / "cache")
    if what == "version":
        monkeypatch.setattr("importlib.metadata.version", lambda name: "2.0")
    other: dict[str, Any] = {
        "seed": {"seed": 1},
        "per_label": {"per_label": 90},
        "libraries": {"libraries": fakes[:1]},
    }
    load_corpus(**{"libraries": fakes, "cache_dir": tmp_path / "cache", **other.get(what, {})})
    assert len(list((tmp_path / "cache").iterdir())) == 2


def cut_in_half(folder: Path) -> None:
    file = folder / "train.jsonl"
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


DAMAGES: dict[str, Callable[[Path], object]] = {
    "half written": cut_in_half,
    "a file is gone": lambda folder: (folder / "test.jsonl").unlink(),
    "an empty file": lambda folder: (folder / "validation.jsonl").write_bytes(b""),
    "no digests": lambda folder: (folder / "digests.json").unlink(),
    "digests are no JSON": lambda folder: (folder / "digests.json").write_text("{"),
    "digests of nothing": lambda folder: (folder / "digests.json").write_text("{}"),
    "digests are a list": lambda folder: (folder / "digests.json").write_text('["train"]'),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_cache_is_built_anew_and_mended(
    damage: Callable[[Path], object], fakes: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = load_corpus(libraries=fakes, cache_dir=tmp_path / "cache")
    (folder,) = (tmp_path / "cache").iterdir()
    damage(folder)
    assert load_corpus(libraries=fakes, cache_dir=tmp_path / "cache") == first
    assert list((tmp_path / "cache").iterdir()) == [folder]
    forbid_building(monkeypatch)
    assert load_corpus(libraries=fakes, cache_dir=tmp_path / "cache") == first


def test_where_nothing_can_be_written_the_rows_come_with_a_warning(fakes: list[str], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    message = r"cannot be kept in .*file.*set HF_STRATEGIES_CACHE to a folder"
    with pytest.warns(UserWarning, match=message) as caught:
        rows = load_corpus(libraries=fakes, cache_dir=tmp_path / "file")
    assert len(caught) == 1
    assert rows == load_corpus(libraries=fakes, cache_dir=tmp_path / "cache")


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"HF_STRATEGIES_CACHE": "/one", "XDG_CACHE_HOME": "/two", "HOME": "/three"}, "/one"),
        ({"XDG_CACHE_HOME": "/two", "HOME": "/three"}, "/two/hf_strategies"),
        ({"HOME": "/three"}, "/three/.cache/hf_strategies"),
    ],
)
def test_the_cache_goes_where_the_environment_says(
    variables: dict[str, str], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HF_STRATEGIES_CACHE", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert cache_root() == Path(expected)
    assert cache_root(Path("/given")) == Path("/given")


def test_every_default_library_is_found_and_has_docstrings() -> None:
    assert {next(walk_docstrings(library)).library for library in LIBRARIES} == set(LIBRARIES)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"libraries": ["no_such_library"]},
            "'no_such_library' is not installed here; run `pip install no_such_lib",
        ),
        ({"libraries": ["python", "python"]}, r"libraries=\['python', 'python'\]: name each library once"),
        ({"per_label": 9}, "per_label=9: .* give 10 or more"),
    ],
)
def test_an_error_says_the_value_and_the_remedy(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build_corpus(**arguments)


def test_a_library_without_enough_files_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_package(tmp_path, "fake_tiny", {"a.py": "Yesterday the otter slept near the barn."})
    monkeypatch.syspath_prepend(tmp_path)
    message = r"'fake_tiny' has too few documented source files for a .* split; leave it out"
    with pytest.raises(ValueError, match=message):
        build_corpus(libraries=["fake_tiny"])
