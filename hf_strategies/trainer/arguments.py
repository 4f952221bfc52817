"""The flags of this package, for `HfArgumentParser` beside `TrainingArguments`."""

from dataclasses import dataclass, field, fields

from transformers import TrainerCallback

from hf_strategies.errors import StrategyError
from hf_strategies.trainer.early_stopping import EarlyStopping

__all__ = ["StrategyArguments"]


@dataclass
class StrategyArguments:
    """How to decide that training is done; add it beside `TrainingArguments` and pass ``callbacks()`` on.

    ``HfArgumentParser((TrainingArguments, StrategyArguments))`` gives the flags, ``callbacks()`` what goes into
    ``Trainer(callbacks=...)``. Raises `StrategyError` for a bad value when it is made.

    >>> StrategyArguments().callbacks()
    []
    >>> [callback.rule.monitor for callback in StrategyArguments(early_stopping_patience=3).callbacks()]
    ['eval_loss']
    """

    early_stopping_patience: int | None = field(
        default=None,
        metadata={"help": "Stop after this many evaluations without improvement (unset: no early stopping)."},
    )
    early_stopping_monitor: str = field(
        default="loss", metadata={"help": "The metric to watch, with or without 'eval_' in front."}
    )
    early_stopping_min_delta: float = field(
        default=0.0, metadata={"help": "The smallest change that is an improvement, in the metric's unit."}
    )
    early_stopping_mode: str | None = field(
        default=None,
        metadata={"help": "'min' or 'max'; needed when the metric's direction is not known from its name."},
    )
    restore_best_weights: bool = field(
        default=True, metadata={"help": "Put the weights of the best evaluation back when training ends."}
    )

    def __post_init__(self) -> None:
        """Refuse bad values now, and settings that nothing would read."""
        if self.early_stopping_patience is not None:
            self.callbacks()
            return
        for row in fields(self):
            if getattr(self, row.name) != row.default:
                raise StrategyError(
                    f"{row.name}={getattr(self, row.name)!r} has no effect without early_stopping_patience: set that"
                    " too"
                )

    def callbacks(self) -> list[TrainerCallback]:
        """Return new callbacks for a Trainer."""
        if self.early_stopping_patience is None:
            return []
        return [
            EarlyStopping(
                monitor=self.early_stopping_monitor,
                patience=self.early_stopping_patience,
                min_delta=self.early_stopping_min_delta,
                mode=self.early_stopping_mode,
                restore_best_weights=self.restore_best_weights,
            )
        ]
