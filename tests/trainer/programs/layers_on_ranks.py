"""Train a small BERT layer by layer in this process group: with layer decay, with gradual unfreezing, or both.

``layers_on_ranks.py <folder> <options>``, options of `report` in JSON; each rank writes what it saw.
"""

import json
import sys
from pathlib import Path
from typing import Any

from accelerate import PartialState

from hf_strategies.trainer.callbacks.gradual_unfreezing import GradualUnfreezing
from hf_strategies.trainer.lr.layer_decay import LayerDecayArguments
from tests.trainer.bert_runs import arguments, bert_trainer
from tests.two_processes import write_report


def report(folder: Path, options: dict[str, Any]) -> dict[str, Any]:
    """Train on this rank; return what it saw."""
    every = options.pop("every", None)
    rates = LayerDecayArguments(options.pop("layer_decay", None), options.pop("head_learning_rate", None))
    args = arguments(folder, **options)
    trainer, watch = bert_trainer(
        args,
        callbacks=[GradualUnfreezing(every)] if every else [],
        optimizer_cls_and_kwargs=rates.optimizer_cls_and_kwargs(args),
    )
    trainer.train()
    return {
        "world_size": PartialState().num_processes,
        "wrapped_model": type(trainer.model_wrapped).__name__,
        "rates": [[*watch.rates[step].items()] for step in sorted(watch.rates)],
        "moved": [watch.moved(step) for step in sorted(watch.rates)],
        "weights": [vector.double().tolist() for vector in watch.weights[args.max_steps].values()],
    }


if __name__ == "__main__":
    write_report(Path(sys.argv[1]), report(Path(sys.argv[1]), json.loads(sys.argv[2])))
