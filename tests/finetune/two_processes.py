"""A recipe in two CPU processes, beside one."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from hf_strategies.recipes import text_classification
from tests.finetune.programs.rank_report import last_metrics
from tests.finetune.runs import write_jsonl
from tests.two_processes import run_in_processes

RANK_REPORT = "tests.finetune.programs.rank_report"


def run_recipe(recipe: str, folder: Path, flags: list[str], processes: int = 2) -> list[dict[str, Any]]:
    """Run a recipe in ``folder`` in two processes; return the report of each, which is in ``rank_report.py``."""
    return run_in_processes(RANK_REPORT, folder, recipe, *flags, processes=processes)


def write_jsonl_splits(folder: Path, make: Callable[[int, int], list[dict[str, Any]]]) -> Path:
    """Write make(count, seed) for each split; 19 validation rows do not fill the batches of two processes."""
    for seed, (split, count) in enumerate({"train": 64, "validation": 19, "test": 11}.items()):
        write_jsonl(folder / f"{split}.jsonl", make(count, seed))
    return folder


def train_in_two(folder: Path, flags: list[str]) -> list[dict[str, Any]]:
    """Train on the splits in ``folder`` and evaluate; return what both processes saw. The model lies in ``two``."""
    files = [f"--{split}_file={split}.jsonl" for split in ("train", "validation", "test")]
    return run_recipe("text_classification", folder, [*flags, *files, "--baselines", "--output_dir", "two"])


def measure_in_one(folder: Path, flags: list[str]) -> dict[str, float]:
    """Return the metrics that this process finds for the model of `train_in_two`."""
    files = [f"--{split}_file={folder / split}.jsonl" for split in ("validation", "test")]
    where = ["--model_name_or_path", str(folder / "two"), "--output_dir", str(folder / "one")]
    return last_metrics(text_classification.main([*flags, "--do_train", "false", *files, *where]).state.log_history)
