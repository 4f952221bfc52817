"""Small packages of docstrings in place of installed libraries, and processes that make a data set of them."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

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


PRINT_ROWS = """
import json, pathlib, sys
from hf_strategies.finetune.offline.sentences import library_sentences
from hf_strategies.finetune.offline.task import load_offline

cache, *libraries = sys.argv[1:]
print(json.dumps(load_offline(library_sentences(libraries, per_library=100), cache_dir=pathlib.Path(cache))))
"""


def start_loading(site: Path, cache: Path, hash_seed: str = "0") -> subprocess.Popen[str]:
    """Start a process that prints the sentences of the packages in ``site`` as JSON."""
    path = os.pathsep.join([str(site), str(CHECKOUT)])
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", PRINT_ROWS, str(cache), *FAKES],
        env={**os.environ, "PYTHONPATH": path, "PYTHONHASHSEED": hash_seed},
        stdout=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen[str]) -> str:
    """Return what a process printed when it has ended, without an error."""
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    return output
