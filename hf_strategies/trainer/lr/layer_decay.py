"""Learning rates by depth and by patterns of names, for the stock Trainer."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from torch import nn
from torch.optim import Optimizer
from transformers import PreTrainedModel, Trainer, TrainingArguments

from hf_strategies.errors import StrategyError, announce
from hf_strategies.trainer.checkpoint import current_training
from hf_strategies.trainer.lr.parameter_groups import groups_table, parameter_groups, read_rates
from hf_strategies.trainer.lr.patterns import read_patterns

__all__ = ["LayerDecayArguments", "layer_decay_optimizer"]

# The Trainer's arguments that the optimizer is made from.
_OF_OPTIMIZER = ("learning_rate", "weight_decay", "optim", "optim_args", "adam_beta1", "adam_beta2", "adam_epsilon")

# Optimizers for which the Trainer makes parameter groups itself, in place of the groups by depth.
_OWN_GROUPS = ("galore", "apollo", "lomo", "adalomo")


def layer_decay_optimizer(
    args: TrainingArguments,
    *,
    layer_decay: float | None = None,
    head_learning_rate: float | None = None,
    patterns: Mapping[str, Any] | str | None = None,
) -> tuple[Any, dict[str, Any]]:
    """Return a value for ``Trainer(optimizer_cls_and_kwargs=...)``: the optimizer of ``args``, with groups by depth.

    The Trainer passes its model when it makes the optimizer. So this works with `model_init`, and with the values
    that a hyperparameter search writes into ``args``. The optimizer is the Trainer's own for ``args.optim``, with
    all its settings, and the learning rate and weight decay of ``args``; see `parameter_groups` for the groups. On
    resume the rates are those of the checkpoint, as for any optimizer. Needs transformers 5.2 or later.

    The table of the groups (name, parameters, peak rate, weight decay, and what is frozen) is printed once.

    Raises `StrategyError` for a bad value and for an ``optim`` that makes parameter groups of its own.

    >>> args = TrainingArguments("out", learning_rate=2e-5, lr_scheduler_type="cosine")
    >>> optimizer = layer_decay_optimizer(args, layer_decay=0.9)  # Trainer(..., optimizer_cls_and_kwargs=optimizer)
    """
    layer_decay, head_learning_rate = read_rates(layer_decay, head_learning_rate)
    read_patterns(patterns)
    name = str(getattr(args.optim, "value", args.optim))
    if name.startswith(_OWN_GROUPS):
        raise StrategyError(
            f"optim={name!r} makes parameter groups of its own and cannot have layer_decay={layer_decay!r}: choose"
            " another, such as optim='adamw_torch', or leave out layer_decay, head_learning_rate and parameter_groups"
        )
    optimizer_cls, kwargs = Trainer.get_optimizer_cls_and_kwargs(args)
    return _LayerDecayOptimizer(optimizer_cls, args, layer_decay, head_learning_rate, patterns), kwargs


@dataclass
class LayerDecayArguments:
    """Learning rates by depth and by patterns of names, as flags beside `TrainingArguments`; see `parameter_groups`.

    ``head_learning_rate`` alone leaves all layers at `learning_rate`. Raises `StrategyError` for a bad value.

    >>> LayerDecayArguments().optimizer_cls_and_kwargs(TrainingArguments("out")) is None
    True
    """

    layer_decay: float | None = field(
        default=None,
        metadata={
            "help": "Multiply the learning rate by this, in (0, 1], from each layer to the one below it; the top"
            " layer has learning_rate (unset: one rate for all)."
        },
    )
    head_learning_rate: float | None = field(
        default=None, metadata={"help": "The head's learning rate (unset: learning_rate)."}
    )
    parameter_groups: dict[str, Any] | str | None = field(
        default=None,
        metadata={
            "help": "Rates, weight decay and freezing by patterns of parameter names, as JSON or a mapping in YAML:"
            ' \'{"embeddings": "freeze", "layer.0": {"lr_ratio": 0.1}}\'; the last pattern that matches decides.'
        },
    )

    def __post_init__(self) -> None:
        """Check the values, so that a mistake is reported before anything is loaded."""
        self.layer_decay, self.head_learning_rate = read_rates(self.layer_decay, self.head_learning_rate)
        read_patterns(self.parameter_groups, "parameter_groups")

    @property
    def makes_groups(self) -> bool:
        """Whether any of these settings asks for parameter groups."""
        return (self.layer_decay, self.head_learning_rate, self.parameter_groups) != (None, None, None)

    def optimizer_cls_and_kwargs(self, args: TrainingArguments) -> tuple[Any, dict[str, Any]] | None:
        """Return a value for ``Trainer(optimizer_cls_and_kwargs=...)``; None when no field is set."""
        if not self.makes_groups:
            return None
        return layer_decay_optimizer(
            args,
            layer_decay=self.layer_decay,
            head_learning_rate=self.head_learning_rate,
            patterns=self.parameter_groups,
        )


@dataclass(frozen=True, eq=False)
class _LayerDecayOptimizer:
    """An optimizer factory for the Trainer, which calls it without arguments and then calls `create` with the model.

    The alternative, an entry ``"params"`` in the kwargs with the groups, would not do: the Trainer removes that
    entry at the first use, and it would hold the parameters of a model that `model_init` has replaced since.
    """

    # The repr has to contain this field, because the Trainer recognizes bitsandbytes in the repr.
    optimizer_cls: Any
    args: TrainingArguments = field(repr=False)
    layer_decay: float | None
    head_learning_rate: float | None
    patterns: Mapping[str, Any] | str | None = field(default=None, repr=False)
    expected_callbacks: frozenset[str] = field(default=frozenset(), repr=False)  # the names of their classes
    _printed: set[str] = field(default_factory=set, repr=False)  # the tables that were printed

    def __call__(self, *groups: object, **kwargs: object) -> Any:
        if groups:
            raise StrategyError(
                "layer_decay, head_learning_rate and parameter_groups need a Trainer that hands its model to an"
                " optimizer factory: upgrade to transformers 5.2 or later"
            )
        return self.create

    def create(self, model: nn.Module, **_: object) -> Optimizer:
        """Make the optimizer from the current ``args``, which a hyperparameter search may have changed.

        Raises `StrategyError` in a training with other arguments, or without the callbacks that were asked for
        together with these rates.
        """
        if training := current_training():
            self._refuse_other_arguments(training.trainer.args)
            self._refuse_missing(training.trainer.callback_handler.callbacks)
        optimizer_cls, kwargs = Trainer.get_optimizer_cls_and_kwargs(self.args, cast(PreTrainedModel, model))
        groups = parameter_groups(
            model,
            learning_rate=self.args.learning_rate,
            layer_decay=self.layer_decay,
            head_learning_rate=self.head_learning_rate,
            weight_decay=self.args.weight_decay,
            patterns=self.patterns,
        )
        self._print(groups_table(model, groups))
        return cast(Optimizer, optimizer_cls(groups, **kwargs))

    def _print(self, table: str) -> None:
        if table not in self._printed and self.args.process_index == 0:
            self._printed.add(table)
            for line in table.splitlines():
                announce(line)

    def _refuse_other_arguments(self, args: TrainingArguments) -> None:
        for name in _OF_OPTIMIZER:
            own, other = getattr(self.args, name), getattr(args, name)
            if own != other:
                raise StrategyError(
                    f"the optimizer was made for arguments with {name}={own!r}, and the Trainer has {name}={other!r},"
                    " which would have no effect: give both the same TrainingArguments"
                )

    def _refuse_missing(self, callbacks: Iterable[object]) -> None:
        if missing := sorted(self.expected_callbacks - {type(each).__name__ for each in callbacks}):
            raise StrategyError(
                f"the Trainer has the learning rates by depth without {' and '.join(missing)}, which the same flags"
                " ask for: make it by Trainer(..., **strategy.trainer_kwargs(args))"
            )
