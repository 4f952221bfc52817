"""Keep and restore the best weights in this process group, in several scenarios; each rank writes what it saw.

``best_weights_on_ranks.py <folder> <placement>``.
"""

import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from accelerate import PartialState

from tests.trainer.best_weights.keeper_runs import SCORES, KeepBest, Record, trainer_of
from tests.trainer.placements import digest, place, whole_weights
from tests.two_processes import write_report


def at_the_end(folder: Path, where: str, **options: Any) -> dict[str, Any]:
    """Train past the best, restore it, save."""
    keep, record = KeepBest(where), Record()
    trainer = trainer_of(folder, [keep, record], **options)
    trainer.train()
    after = digest(whole_weights(trainer.model))
    trainer.save_model(str(folder / "final"))
    return {"at": record.at, "after": after, "restored": keep.restored, "kind": type(trainer.model_wrapped).__name__}


def rewound(folder: Path, where: str, **options: Any) -> dict[str, Any]:
    """Put weights and optimizer back to step 3 at the end of step 5 and train on."""
    record = Record(at_evaluation=False)
    keep = KeepBest(where, optimizer=True, rewind_at=5)
    trainer_of(folder, [keep, record], **({"max_steps": 8} | options), scores=[*SCORES, 0.1]).train()
    return {"at": record.at, "restored": keep.restored}


def resumed(folder: Path, where: str, **options: Any) -> dict[str, Any]:
    """Train to the end with checkpoints, then again from the fourth as after a crash; and with a file lost."""
    options = {"save_strategy": "steps", "save_steps": 1} | options
    whole = at_the_end(folder, where, **options)
    process = PartialState()
    process.wait_for_everyone()
    if process.is_main_process:
        shutil.rmtree(folder / "checkpoint-5")
    process.wait_for_everyone()
    files = sorted(file.name for file in (folder / "checkpoint-4").glob("best*"))
    keep = KeepBest(where)
    trainer = trainer_of(folder, [keep], SCORES[4:], **options)
    trainer.train(resume_from_checkpoint=str(folder / "checkpoint-4"))
    again = {"after": digest(whole_weights(trainer.model)), "restored": keep.restored, "files": files}
    return {"whole": whole, "again": again}


def lost(folder: Path, **options: Any) -> dict[str, Any]:
    """Resume after the file of the last rank was lost."""
    process = PartialState()
    if process.is_main_process:
        shutil.rmtree(folder / "checkpoint-5")
        sorted((folder / "checkpoint-4").glob("best*"))[-1].unlink()
    process.wait_for_everyone()
    keep = KeepBest()
    trainer = trainer_of(folder, [keep], SCORES[4:], save_strategy="steps", save_steps=1, **options)
    trainer.train(resume_from_checkpoint=str(folder / "checkpoint-4"))
    return {"restored": keep.restored, "step": keep.keeper.step}


class NotFiniteOnOne(KeepBest):
    """Finds at the best evaluation that the weights of the last rank, and of no other, are not finite."""

    def on_evaluate(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        is_bad = state.global_step == 3 and PartialState().is_last_process
        self.keeper._weights.is_finite = lambda: not is_bad  # type: ignore[method-assign]
        super().on_evaluate(args, state, control, **kwargs)


def not_finite(folder: Path, **options: Any) -> dict[str, Any]:
    """Train past a best evaluation whose weights are not finite on one rank."""
    keep, record = NotFiniteOnOne(), Record()
    trainer = trainer_of(folder, [keep, record], **options)
    trainer.train()
    return {"at": record.at, "after": digest(whole_weights(trainer.model)), "step": keep.keeper.step}


def scenarios(folder: Path, options: dict[str, Any]) -> dict[str, Any]:
    """All of one placement, each in a folder of its own."""
    theirs = {"load_best_model_at_end": True, "metric_for_best_model": "score", "greater_is_better": False}
    saving = {"save_strategy": "steps", "save_steps": 1}
    runs: dict[str, Callable[[], dict[str, Any]]] = {
        "memory": lambda: at_the_end(folder / "memory", "memory", **options),
        "disk": lambda: at_the_end(folder / "disk", "disk", **options),
        "with theirs": lambda: at_the_end(folder / "theirs", "memory", **options, **saving, **theirs),
        "rewound": lambda: rewound(folder / "rewound", "memory", **options),
        "rewound from disk": lambda: rewound(folder / "rewound_disk", "disk", **options),
        "resumed": lambda: resumed(folder / "resumed", "memory", **options),
        "resumed from disk": lambda: resumed(folder / "resumed_disk", "disk", **options),
        "lost": lambda: lost(folder / "resumed", **options),
        "not finite": lambda: not_finite(folder / "not_finite", **options),
    }
    if "deepspeed" in options:
        half = options | {"deepspeed": options["deepspeed"] | {"bf16": {"enabled": True}}, "bf16": True}
        runs["rewound in bf16"] = lambda: rewound(folder / "half", "memory", **half)
    return {name: run() for name, run in runs.items()}


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    found = scenarios(folder, place(sys.argv[2]))
    write_report(folder, found | {"world_size": PartialState().num_processes})
