"""Average the weights in this process group: each rank writes what it saw.

``averaging_on_ranks.py <folder> <placement> <all or few>``.
"""

import sys
from pathlib import Path
from typing import Any

from accelerate import PartialState

from hf_strategies import EarlyStopping, WeightAveraging
from tests.trainer.averaging_runs import (
    Reference,
    averaged_trainer,
    digests,
    ema_3,
    in_model,
    largest_difference,
    share_rounded_alike,
)
from tests.trainer.placements import digest, place
from tests.two_processes import write_report

STEPS = 6
EACH = {"save_strategy": "steps", "save_steps": 1, "eval_strategy": "steps", "eval_steps": 1, "max_steps": STEPS}
SCORES = [0.1, 0.2, 0.9, 0.3, 0.4, 0.5]


def train(folder: Path, resume: int | None = None, average: Any = True, **options: Any) -> dict[str, Any]:
    """Train, from the start or from a checkpoint; what there was in digests, and the largest difference."""
    callback = WeightAveraging("ema(over=3)", keep_raw=True) if average is True else average
    trainer, recorder = averaged_trainer(folder, (), SCORES, average=callback, **(EACH | options))
    trainer.train(resume_from_checkpoint=str(folder / f"checkpoint-{resume}") if resume else None)
    found: dict[str, Any] = {
        "raw": digests(recorder.after),
        "averages": digests(recorder.evaluated),
        "final": digest(in_model(trainer)),
        "wrapped": type(trainer.model_wrapped).__name__,
    }
    if callback and not resume:

        def reference(step: int) -> Reference:
            return ema_3([recorder.after[n] for n in range(1, step + 1)])

        found["difference"] = max(
            largest_difference(seen, reference(step)) for step, seen in recorder.evaluated.items()
        )
        found["rounded alike"] = min(
            share_rounded_alike(seen, reference(step)) for step, seen in recorder.evaluated.items()
        )
        found["final difference"] = largest_difference(in_model(trainer), reference(STEPS))
        trainer.save_model(str(folder / "final"))
    return found


def best(folder: Path, resume: int | None = None, **options: Any) -> dict[str, Any]:
    """Keep the best average, and stop."""
    stopping = EarlyStopping("score", 2, mode="max")
    left = SCORES[resume:] if resume else SCORES
    trainer, recorder = averaged_trainer(folder, [stopping], left, **(EACH | options))
    trainer.train(resume_from_checkpoint=str(folder / f"checkpoint-{resume}") if resume else None)
    return {"averages": digests(recorder.evaluated), "final": digest(in_model(trainer))}


def scenarios(folder: Path, options: dict[str, Any], *, few: bool) -> dict[str, Any]:
    """Those of one placement: a few, or all."""
    found: dict[str, Any] = {"alone": train(folder / "alone", average=None, **options)}
    found["averaged"] = train(folder / "averaged", **options)
    found["files"] = sorted(file.name for file in (folder / "averaged" / "checkpoint-3").glob("weight_average*"))
    steps = [3] if few else range(1, STEPS)
    found["resumed"] = {step: train(folder / "averaged", step, **options) for step in steps}
    return found if few else found | more_scenarios(folder, options)


def more_scenarios(folder: Path, options: dict[str, Any]) -> dict[str, Any]:
    """The best average; the average in CPU memory; training in bfloat16, with fp32 masters under DeepSpeed."""
    on_cpu = WeightAveraging("ema(over=3)", weights_in="cpu")
    half = options | {"bf16": True}
    if "deepspeed" in options:
        half |= {"deepspeed": options["deepspeed"] | {"bf16": {"enabled": True}}}
    return {
        "best": best(folder / "best", **options),
        "best resumed": best(folder / "best", 3, **options),
        "in cpu memory": train(folder / "cpu", average=on_cpu, **options),
        "bf16 alone": train(folder / "bf16_alone", average=None, **half),
        "bf16": train(folder / "bf16", **half),
        "bf16 resumed": {3: train(folder / "bf16", 3, **half)},
    }


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    found = scenarios(folder, place(sys.argv[2]), few=sys.argv[3] == "few")
    write_report(folder, found | {"world_size": PartialState().num_processes})
