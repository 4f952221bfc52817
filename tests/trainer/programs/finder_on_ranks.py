"""Run the range test in this process group: ``finder_on_ranks.py <folder>``; each rank writes what it saw."""

import sys
from pathlib import Path
from typing import Any

from transformers import Trainer

from hf_strategies.trainer.lr.finder import LRFinder, find_lr
from tests.trainer.lr.finder_runs import SHORT, Quadratic, make, trained
from tests.two_processes import write_report


def report(folder: Path) -> dict[str, Any]:
    """What one process sees: the test twice, and the run without it, after it and with it."""

    def fresh(name: str) -> Trainer:
        parts = {"model": Quadratic()} if name == "diverging" else {}
        options = {"optim": "sgd", "max_grad_norm": 0.0} if name == "diverging" else {}
        accumulation = {"gradient_accumulation_steps": 2, "per_device_train_batch_size": 2}
        return make(folder / name, parts=parts, ddp_find_unused_parameters=False, **accumulation, **options)

    diverged = find_lr(fresh("diverging"), start_lr=1e-6, end_lr=100.0, steps=120)
    runs = [trained(fresh("without"))]
    after = fresh("after")
    found = find_lr(after, **SHORT)
    unwrapped = after.model_wrapped is after.model
    runs.append(trained(after))
    inside = fresh("inside")
    finder = LRFinder(inside, **SHORT)
    inside.add_callback(finder)
    runs.append(trained(inside))
    return {
        "world_size": after.accelerator.num_processes,
        "wrapped": type(inside.model_wrapped).__name__,
        "unwrapped_after_the_test": unwrapped,
        "losses": found.losses,
        "first_loss_of_the_run": runs[0][0][0]["loss"],
        "same_in_callback": finder.result == found,
        "suggestion": found.suggestion,
        "diverged": [len(diverged.rates), diverged.stopped_because],
        "same_runs": [run == runs[0] for run in runs],
        "weights": runs[0][1],
    }


if __name__ == "__main__":
    write_report(Path(sys.argv[1]), report(Path(sys.argv[1])))
