"""Cool down a small BERT in a sharded placement: ``cooldown_placed.py <folder> <placement>``; each rank writes."""

import sys
from pathlib import Path
from typing import Any

from accelerate import PartialState
from transformers import TrainerCallback

from hf_strategies import PlateauCooldown
from hf_strategies.pytorch.shards import OptimizerPieces
from tests.tiny import learning_rates
from tests.trainer.best_weights.keeper_runs import trainer_of
from tests.trainer.placements import digest, place, whole_weights
from tests.two_processes import write_report

SCORES = [0.5, 0.6, 0.8, *[0.7] * 3, *[0.65] * 9]  # best at step 3, stalled at step 6, worse at the end


class Remember(TrainerCallback):
    """The bits of the whole weights, and of this rank's optimizer state, at the beginning of each step."""

    def __init__(self) -> None:
        self.weights: dict[int, str] = {}
        self.moments: dict[int, str] = {}

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.weights[state.global_step] = digest(whole_weights(kwargs["model"]))
        pieces = OptimizerPieces(kwargs["optimizer"]).pieces()
        self.moments[state.global_step] = digest({piece.name: piece.tensor.clone().reshape(-1) for piece in pieces})


def run(folder: Path, rewind: str, **options: Any) -> dict[str, Any]:
    seen, callback = Remember(), PlateauCooldown("score", 3, 3, mode="max", rewind=rewind)
    trainer = trainer_of(folder, [callback, seen], SCORES, max_steps=20, logging_steps=1, **options)
    trainer.train()
    return {
        "kind": type(trainer.model_wrapped).__name__,
        "rates": learning_rates(trainer),
        "weights are back": seen.weights[6] == seen.weights[3],
        "moments are back": seen.moments[6] == seen.moments[3],
        "best at the end": digest(whole_weights(trainer.model)) == seen.weights[3],
        "in the cooldown": seen.weights[8],
    }


if __name__ == "__main__":
    folder, options = Path(sys.argv[1]), place(sys.argv[2])
    found: dict[str, Any] = {way: run(folder / way, way, **options) for way in ("none", "weights", "optimizer")}
    write_report(folder, found | {"world_size": PartialState().num_processes})
