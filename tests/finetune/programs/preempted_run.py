"""Run text classification; the last process gets SIGTERM in the middle of a step. Write down how each rank ended.

python -m tests.finetune.programs.preempted_run FOLDER STEP [FLAG ...]

STEP is the step in which the signal comes; 0 is none.
"""

import os
import signal
import sys
from pathlib import Path
from typing import Any

from accelerate import PartialState

from hf_strategies.finetune.trainer import RecipeTrainer
from hf_strategies.recipes import text_classification
from tests.two_processes import write_report


def report(step: int, flags: list[str]) -> dict[str, Any]:
    original = RecipeTrainer.training_step

    def training_step(trainer: RecipeTrainer, *args: Any, **kwargs: Any) -> Any:
        if trainer.state.global_step + 1 == step and not trainer.is_world_process_zero():
            os.kill(os.getpid(), signal.SIGTERM)
        return original(trainer, *args, **kwargs)

    RecipeTrainer.training_step = training_step  # type: ignore[method-assign]
    code: Any = 0
    try:
        text_classification.main(flags)
    except SystemExit as end:
        code = end.code
    return {"code": code, "world_size": PartialState().num_processes}


if __name__ == "__main__":
    PartialState(cpu=True)
    write_report(Path(sys.argv[1]), report(int(sys.argv[2]), sys.argv[3:]))
