"""Layer-wise learning-rate decay: parameter groups by depth, for the stock Trainer."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, cast

from torch import nn
from torch.optim import Optimizer
from transformers import PreTrainedModel, Trainer, TrainingArguments

from hf_strategies.errors import StrategyError
from hf_strategies.trainer.checkpoint import current_training
from hf_strategies.trainer.lr.layer_depth import parameter_depths
from hf_strategies.values import number

__all__ = ["LayerDecayArguments", "layer_decay_optimizer", "parameter_groups"]

# The Trainer's arguments that the optimizer is made from.
_OF_OPTIMIZER = ("learning_rate", "weight_decay", "optim", "optim_args", "adam_beta1", "adam_beta2", "adam_epsilon")

# Optimizers for which the Trainer makes parameter groups itself, in place of the groups by depth.
_OWN_GROUPS = ("galore", "apollo", "lomo", "adalomo")


def parameter_groups(
    model: nn.Module,
    *,
    learning_rate: float,
    layer_decay: float,
    head_learning_rate: float | None = None,
    weight_decay: float = 0.0,
) -> list[dict[str, Any]]:
    """Return an optimizer's parameter groups, with a learning rate that falls from the top layer to the embeddings.

    In a model of L layers, layer d has the rate ``learning_rate * layer_decay ** (L - d)``, where layer 0 is the
    embeddings. So the top layer has ``learning_rate`` and the embeddings ``learning_rate * layer_decay ** L``. The
    head has ``head_learning_rate``, or ``learning_rate`` if that is None. A schedule multiplies the rates of all
    groups by the same number.

    The groups are in order from the top layer to the embeddings, then the head. The Trainer logs the rate of the
    first group, which is ``learning_rate``. Each group has a ``depth`` (see `parameter_depths`). Frozen parameters
    are in no group.

    Args:
        model: a model with numbered layers.
        learning_rate: the peak rate of the top layer.
        layer_decay: the factor from a layer to the layer below it, in (0, 1]; ELECTRA uses 0.8 and 0.9.
        head_learning_rate: the peak rate of the head.
        weight_decay: the weight decay of the parameters that the Trainer decays (no biases, no norms); all other
            parameters have 0.

    Raises `StrategyError` for a bad value and for a model whose parameters have no depth.

    Sources: Howard & Ruder 2018, arXiv:1801.06146, section 3.2 (a factor of 1/2.6); Clark et al. 2020,
    arXiv:2003.10555, whose code gives the top layer ``layer_decay ** 2``, not 1, of the head's rate.
    """
    layer_decay, head = _check_rates(layer_decay, head_learning_rate)
    depths = parameter_depths(model)
    # The method uses no attribute of the Trainer, so that none is needed here.
    decayed = set(Trainer.get_decay_parameter_names(cast(Trainer, None), model))
    members: dict[tuple[int, bool], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            members.setdefault((depths.by_name[name], name in decayed), []).append(parameter)
    rates = {depth: learning_rate * layer_decay ** (depths.layers - depth) for depth in range(depths.layers + 1)}
    rates[depths.layers + 1] = learning_rate if head is None else head
    return [
        {
            "params": members[depth, decays],
            "lr": rates[depth],
            "weight_decay": weight_decay if decays else 0.0,
            "depth": depth,
        }
        for depth, decays in sorted(members, key=lambda key: (key[0] > depths.layers, -key[0], not key[1]))
    ]


def layer_decay_optimizer(
    args: TrainingArguments, *, layer_decay: float, head_learning_rate: float | None = None
) -> tuple[Any, dict[str, Any]]:
    """Return a value for ``Trainer(optimizer_cls_and_kwargs=...)``: the optimizer of ``args``, with groups by depth.

    The Trainer passes its model when it makes the optimizer. So this works with `model_init`, and with the values
    that a hyperparameter search writes into ``args``. The optimizer is the Trainer's own for ``args.optim``, with
    all its settings, and the learning rate and weight decay of ``args``; see `parameter_groups` for the groups. On
    resume the rates are those of the checkpoint, as for any optimizer. Needs transformers 5.2 or later.

    Raises `StrategyError` for a bad value and for an ``optim`` that makes parameter groups of its own.

    >>> args = TrainingArguments("out", learning_rate=2e-5, lr_scheduler_type="cosine")
    >>> optimizer = layer_decay_optimizer(args, layer_decay=0.9)  # Trainer(..., optimizer_cls_and_kwargs=optimizer)
    """
    _check_rates(layer_decay, head_learning_rate)
    name = str(getattr(args.optim, "value", args.optim))
    if name.startswith(_OWN_GROUPS):
        raise StrategyError(
            f"optim={name!r} makes parameter groups of its own and cannot have layer_decay={layer_decay!r}: choose"
            " another, such as optim='adamw_torch', or leave out layer_decay and head_learning_rate"
        )
    optimizer_cls, kwargs = Trainer.get_optimizer_cls_and_kwargs(args)
    return _LayerDecayOptimizer(optimizer_cls, args, layer_decay, head_learning_rate), kwargs


@dataclass
class LayerDecayArguments:
    """Learning rates by depth, as flags beside `TrainingArguments`; see `parameter_groups`.

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

    def __post_init__(self) -> None:
        """Check the values, so that a mistake is reported before anything is loaded."""
        decay, self.head_learning_rate = _check_rates(self._decay, self.head_learning_rate)
        self.layer_decay = None if self.layer_decay is None else decay

    def optimizer_cls_and_kwargs(self, args: TrainingArguments) -> tuple[Any, dict[str, Any]] | None:
        """Return a value for ``Trainer(optimizer_cls_and_kwargs=...)``; None when neither field is set."""
        if self.layer_decay is None and self.head_learning_rate is None:
            return None
        return layer_decay_optimizer(args, layer_decay=self._decay, head_learning_rate=self.head_learning_rate)

    @property
    def _decay(self) -> float:
        return 1.0 if self.layer_decay is None else self.layer_decay


@dataclass(frozen=True, eq=False)
class _LayerDecayOptimizer:
    """An optimizer factory for the Trainer, which calls it without arguments and then calls `create` with the model.

    The alternative, an entry ``"params"`` in the kwargs with the groups, would not do: the Trainer removes that
    entry at the first use, and it would hold the parameters of a model that `model_init` has replaced since.
    """

    # The repr has to contain this field, because the Trainer recognizes bitsandbytes in the repr.
    optimizer_cls: Any
    args: TrainingArguments = field(repr=False)
    layer_decay: float
    head_learning_rate: float | None
    expected_callbacks: frozenset[str] = field(default=frozenset(), repr=False)  # the names of their classes

    def __call__(self, *groups: object, **kwargs: object) -> Any:
        if groups:
            raise StrategyError(
                f"layer_decay={self.layer_decay!r} needs a Trainer that hands its model to an optimizer factory:"
                " upgrade to transformers 5.2 or later"
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
        )
        return cast(Optimizer, optimizer_cls(groups, **kwargs))

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


def _check_rates(layer_decay: float, head_learning_rate: float | None) -> tuple[float, float | None]:
    """Return both arguments as numbers; raise `StrategyError` if one is out of its range."""
    decay = number("layer_decay", layer_decay)
    if not 0 < decay <= 1:
        raise StrategyError(f"layer_decay={layer_decay!r} is not in (0, 1]: give a factor such as 0.9")
    if head_learning_rate is None:
        return decay, None
    head = number("head_learning_rate", head_learning_rate)
    if head <= 0:
        raise StrategyError(f"head_learning_rate={head_learning_rate!r} is not above 0: give a rate such as 1e-4")
    return decay, head
