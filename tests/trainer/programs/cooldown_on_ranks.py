"""Cool down the tiny model in this process group; each rank writes what it saw.

``cooldown_on_ranks.py <folder>``. The scores differ between the ranks: the second one's never stall.
"""

import shutil
import sys
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState

from hf_strategies import PlateauCooldown
from tests.tiny import flat, learning_rates, tiny_trainer
from tests.two_processes import write_report

# patience 3 is used up at step 6; the cooldown ends at step 9
SCORES = {0: [0.5, 0.6, 0.7, *[0.6] * 3, *[0.55] * 37], 1: [0.01 * step for step in range(43)]}
NAMES = ("linear_warmup_plateau_cooldown", "cosine")
START = 7  # the step that the resumed run starts from, in the cooldown


def make(folder: Path, rank: int, name: str, done: int = 0, **more: Any) -> Any:
    callback = PlateauCooldown("score", 3, 0.5, mode="max", rewind="optimizer", hold="schedule")
    return tiny_trainer(
        folder,
        SCORES[rank][done:],
        callbacks=[callback],
        lr_scheduler_type=name,
        warmup_steps=2,
        eval_strategy="steps",
        eval_steps=1,
        max_steps=30,
        per_device_train_batch_size=2,
        save_strategy="steps",
        save_steps=1,
        **more,
    )


def run(folder: Path, rank: int, name: str) -> dict[str, Any]:
    trainer = make(folder / name, rank, name)
    trainer.train()
    assert type(trainer.model_wrapped).__name__ == "DistributedDataParallel"
    PartialState().wait_for_everyone()
    start = folder / f"from-{name}" / f"checkpoint-{START}"
    if rank == 0:
        shutil.copytree(folder / name / start.name, start)
    PartialState().wait_for_everyone()
    resumed = make(folder / f"{name}-resumed", rank, name, START, resume_from_checkpoint=str(start))
    resumed.train(resume_from_checkpoint=str(start))
    return {
        "rates": learning_rates(trainer),
        "resumed": learning_rates(resumed),
        "steps": trainer.state.global_step,
        "best": [bool(torch.equal(flat(each.model), trainer.weights_at[3])) for each in (trainer, resumed)],
        "weights": flat(trainer.model).tolist(),
    }


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    state = PartialState(cpu=True)
    found = {name: run(folder, state.process_index, name) for name in NAMES}
    write_report(folder, {"world_size": state.num_processes, "found": found})
