"""The sentences of documentation: which are left out, how they are labelled, split and ordered."""

import itertools
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hf_strategies.finetune.offline.cache import Rows
from hf_strategies.finetune.offline.prose import sentences_of
from tests.finetune.offline.packages import FAKES, finish, start_loading, write_fakes, write_package

GIVEAWAYS = (
    *("PyTorch", "torch.nn", "a NumPy", "np.sum", "pandas'", "pd.NA", "scikit-learn", "sklearn", "SymPy"),
    *("Hugging Face", "HF", "Transformers", "NetworkX", "nx.Graph", "CPython", "Pythonic", *FAKES),
)


def texts(splits: Rows) -> list[str]:
    return [sentence["text"] for sentences in splits.values() for sentence in sentences]


@pytest.mark.parametrize(
    "giveaway",
    GIVEAWAYS,
)
def test_a_sentence_that_names_a_library_is_left_out(
    giveaway: str, fakes: list[str], build: Callable[..., Rows], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    leaking = f"Yesterday the lynx met {giveaway} near the barn."
    both = f"{leaking} Yesterday the lynx hid near the torrent."
    write_package(tmp_path / "site", fakes[0], {"lynx.py": both})
    left = [text for text in texts(build(fakes)) if "lynx" in text]
    assert left == ["Yesterday the lynx hid near the torrent."]
    assert sentences_of(leaking) == [leaking]  # so it was the name that kept it out


def test_a_sentence_found_twice_is_kept_once_and_in_two_libraries_not_at_all(
    fakes: list[str], build: Callable[..., Rows], tmp_path: Path
) -> None:
    once = {
        "a.py": "The lynx that we saw has 4 paws and 2 eyes.",
        "b.py": "The Lynx that we saw has 16 paws and 3 eyes.",
        "c.py": "The lynx has been seen in both.",
    }
    write_package(tmp_path / "site", fakes[0], once)
    write_package(tmp_path / "site", fakes[1], {"d.py": "The LYNX has been seen in both!"})
    of_each_seed = [
        [text for text in texts(build(fakes, seed=seed)) if "lynx" in text.casefold()]
        for seed in range(5)  # with some seeds it is among the rows that are cut off
    ]
    assert max(map(len, of_each_seed)) == 1
    assert all("paws" in text for text in itertools.chain(*of_each_seed))


def test_no_file_and_no_text_is_in_two_splits(build: Callable[..., Rows]) -> None:
    splits = build(["python", "networkx"], per_library=300)
    files = {split: {row["source"].rpartition(":")[0] for row in sentences} for split, sentences in splits.items()}
    for one, other in itertools.combinations(splits, 2):
        assert not files[one] & files[other]
        assert not {row["text"].casefold() for row in splits[one]} & {row["text"].casefold() for row in splits[other]}


def test_every_label_gives_its_share_to_every_split(build: Callable[..., Rows]) -> None:
    splits = build(["python", "networkx"], per_library=300)
    shares = {split: Counter(sentence["label"] for sentence in sentences) for split, sentences in splits.items()}
    assert shares["train"] == {"python": 240, "networkx": 240}
    assert shares["validation"] == shares["test"] == {"python": 30, "networkx": 30}


def test_sources_are_relative_and_lead_back_to_the_sentence(
    fakes: list[str], build: Callable[..., Rows], tmp_path: Path
) -> None:
    for sentence in itertools.chain(*build(fakes).values()):
        path, _, name = sentence["source"].partition(":")
        assert name == "<module>"
        assert sentence["text"] in (tmp_path / "site" / path).read_text(encoding="utf-8")
        assert path.split("/")[0] == sentence["label"]


def test_the_seed_decides_the_split_and_nothing_else(fakes: list[str], build: Callable[..., Rows]) -> None:
    one, other = build(fakes, seed=1), build(fakes, seed=2)
    assert one == build(fakes, seed=1)
    assert one["test"] != other["test"]
    assert sorted(texts(one)) == sorted(texts(other))


def test_the_hash_seed_and_the_order_of_the_files_on_disk_change_no_byte(tmp_path: Path) -> None:
    write_fakes(tmp_path / "one")
    write_fakes(tmp_path / "other", order=lambda names: names[::-1])
    first = finish(start_loading(tmp_path / "one", tmp_path / "cache_one", hash_seed="1"))
    assert first == finish(start_loading(tmp_path / "other", tmp_path / "cache_other", hash_seed="2"))
    assert len(json.loads(first)["train"]) == 160


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"libraries": ["no_such_library"]},
            "'no_such_library' is not installed here; run `pip install no_such_lib",
        ),
        ({"libraries": ["python", "python"]}, r"libraries=\['python', 'python'\]: name each library once"),
        ({"per_library": 9}, "per_library=9: .* give 10 or more"),
    ],
)
def test_an_error_says_the_value_and_the_remedy(
    arguments: dict[str, Any], message: str, build: Callable[..., Rows]
) -> None:
    with pytest.raises(ValueError, match=message):
        build(**{"libraries": ["python"], **arguments})


def test_a_library_without_enough_files_is_named(
    build: Callable[..., Rows], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_package(tmp_path, "fake_tiny", {"a.py": "Yesterday the otter slept near the barn."})
    monkeypatch.syspath_prepend(tmp_path)
    message = r"'fake_tiny' has too few documented source files for a .* split; leave it out"
    with pytest.raises(ValueError, match=message):
        build(["fake_tiny"])
