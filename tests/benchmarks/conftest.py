"""The benchmarks are scripts: they find each other because their folder is on the path."""

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def _benchmarks_can_be_imported(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(checkout / "benchmarks")
