"""The flags of early stopping."""

from dataclasses import dataclass, field, fields

from hf_strategies.errors import StrategyError
from hf_strategies.trainer.early_stopping import EarlyStopping

__all__ = ["BestWeightsArguments", "EarlyStoppingArguments", "refuse_idle"]


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
