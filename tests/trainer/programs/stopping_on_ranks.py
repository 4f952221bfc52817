"""Twenty trainings whose two ranks would decide differently; each rank writes down what it did."""

import math
import random
import sys
from pathlib import Path
from typing import Any

from accelerate import PartialState
from transformers import TrainerCallback

from hf_strategies import EarlyStopping
from hf_strategies.trainer.callbacks import usage
from tests.tiny import flat, tiny_trainer
from tests.two_processes import write_report

STEPS = 12
BUDGET = 4.5
RATES = [0.0, 0.01, 0.5, 3.0, 100.0]  # seconds a step that the second rank's clock shows; the first one's shows 1
NAN_AT = [1, 2, 3, 4, 6]
SEEDS = [0, 1, 2, 3, 4]
TARGETS = [0.3, 0.5, 0.7, 0.8, 0.9]


class Clock(TrainerCallback):
    """In place of the `time` module: so many seconds for each step."""

    def __init__(self, rate: float) -> None:
        self.rate, self.now = rate, 0.0

    def monotonic(self) -> float:
        return self.now

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.now = self.rate * state.global_step


def scores(seed: int, rank: int) -> list[float]:
    """Other values on each rank."""
    chance = random.Random(10 * seed + rank)
    return [round(chance.random(), 3) for _ in range(STEPS)]


def with_nan(at: int, rank: int, here: int) -> list[float]:
    """Rising values, of which the one at an evaluation (from 1) is NaN on one rank."""
    return [math.nan if index == at and rank == here else index / STEPS for index in range(1, STEPS + 1)]


def report(folder: Path, values: list[float], callbacks: list[Any], **options: Any) -> dict[str, Any]:
    settings = {"eval_strategy": "steps", "eval_steps": 1, "max_steps": STEPS, "per_device_train_batch_size": 2}
    trainer = tiny_trainer(folder, values, callbacks=callbacks, **(settings | options))
    trainer.train()
    record = trainer.state.stateful_callbacks["early_stopping"]
    return {
        "step": trainer.state.global_step,
        "record": record,
        "weights": flat(trainer.model).tolist(),
        "wrapped": type(trainer.model_wrapped).__name__,
    }


def timed(folder: Path, rate: float, rank: int) -> dict[str, Any]:
    clock = Clock(rate if rank else 1.0)
    usage.time = clock  # type: ignore[assignment]
    stopping = EarlyStopping("score", mode="max", stop_when=f"time_budget({BUDGET})")
    return report(folder, scores(0, rank), [clock, stopping], eval_steps=100)


def runs(folder: Path, rank: int) -> dict[str, dict[str, Any]]:
    """All of them, by name."""
    found = {}
    for at in NAN_AT:
        stopping = EarlyStopping("score", mode="max", stop_when="patience(2) or divergence()")
        here = at % 2
        found[f"nan at {at} on rank {here}"] = report(folder / "nan", with_nan(at, rank, here), [stopping])
    for seed in SEEDS:
        stopping = EarlyStopping("score", 2, mode="max", weights_in="disk" if seed % 2 else "memory")
        options = {"save_strategy": "steps", "save_steps": 2, "save_total_limit": 1}
        found[f"scores {seed}"] = report(folder / f"scores{seed}", scores(seed, rank), [stopping], **options)
    for target in TARGETS:
        stopping = EarlyStopping("score", mode="max", stop_when=f"target({target})")
        found[f"target {target}"] = report(folder / "target", scores(7, rank), [stopping])
    for rate in RATES:
        found[f"clock {rate}"] = timed(folder / "clock", rate, rank)
    return found


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    state = PartialState(cpu=True)
    write_report(folder, {"world_size": state.num_processes, "runs": runs(folder, state.process_index)})
