"""Settings before transformers is imported, and what several tests share."""

import atexit
import os
import shutil
import tempfile

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
# Small models on a machine of two cores: a second thread costs more than it brings.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["HF_DATASETS_CACHE"] = tempfile.mkdtemp(prefix="hf_strategies_tests_")
atexit.register(shutil.rmtree, os.environ["HF_DATASETS_CACHE"], ignore_errors=True)

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from tests.fresh_process import FreshProcesses

# The same examples each time, and no limit in milliseconds, which a busy machine would break.
settings.register_profile("steady", deadline=None, derandomize=True)
settings.load_profile("steady")

CHECKOUT = Path(__file__).resolve().parent.parent
RECIPES = sorted(file.stem for file in (CHECKOUT / "recipes").glob("*.py") if file.stem != "__init__")


@pytest.fixture
def checkout() -> Path:
    """The root of the checkout."""
    return CHECKOUT


@pytest.fixture(scope="session")
def fresh() -> Iterator[FreshProcesses]:
    """Processes that have not imported the package."""
    processes = FreshProcesses(CHECKOUT)
    yield processes
    processes.close()


@pytest.fixture
def real_data() -> Path:
    """The folder of real data sets beside the checkout."""
    folder = CHECKOUT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the real data sets are not beside this checkout")
    return folder


@pytest.fixture
def make_trainer(tmp_path: Path) -> Callable[..., Any]:
    """Make a stock Trainer of a two-weight model on 16 examples (4 steps an epoch), with metrics as told.

    ``scores`` are the values of ``eval_score``, one per evaluation; they do not depend on the model.
    """
    from tests.tiny import tiny_trainer

    def make(scores: Sequence[float] = (), *, folder: str = "out", **options: Any) -> Any:
        return tiny_trainer(tmp_path / folder, scores, **options)

    return make


@pytest.fixture(autouse=True)
def _offline_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep what tests cache out of the user's own cache."""
    monkeypatch.setenv("HF_STRATEGIES_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
