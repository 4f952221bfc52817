"""Train the tiny model with every schedule in this process group; each rank writes what it saw."""

import sys
from pathlib import Path

from accelerate import PartialState

import hf_strategies.auto  # noqa: F401
from hf_strategies import SCHEDULES
from tests.tiny import learning_rates, tiny_trainer
from tests.two_processes import write_report

PHASES = {"phases": [{"shape": "linear", "length": 0.5, "start": 0, "end": 1}, {"shape": "cosine"}]}


def rates(name: str, folder: Path) -> list[float]:
    trainer = tiny_trainer(
        folder,
        lr_scheduler_type=name,
        warmup_steps=2 if SCHEDULES[name].has_warmup else 0,
        lr_scheduler_kwargs=PHASES if name == "phases" else {},
        max_steps=6,
        per_device_train_batch_size=2,
    )
    trainer.train()
    assert type(trainer.model_wrapped).__name__ == "DistributedDataParallel"
    return learning_rates(trainer)


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    state = PartialState(cpu=True)
    found = {name: rates(name, folder / "out") for name in SCHEDULES}
    write_report(folder, {"world_size": state.num_processes, "rates": found})
