"""The flags of this package, for `HfArgumentParser` beside `TrainingArguments`."""

from dataclasses import dataclass, field

from transformers import TrainerCallback

from hf_strategies.trainer.cooldown_arguments import PlateauCooldownArguments
from hf_strategies.trainer.layer_decay import LayerDecayArguments
from hf_strategies.trainer.plateau import ReduceOnPlateau
from hf_strategies.trainer.stopping_arguments import EarlyStoppingArguments, refuse_idle
from hf_strategies.trainer.unfreezing import GradualUnfreezing

__all__ = ["StrategyArguments"]


@dataclass
class StrategyArguments(EarlyStoppingArguments, PlateauCooldownArguments, LayerDecayArguments):
    """When training is done, and which parameters learn how fast; add it beside `TrainingArguments`.

    ``HfArgumentParser((TrainingArguments, StrategyArguments))`` gives the flags, ``callbacks()`` what goes into
    ``Trainer(callbacks=...)`` and ``optimizer_cls_and_kwargs(args)`` what goes into the Trainer's argument of that
    name. Raises `StrategyError` for a bad value when it is made.

    >>> StrategyArguments().callbacks()
    []
    >>> [callback.rule.monitor for callback in StrategyArguments(early_stopping_patience=3).callbacks()]
    ['eval_loss']
    """

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
        if self.reduce_on_plateau_patience is None:
            refuse_idle(self, "reduce_on_plateau_patience", ("reduce_on_plateau_",))

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
        cooldown = self.plateau_cooldown()
        stopping = self.early_stopping(restores=cooldown is None)
        if cooldown is None and stopping is None:
            refuse_idle(self, "early_stopping_patience", ("restore_best_weights", "best_weights_in"))
        return [*found, *(callback for callback in (cooldown, stopping) if callback is not None)]
