"""What the tests of the offline tasks share."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from hf_strategies.finetune.offline.cache import Rows
from hf_strategies.finetune.offline.sentences import library_sentences
from hf_strategies.finetune.offline.task import load_offline
from tests.finetune.offline.packages import FAKES, write_fakes


@pytest.fixture
def fakes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    write_fakes(tmp_path / "site")
    monkeypatch.syspath_prepend(tmp_path / "site")
    return FAKES


@pytest.fixture
def build(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Rows]:
    """Build the sentences of libraries, with a new cache at each call."""

    def build_sentences(libraries: Sequence[str], *, per_library: int = 2500, seed: int = 0) -> Rows:
        task = library_sentences(libraries, per_library)
        return load_offline(task, seed=seed, cache_dir=tmp_path_factory.mktemp("cache"))

    return build_sentences
