"""The flags of the plateau-triggered cooldown."""

from dataclasses import dataclass, field

from hf_strategies.trainer.cooldown import PlateauCooldown
from hf_strategies.trainer.stopping_arguments import BestWeightsArguments, refuse_idle

__all__ = ["PlateauCooldownArguments"]


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
