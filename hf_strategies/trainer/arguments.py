"""The flags of this package, for `HfArgumentParser` beside `TrainingArguments`."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, replace
from typing import Any

from transformers import TrainerCallback, TrainingArguments

from hf_strategies.errors import StrategyError
from hf_strategies.stopping.keep_rule import KEEP
from hf_strategies.stopping.settings import RULE_SETTINGS
from hf_strategies.trainer.callbacks.early_stopping import EarlyStopping
from hf_strategies.trainer.callbacks.gradual_unfreezing import GradualUnfreezing
from hf_strategies.trainer.callbacks.layer_groups import LayerGroupsCheck
from hf_strategies.trainer.callbacks.plateau_cooldown.callback import PLATEAU, PlateauCooldown, refuse_beside_cooldown
from hf_strategies.trainer.callbacks.reduce_on_plateau import ReduceOnPlateau
from hf_strategies.trainer.callbacks.weight_averaging.callback import WeightAveraging, refuse_others
from hf_strategies.trainer.lr.layer_decay import LayerDecayArguments

__all__ = [
    "EarlyStoppingArguments",
    "PlateauCooldownArguments",
    "StrategyArguments",
    "WeightAveragingArguments",
]


def _flag(setting: str, default: Any = ..., more: str = "") -> Any:
    """Return the dataclass field of a flag for a setting of the stopping rule, with its default and its help."""
    row = RULE_SETTINGS[setting]
    text = row.help[0].upper() + row.help[1:]
    return field(default=row.default if default is ... else default, metadata={"help": f"{text}{more}."})


@dataclass
class _StrategyFlags:
    """The flags that belong to no single callback, and how flags become arguments of a callback."""

    restore_best_weights: bool = field(
        default=True, metadata={"help": "Put the weights of the best evaluation back when training ends."}
    )
    best_weights_in: str = field(
        default="memory",
        metadata={"help": "Where the best weights are kept: 'memory', or 'disk' (the Trainer's checkpoints)."},
    )

    def _arguments(self, prefix: str) -> dict[str, Any]:
        """Return the arguments of a callback: its flags without their prefix, under the names it has for them."""
        flags = [row.name for row in fields(self) if row.name.startswith(prefix)]
        short = {flag: flag.removeprefix(prefix) for flag in flags}
        return {_LONG_NAMES.get(short[flag], short[flag]): getattr(self, flag) for flag in flags}


# Flags that are shorter than the arguments of the callbacks, because their prefix says the rest.
_LONG_NAMES = {
    "when": "stop_when",
    "length": "cooldown",
    "shape": "cooldown_shape",
    "keep": "restore_best_weights",
    "in": "weights_in",
}


@dataclass
class EarlyStoppingArguments(_StrategyFlags):
    """When training is done, for `HfArgumentParser`; see `EarlyStopping`.

    >>> EarlyStoppingArguments(early_stopping_patience="2ep").early_stopping().rule.monitor
    'eval_loss'
    """

    early_stopping_patience: int | str | None = _flag(
        "patience", more=". Without it and without early_stopping_when there is no early stopping"
    )
    early_stopping_when: str | None = _flag("stop_when")
    early_stopping_monitor: str = _flag("monitor")
    early_stopping_mode: str | None = _flag("mode")
    early_stopping_min_delta: float = _flag("min_delta")
    early_stopping_relative_delta: float = _flag("relative_delta")
    early_stopping_z: float = _flag("z")
    early_stopping_samples: int | None = _flag("samples")
    early_stopping_baseline: float | None = _flag("baseline")
    early_stopping_smoothing: str | None = _flag("smoothing")
    early_stopping_start_from: str = _flag("start_from", "0")
    early_stopping_train_on: bool = field(
        default=False, metadata={"help": "Let a run that has stopped train on when it is resumed."}
    )

    def early_stopping(self, restores: bool = True) -> EarlyStopping | None:
        """Return the callback, None when it is not asked for; raises `StrategyError` for a bad value.

        With ``restores=False`` it leaves restoring weights to another callback.
        """
        if self.early_stopping_patience is None and self.early_stopping_when is None:
            _refuse_idle(self, "early_stopping_patience", ("early_stopping_",))
            return None
        with _errors_of("early_stopping"):
            return EarlyStopping(
                **self._arguments("early_stopping_"),
                restore_best_weights=self.restore_best_weights if restores else False,
                weights_in=self.best_weights_in if restores else "memory",
            )


@dataclass
class PlateauCooldownArguments(_StrategyFlags):
    """When to cool the learning rate down, and how, for `HfArgumentParser`; see `PlateauCooldown`.

    >>> PlateauCooldownArguments(plateau_cooldown_patience=3).plateau_cooldown().rule.monitor
    'eval_loss'
    """

    plateau_cooldown_patience: int | str | None = _flag(
        "patience",
        more=". The learning rate then cools down, and training stops. There is a cooldown if this,"
        " plateau_cooldown_when or plateau_cooldown_monitor is given",
    )
    plateau_cooldown_when: str | None = _flag(
        "stop_when", more=f". Without it and without plateau_cooldown_patience: {PLATEAU!r}"
    )
    plateau_cooldown_monitor: str | None = _flag(
        "monitor", None, " (default loss). Given alone, it asks for the cooldown with the default criterion"
    )
    plateau_cooldown_mode: str | None = _flag("mode")
    plateau_cooldown_min_delta: float = _flag("min_delta")
    plateau_cooldown_relative_delta: float = _flag("relative_delta")
    plateau_cooldown_z: float = _flag("z")
    plateau_cooldown_samples: int | None = _flag("samples")
    plateau_cooldown_smoothing: str | None = _flag("smoothing")
    plateau_cooldown_start_from: str = _flag("start_from", "0")
    plateau_cooldown_length: str | None = field(
        default=None,
        metadata={
            "help": "Length: a fraction of the steps done when it starts, steps as 500 or '500 steps', or '2ep'"
            " (default 0.5)."
        },
    )
    plateau_cooldown_shape: str | None = field(
        default=None,
        metadata={"help": "Curve: 'sqrt' (the default), 'linear', 'cosine', 'polynomial', 'exponential'."},
    )
    plateau_cooldown_min_lr_ratio: float | None = field(
        default=None, metadata={"help": "Floor of the cooldown, as a ratio of each group's peak."}
    )
    plateau_cooldown_hold: str = field(
        default="peak",
        metadata={
            "help": "'peak' refuses a schedule that falls by itself before the cooldown, 'schedule' follows it."
        },
    )
    plateau_cooldown_keep: str = field(
        default=KEEP[0],
        metadata={
            "help": "Which weights are the result: 'noise_aware' (the end of the cooldown, if luck explains by how"
            " much the best evaluation is better), 'best', or 'end'."
        },
    )
    plateau_cooldown_average: str | None = field(
        default=None,
        metadata={
            "help": "Judge the plateau by an average of the weights, such as \"ema(over='1ep')\"; with"
            " plateau_cooldown_length 0, training ends there with the average."
        },
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
        asks = (self.plateau_cooldown_patience, self.plateau_cooldown_when, self.plateau_cooldown_monitor)
        if all(each is None for each in asks):
            _refuse_idle(self, "plateau_cooldown_monitor", ("plateau_cooldown_",))
            return None
        if not self.restore_best_weights and self.plateau_cooldown_keep not in (KEEP[0], "end"):
            raise StrategyError(
                f"plateau_cooldown_keep={self.plateau_cooldown_keep!r} and restore_best_weights=False exclude each"
                " other: give one of them"
            )
        with _errors_of("plateau_cooldown"):
            given = self._arguments("plateau_cooldown_")
            keep, monitor = given.pop("restore_best_weights"), given.pop("monitor")
            return PlateauCooldown(
                "loss" if monitor is None else monitor,
                **given,
                restore_best_weights=keep if self.restore_best_weights else "end",
                weights_in=self.best_weights_in,
            )


@dataclass
class WeightAveragingArguments(_StrategyFlags):
    """Which average of the weights is evaluated and kept, for `HfArgumentParser`; see `WeightAveraging`.

    >>> str(WeightAveragingArguments(average_weights="ema(over='1ep')").weight_averaging().average)
    "ema(over='1ep')"
    """

    average_weights: str | None = field(
        default=None,
        metadata={
            "help": "Evaluate, keep and end with an average of the weights, such as \"ema(over='1ep')\" or"
            ' "tail(over=0.5)" (unset: the weights themselves).'
        },
    )
    average_weights_start_from: str | None = field(
        default=None,
        metadata={"help": "Steps that the average leaves out, as 500, '2ep' or a fraction (unset: the warmup)."},
    )
    average_weights_in: str = field(
        default="device",
        metadata={"help": "Where the average is: 'device', or 'cpu' (copies the weights there at each step)."},
    )
    average_weights_keep_raw: bool = field(
        default=False, metadata={"help": "Write the last raw weights, as a model, into raw/ in the output folder."}
    )

    def weight_averaging(self) -> WeightAveraging | None:
        """Return the callback, None when it is not asked for; raises `StrategyError` for a bad value."""
        if self.average_weights is None:
            _refuse_idle(self, "average_weights", ("average_weights_",))
            return None
        with _errors_of("average_weights"):
            return WeightAveraging(self.average_weights, **self._arguments("average_weights_"))


@dataclass
class StrategyArguments(
    EarlyStoppingArguments, PlateauCooldownArguments, WeightAveragingArguments, LayerDecayArguments
):
    """When training is done, and which parameters learn how fast; add it beside `TrainingArguments`.

    ``HfArgumentParser((TrainingArguments, StrategyArguments))`` gives the flags, and `trainer_kwargs` all arguments
    of the Trainer that they ask for: ``Trainer(model, args, **strategy.trainer_kwargs(args))``. `callbacks` alone
    leaves out ``layer_decay``, ``head_learning_rate`` and ``parameter_groups``: if one of these is set, training is
    then refused. Raises `StrategyError` for a bad value, and for one that would have no effect, when it is made.

    >>> strategy = StrategyArguments(early_stopping_patience=3, layer_decay=0.9)
    >>> sorted(strategy.trainer_kwargs(TrainingArguments("out")))
    ['callbacks', 'optimizer_cls_and_kwargs']
    """

    reduce_on_plateau_patience: int | None = field(
        default=None,
        metadata={"help": "Reduce the learning rate after this many evaluations without improvement (unset: never)."},
    )
    reduce_on_plateau_factor: float = field(
        default=0.1, metadata={"help": "Multiply the learning rate by this at each such plateau, in (0, 1)."}
    )
    reduce_on_plateau_monitor: str = field(default="loss", metadata={"help": "The metric whose plateaus count."})
    reduce_on_plateau_mode: str | None = _flag("mode")
    unfreeze_every: str | None = field(
        default=None,
        metadata={"help": "Train the head first, then one more layer after each so many steps, '1ep' or fraction."},
    )
    unfreeze_warmup: str | None = field(
        default=None,
        metadata={
            "help": "Let the rate of each newly unfrozen layer rise over so many steps, '1ep' or fraction; needs"
            " layer_decay, which may be 1."
        },
    )

    def __post_init__(self) -> None:
        """Refuse bad values now, and settings that nothing would read."""
        super().__post_init__()
        self.first_callbacks = self.callbacks()  # for a run that needs them once, as a recipe's does
        if self.reduce_on_plateau_patience is None:
            _refuse_idle(self, "reduce_on_plateau_patience", ("reduce_on_plateau_",))

    def trainer_kwargs(self, args: TrainingArguments, callbacks: Iterable[TrainerCallback] = ()) -> dict[str, Any]:
        """Return the arguments of a Trainer that apply all of these settings, for ``Trainer(...)`` or a subclass.

        ``args`` are the Trainer's, whose optimizer gets the parameter groups. ``callbacks`` are your own: they
        come after those of the settings. There is an ``optimizer_cls_and_kwargs`` only where the settings need one.
        The model plays no part, so that this works with `model_init` and in a hyperparameter search.

        >>> sorted(StrategyArguments(unfreeze_every="1ep").trainer_kwargs(TrainingArguments("out")))
        ['callbacks']
        """
        optimizer = self.optimizer_cls_and_kwargs(args)
        kwargs: dict[str, Any] = {"callbacks": [*self.callbacks(), *callbacks]}
        return kwargs if optimizer is None else kwargs | {"optimizer_cls_and_kwargs": optimizer}

    def callbacks(self) -> list[TrainerCallback]:
        """Return new callbacks for a Trainer; `trainer_kwargs` adds the parameter groups.

        >>> StrategyArguments().callbacks()
        []
        """
        callbacks: list[TrainerCallback] = []
        if self.makes_groups:
            callbacks.append(LayerGroupsCheck(self.layer_decay, self.head_learning_rate, self.parameter_groups))
        if self.unfreeze_every is None:
            _refuse_idle(self, "unfreeze_every", ("unfreeze_warmup",))
        else:
            with _errors_of("unfreeze_every"):
                callbacks.append(GradualUnfreezing(self.unfreeze_every, self.unfreeze_warmup))
        if self.reduce_on_plateau_patience is not None:
            with _errors_of("reduce_on_plateau"):
                callbacks.append(ReduceOnPlateau(**self._arguments("reduce_on_plateau_")))
        cooldown = self.plateau_cooldown()
        stopping = self.early_stopping(restores=cooldown is None)
        if cooldown is None and stopping is None:
            _refuse_idle(self, "early_stopping_patience", ("restore_best_weights", "best_weights_in"))
        optional = (self.weight_averaging(), cooldown, stopping)
        callbacks += [callback for callback in optional if callback is not None]
        refuse_others(callbacks)
        if cooldown is not None:
            refuse_beside_cooldown(callbacks, cooldown)
        return callbacks

    def optimizer_cls_and_kwargs(self, args: TrainingArguments) -> tuple[Any, dict[str, Any]] | None:
        """Return a value for ``Trainer(optimizer_cls_and_kwargs=...)``; None without parameter groups.

        A training with it and without the callbacks that were asked for is refused: `trainer_kwargs` has both.
        """
        made = super().optimizer_cls_and_kwargs(args)
        if made is None:
            return None
        kinds = frozenset(type(callback).__name__ for callback in self.first_callbacks)
        return replace(made[0], expected_callbacks=kinds), made[1]


@contextmanager
def _errors_of(flags: str) -> Iterator[None]:
    """Begin each error with the flags that a callback is made from: its arguments have shorter names."""
    try:
        yield
    except StrategyError as mistake:
        raise StrategyError(f"{flags}: {mistake}") from None


def _refuse_idle(arguments: object, switch: str, prefixes: tuple[str, ...]) -> None:
    """Raise `StrategyError` for settings that have no effect because ``switch`` is not set."""
    for row in fields(arguments):  # type: ignore[arg-type]
        given = getattr(arguments, row.name)
        # From YAML a number may come for a default that is a text.
        if row.name.startswith(prefixes) and str(given) != str(row.default):
            raise StrategyError(f"{row.name}={given!r} has no effect without {switch}: set that too")
