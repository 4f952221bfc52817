"""The flags of this package, for `HfArgumentParser` beside `TrainingArguments`."""

from dataclasses import dataclass, field, fields

from transformers import TrainerCallback

from hf_strategies.errors import StrategyError
from hf_strategies.trainer.early_stopping import EarlyStopping
from hf_strategies.trainer.layer_decay import LayerDecayArguments
from hf_strategies.trainer.plateau import ReduceOnPlateau
from hf_strategies.trainer.unfreezing import GradualUnfreezing

__all__ = ["StrategyArguments"]


@dataclass
class StrategyArguments(LayerDecayArguments):
    """When training is done, and which parameters learn how fast; add it beside `TrainingArguments`.

    ``HfArgumentParser((TrainingArguments, StrategyArguments))`` gives the flags, ``callbacks()`` what goes into
    ``Trainer(callbacks=...)`` and ``optimizer_cls_and_kwargs(args)`` what goes into the Trainer's argument of that
    name. Raises `StrategyError` for a bad value when it is made.

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
    reduce_on_plateau_patience: int | None = field(
        default=None,
        metadata={"help": "Reduce the learning rate after this many evaluations without improvement (unset: never)."},
    )
    reduce_on_plateau_factor: float = field(
        default=0.1, metadata={"help": "Multiply the learning rate by this at each such plateau, in (0, 1)."}
    )
    reduce_on_plateau_monitor: str = field(default="loss", metadata={"help": "The metric whose plateaus count."})
    reduce_on_plateau_mode: str | None = field(
        default=None, metadata={"help": "'min' or 'max'; needed when the metric's direction is not known."}
    )
    unfreeze_every: str | None = field(
        default=None,
        metadata={"help": "Train the head first, then one more layer after each so many steps, '1ep' or fraction."},
    )

    def __post_init__(self) -> None:
        """Refuse bad values now, and settings that nothing would read."""
        super().__post_init__()
        self.callbacks()
        for switch, prefixes in (
            ("early_stopping_patience", ("early_stopping_", "restore_best_weights")),
            ("reduce_on_plateau_patience", ("reduce_on_plateau_",)),
        ):
            for row in fields(self):
                given = getattr(self, row.name)
                if getattr(self, switch) is None and row.name.startswith(prefixes) and given != row.default:
                    raise StrategyError(f"{row.name}={given!r} has no effect without {switch}: set that too")

    def callbacks(self) -> list[TrainerCallback]:
        """Return new callbacks for a Trainer."""
        found: list[TrainerCallback] = []
        if self.unfreeze_every is not None:
            found.append(GradualUnfreezing(self.unfreeze_every))
        if self.reduce_on_plateau_patience is not None:
            found.append(
                ReduceOnPlateau(
                    monitor=self.reduce_on_plateau_monitor,
                    patience=self.reduce_on_plateau_patience,
                    factor=self.reduce_on_plateau_factor,
                    mode=self.reduce_on_plateau_mode,
                )
            )
        if self.early_stopping_patience is not None:
            found.append(
                EarlyStopping(
                    monitor=self.early_stopping_monitor,
                    patience=self.early_stopping_patience,
                    min_delta=self.early_stopping_min_delta,
                    mode=self.early_stopping_mode,
                    restore_best_weights=self.restore_best_weights,
                )
            )
        return found
