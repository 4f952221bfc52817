"""Flags for Trainers that a program makes by itself: each one gets what the flags ask for."""

from collections.abc import Callable, Iterable
from functools import wraps
from inspect import signature
from typing import Any

from transformers import Trainer, TrainingArguments

from hf_strategies.errors import StrategyError
from hf_strategies.trainer.arguments import StrategyArguments
from hf_strategies.trainer.lr.registration import registered_names

__all__ = ["apply_to_every_trainer"]


def apply_to_every_trainer(strategy: StrategyArguments, made: Callable[[], None] = lambda: None) -> None:
    """Give each Trainer that is made from now on, of the stock class or of a subclass, what ``strategy`` asks for.

    The callbacks come before those that the program gives. ``made`` is called for each Trainer. Making a Trainer
    raises `StrategyError` if it has a callback of the same class already; if it has an optimizer of its own, which
    learning rates by depth would not reach; and if it has a scheduler of its own, and in its arguments the name of a
    schedule of this package, which would not be used.
    """
    construct: Any = Trainer.__init__
    parameters = signature(construct)

    @wraps(construct)
    def with_strategy(*args: Any, **kwargs: Any) -> None:
        try:
            bound = parameters.bind(*args, **kwargs)
        except TypeError:
            construct(*args, **kwargs)  # which raises the error of Python
            return
        made()
        given = bound.arguments
        if given.get("args") is None:
            given["args"] = TrainingArguments("tmp_trainer")  # as the Trainer does
        _refuse_other_scheduler(given["args"], given.get("optimizers"))
        ours = strategy.trainer_kwargs(given["args"])
        _refuse_other_optimizer(ours, given)
        _refuse_second(ours["callbacks"], given.get("callbacks") or ())
        given |= ours | {"callbacks": [*ours["callbacks"], *(given.get("callbacks") or ())]}
        construct(*bound.args, **bound.kwargs)

    Trainer.__init__ = with_strategy  # type: ignore[method-assign]


def _refuse_other_scheduler(args: TrainingArguments, optimizers: Any) -> None:
    name = str(getattr(args.lr_scheduler_type, "value", args.lr_scheduler_type))
    if name in registered_names() and optimizers is not None and optimizers[1] is not None:
        raise StrategyError(
            f"lr_scheduler_type={name!r} is not used, because this program gives its Trainer a scheduler of its own"
            f" ({type(optimizers[1]).__name__}, by optimizers=...): leave the name out, or change the program"
        )


def _refuse_other_optimizer(ours: dict[str, Any], given: dict[str, Any]) -> None:
    if "optimizer_cls_and_kwargs" not in ours:
        return
    optimizers = given.get("optimizers")
    has_own = optimizers is not None and optimizers[0] is not None
    if has_own or given.get("optimizer_cls_and_kwargs") is not None:
        raise StrategyError(
            "layer_decay, head_learning_rate and parameter_groups are not applied, because this program gives its"
            " Trainer an optimizer of its own: leave these flags out, or change the program"
        )


def _refuse_second(ours: Iterable[Any], others: Iterable[Any]) -> None:
    kinds = {each if isinstance(each, type) else type(each) for each in others}
    for callback in ours:
        if type(callback) in kinds:
            name = type(callback).__name__
            raise StrategyError(f"this program gives its Trainer {name} already: leave the flags of {name} out")
