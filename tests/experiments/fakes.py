"""Comparisons whose runs are stand-ins for recipes, and what is checked of their folders."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from hf_strategies.comparison.summary import summarize
from hf_strategies.experiments.plan import Plan, Run, read_seeds
from hf_strategies.experiments.results import read_records
from hf_strategies.report.comparison.text import comparison_text
from tests.conftest import CHECKOUT

STRATEGIES: dict[str, dict[str, Any]] = {"first": {"mean": 0.7}, "second": {"mean": 0.72}}


def start(folder: Path, *, jobs: int = 2, seeds: str = "0..4") -> "subprocess.Popen[str]":
    """Start a process that makes the comparison's runs; it leads a group of processes of its own."""
    words = [sys.executable, "-m", "tests.experiments.programs.compare_fakes", str(folder), str(jobs), seeds]
    return subprocess.Popen(
        words, cwd=CHECKOUT, env=os.environ | {"PYTHONPATH": str(CHECKOUT)}, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def runs_of(folder: Path, seeds: str = "0..4") -> list[Run]:
    return Plan("fake", {}, STRATEGIES, read_seeds(seeds), folder).runs


def table_of(folder: Path, seeds: str = "0..4") -> str:
    return comparison_text(summarize(read_records(runs_of(folder, seeds), "test_accuracy"), metric="accuracy"), None)


def trainings_of(folder: Path, seeds: str = "0..4") -> dict[str, int]:
    """How often each run was trained to its end."""
    files = {f"{run.strategy} {run.seed}": run.folder / "trainings.txt" for run in runs_of(folder, seeds)}
    return {name: len(file.read_text().splitlines()) if file.exists() else 0 for name, file in files.items()}
