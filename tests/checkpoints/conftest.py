"""Runs of the stock Trainer, made once."""

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from tests.checkpoints.runs import STOCK
from tests.fresh_process import FreshProcesses


@pytest.fixture(scope="session")
def stock_run(fresh: FreshProcesses, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A function from a kind ("whole", "bf16", "adapter") to the folder of a run, which is only read."""

    @cache
    def run(kind: str) -> Path:
        folder = tmp_path_factory.mktemp(kind) / "run"
        done = fresh.run(STOCK, folder.parent, [str(folder), kind])
        assert done.returncode == 0, done.stderr
        return folder

    return run
