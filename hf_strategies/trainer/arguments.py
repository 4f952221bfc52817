"""The flags of this package, for `HfArgumentParser` beside `TrainingArguments`."""

from dataclasses import dataclass, field, fields

from transformers import TrainerCallback

from hf_strategies.errors import StrategyError
from hf_strategies.trainer.callbacks.early_stopping import EarlyStopping
from hf_strategies.trainer.callbacks.gradual_unfreezing import GradualUnfreezing
from hf_strategies.trainer.callbacks.plateau_cooldown.callback import PlateauCooldown
from hf_strategies.trainer.callbacks.reduce_on_plateau import ReduceOnPlateau
from hf_strategies.trainer.lr.layer_decay import LayerDecayArguments

__all__ = [
    "BestWeightsArguments",
    "EarlyStoppingArguments",
    "PlateauCooldownArguments",
    "StrategyArguments",
    "refuse_idle",
]


@dataclass
class BestWeightsArguments:
    """What becomes of the best weights."""

    restore_best_weights: bool = field(
        default=True, metadata={"help": "Put the weights of the best evaluation back when training ends."}
    )
    best_weights_in: str = field(
        default="memory",
        metadata={"help": "Where the best weights are kept: 'memory', or 'disk' (the Trainer's checkpoints)."},
    )


@dataclass
class EarlyStoppingArguments(BestWeightsArguments):
    """When training is done, for `HfArgumentParser`; see `EarlyStopping`.

    >>> EarlyStoppingArguments(early_stopping_patience="2ep").early_stopping().rule.monitor
    'eval_loss'
    """

    early_stopping_patience: int | str | None = field(
        default=None,
        metadata={
            "help": "Stop after so long without improvement: 3 (evaluations), '500 steps', '2ep' or 0.1 (of the"
            " planned steps). Unset, and without early_stopping_when: no early stopping."
        },
    )
    early_stopping_when: str | None = field(
        default=None,
        metadata={
            "help": "Criteria in place of early_stopping_patience, joined by 'or' and 'and', such as 'patience(5) or"
            " target(0.95) or divergence(factor=3)'; 'hf-strategies criteria' lists them."
        },
    )
    early_stopping_monitor: str = field(
        default="loss",
        metadata={
            "help": "The metric to watch, with or without 'eval_' in front, or an expression of several, such as"
            " 'mean(books_loss, web_loss)'."
        },
    )
    early_stopping_mode: str | None = field(
        default=None,
        metadata={"help": "'min' or 'max'; needed when the metric's direction is not known from its name."},
    )
    early_stopping_min_delta: float = field(
        default=0.0, metadata={"help": "The smallest change that is an improvement, in the metric's unit."}
    )
    early_stopping_relative_delta: float = field(
        default=0.0, metadata={"help": "The smallest change that is an improvement, as a share of the best value."}
    )
    early_stopping_z: float = field(
        default=0.0,
        metadata={"help": "The smallest change that is an improvement, in standard errors of the metric."},
    )
    early_stopping_samples: int | None = field(
        default=None,
        metadata={"help": "Evaluation examples, which give a proportion such as accuracy its standard error."},
    )
    early_stopping_baseline: float | None = field(
        default=None, metadata={"help": "An improvement ends the wait only if it beats this value too."}
    )
    early_stopping_smoothing: str | None = field(
        default=None, metadata={"help": "Judge the metric smoothed: 'ema(0.3)', 'median(3)' or 'mean(3)'."}
    )
    early_stopping_start_from: str = field(
        default="0",
        metadata={"help": "Look at no evaluation before: 3 (evaluations), '500 steps', '2ep' or 0.1 (of the steps)."},
    )
    early_stopping_train_on: bool = field(
        default=False, metadata={"help": "Let a run that has stopped train on when it is resumed."}
    )

    def early_stopping(self, restores: bool = True) -> EarlyStopping | None:
        """Return the callback, None when it is not asked for; raises `StrategyError` for a bad value.

        It does not restore weights unless it ``restores``: another callback may have to.
        """
        if self.early_stopping_patience is None and self.early_stopping_when is None:
            refuse_idle(self, "early_stopping_patience", ("early_stopping_",))
            return None
        return EarlyStopping(
            monitor=self.early_stopping_monitor,
            patience=self.early_stopping_patience,
            min_delta=self.early_stopping_min_delta,
            mode=self.early_stopping_mode,
            restore_best_weights=self.restore_best_weights if restores else False,
            stop_when=self.early_stopping_when,
            relative_delta=self.early_stopping_relative_delta,
            z=self.early_stopping_z,
            samples=self.early_stopping_samples,
            baseline=self.early_stopping_baseline,
            smoothing=self.early_stopping_smoothing,
            start_from=self.early_stopping_start_from,
            weights_in=self.best_weights_in,
            train_on=self.early_stopping_train_on,
        )


def refuse_idle(arguments: object, switch: str, prefixes: tuple[str, ...]) -> None:
    """Raise `StrategyError` for settings that nothing would read, since ``switch`` is not set."""
    for row in fields(arguments):  # type: ignore[arg-type]
        given = getattr(arguments, row.name)
        # From YAML a number may come for a default that is a text.
        if row.name.startswith(prefixes) and str(given) != str(row.default):
            raise StrategyError(f"{row.name}={given!r} has no effect without {switch}: set that too")


@dataclass
class PlateauCooldownArguments(BestWeightsArguments):
    """When to cool the learning rate down, and how, for `HfArgumentParser`; see `PlateauCooldown`.

    >>> PlateauCooldownArguments(plateau_cooldown_patience=3).plateau_cooldown().rule.monitor
    'eval_loss'
    """

    plateau_cooldown_patience: int | str | None = field(
        default=None,
        metadata={
            "help": "Cool the learning rate down, and then stop, after so long without improvement: 3 (evaluations),"
            " '500 steps', '2ep' or 0.1 (of the planned steps). Unset, and without plateau_cooldown_when: never."
        },
    )
    plateau_cooldown_when: str | None = field(
        default=None,
        metadata={
            "help": "Criteria in place of plateau_cooldown_patience: \"patience(2) and patience(2, monitor='loss')\"."
        },
    )
    plateau_cooldown_monitor: str = field(
        default="loss", metadata={"help": "The metric to watch, or an expression of several."}
    )
    plateau_cooldown_mode: str | None = field(
        default=None,
        metadata={"help": "'min' or 'max'; needed when the metric's direction is not known from its name."},
    )
    plateau_cooldown_min_delta: float = field(
        default=0.0, metadata={"help": "The smallest change that is an improvement, in the metric's unit."}
    )
    plateau_cooldown_relative_delta: float = field(
        default=0.0, metadata={"help": "The smallest change that is an improvement, as a share of the best value."}
    )
    plateau_cooldown_z: float = field(
        default=0.0,
        metadata={"help": "The smallest change that is an improvement, in standard errors of the metric."},
    )
    plateau_cooldown_samples: int | None = field(
        default=None,
        metadata={"help": "Evaluation examples, which give a proportion such as accuracy its standard error."},
    )
    plateau_cooldown_smoothing: str | None = field(
        default=None, metadata={"help": "Judge the metric smoothed: 'ema(0.3)', 'median(3)' or 'mean(3)'."}
    )
    plateau_cooldown_start_from: str = field(
        default="0", metadata={"help": "Look at no evaluation before: 3 (evaluations), '500 steps', '2ep' or 0.1."}
    )
    plateau_cooldown_length: str | None = field(
        default=None,
        metadata={"help": "Length: a fraction of the steps done when it starts, steps, or '2ep' (default 0.5)."},
    )
    plateau_cooldown_shape: str | None = field(
        default=None,
        metadata={"help": "Curve: 'sqrt' (the default), 'linear', 'cosine', 'polynomial', 'exponential'."},
    )
    plateau_cooldown_min_lr_ratio: float | None = field(
        default=None, metadata={"help": "Floor of the cooldown, as a ratio of each group's peak."}
    )
    plateau_cooldown_rewind: str = field(
        default="none",
        metadata={
            "help": "Go back to the best weights at each plateau: 'weights' (fresh moments), 'optimizer' (with the"
            " optimizer's state of then), or 'none'."
        },
    )
    plateau_cooldown_stages: int = field(
        default=0, metadata={"help": "Plateaus at which the rate is lowered before the one that starts the cooldown."}
    )
    plateau_cooldown_factor: float = field(
        default=0.1, metadata={"help": "What the rate is multiplied with at each of them, in (0, 1]."}
    )

    def plateau_cooldown(self) -> PlateauCooldown | None:
        """Return the callback, None when it is not asked for; raises `StrategyError` for a bad value."""
        if self.plateau_cooldown_patience is None and self.plateau_cooldown_when is None:
            refuse_idle(self, "plateau_cooldown_patience", ("plateau_cooldown_",))
            return None
        return PlateauCooldown(
            monitor=self.plateau_cooldown_monitor,
            patience=self.plateau_cooldown_patience,
            cooldown=self.plateau_cooldown_length,
            min_delta=self.plateau_cooldown_min_delta,
            mode=self.plateau_cooldown_mode,
            restore_best_weights=self.restore_best_weights,
            cooldown_shape=self.plateau_cooldown_shape,
            min_lr_ratio=self.plateau_cooldown_min_lr_ratio,
            stop_when=self.plateau_cooldown_when,
            rewind=self.plateau_cooldown_rewind,
            stages=self.plateau_cooldown_stages,
            factor=self.plateau_cooldown_factor,
            relative_delta=self.plateau_cooldown_relative_delta,
            z=self.plateau_cooldown_z,
            samples=self.plateau_cooldown_samples,
            smoothing=self.plateau_cooldown_smoothing,
            start_from=self.plateau_cooldown_start_from,
            weights_in=self.best_weights_in,
        )


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
