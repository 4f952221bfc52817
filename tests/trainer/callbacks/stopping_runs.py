"""What the tests of early stopping share: scores, settings, and how to read the record."""

from typing import Any

from transformers import Trainer

from hf_strategies import EarlyStopping
from hf_strategies.stopping.results import records_of

EACH_STEP = {"eval_strategy": "steps", "eval_steps": 1, "max_steps": 12}
SAVING = EACH_STEP | {"save_strategy": "steps", "save_steps": 1, "lr_scheduler_type": "linear_warmup_cosine_decay"}
SAVING |= {"warmup_steps": 3}
FLAT = SAVING | {"lr_scheduler_type": "constant", "warmup_steps": 0}  # max_steps may change on resume
# best at step 3, patience 2 is used up at step 5
SCORES = [0.5, 0.6, 0.8, 0.7, 0.75, 0.9, 0.95, 0.99, 1.0, 1.1, 1.2, 1.3]


def records(trainer: Trainer) -> list[dict[str, Any]]:
    """All records of early stopping in the trainer's state."""
    return [dict(value) for value in records_of("early_stopping", trainer.state.stateful_callbacks).values()]


def record(trainer: Trainer) -> dict[str, Any]:
    """The one record of early stopping in the trainer's state."""
    (found,) = records(trainer)
    return found


def what_happened(trainer: Trainer) -> dict[str, Any]:
    """The record but for the time it took."""
    return {name: value for name, value in record(trainer).items() if name != "wall_seconds"}


def stopping(**options: Any) -> EarlyStopping:
    """Patience 2 on ``eval_score``, unless told otherwise."""
    patience = {} if "stop_when" in options else {"patience": 2}
    return EarlyStopping(**({"monitor": "score", "mode": "max"} | patience | options))
