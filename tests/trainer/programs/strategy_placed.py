"""Train a small BERT by `StrategyArguments` in this process group, in a placement; each rank writes what it saw.

``strategy_placed.py <folder> <placement>``: once with all arguments that the settings ask for, and once with the
callbacks alone, which lack the learning rates by depth.
"""

import dataclasses
import sys
from pathlib import Path
from typing import Any

from accelerate import PartialState

from hf_strategies import EarlyStopping, StrategyArguments, StrategyError
from tests.trainer.bert_runs import arguments, bert_trainer
from tests.trainer.placements import place
from tests.two_processes import write_report


def report(folder: Path, placement: str) -> dict[str, Any]:
    """Train on this rank; return what it saw."""
    options = place(placement) | {"max_steps": 3, "eval_strategy": "steps", "eval_steps": 1}
    strategy = StrategyArguments(
        layer_decay=0.5,
        head_learning_rate=0.1,
        parameter_groups={"bias": "freeze", "layer.2": {"lr_ratio": 0.5}},
        early_stopping_patience=1,
        early_stopping_monitor="score",
        early_stopping_mode="max",
    )
    args = arguments(folder, **options)
    trainer, _ = bert_trainer(args, scores=[0.5, 0.4, 0.3], **strategy.trainer_kwargs(args))
    trainer.callback_handler.callbacks.pop()  # the watch, which reads whole parameters
    trainer.train()
    (stopping,) = (each for each in trainer.callback_handler.callbacks if isinstance(each, EarlyStopping))
    groups = trainer.callback_handler.optimizer.param_groups  # type: ignore[union-attr]
    return {
        "world_size": PartialState().num_processes,
        "wrapped": type(trainer.model_wrapped).__name__,
        "peaks": {group["name"]: group["initial_lr"] for group in groups},
        "result": dataclasses.asdict(stopping.result),  # type: ignore[arg-type]
        "without_the_rates": refused(arguments(folder, **options), strategy),
    }


def refused(args: Any, strategy: StrategyArguments) -> str:
    """The error of a Trainer that got the callbacks alone; DeepSpeed needs new ``args`` for it."""
    trainer, _ = bert_trainer(args, scores=[0.5], callbacks=strategy.callbacks())
    trainer.callback_handler.callbacks.pop()
    try:
        trainer.train()
    except StrategyError as error:
        return str(error)
    return ""


if __name__ == "__main__":
    write_report(Path(sys.argv[1]), report(Path(sys.argv[1]), sys.argv[2]))
