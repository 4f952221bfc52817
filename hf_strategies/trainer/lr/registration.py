"""Register the names of the schedules with transformers, by adding to its enum and its table of schedulers.

`TrainingArguments`, `HfArgumentParser` and `get_scheduler` accept only members of the enum `SchedulerType`, and
`get_scheduler` reads the table `TYPE_TO_SCHEDULER_FUNCTION`. So each name becomes a true member of the enum and a row
of the table. transformers' own names keep their behaviour. For an unknown name, the enum and `HfArgumentParser` give
near matches in place of the whole table; the error stays a ValueError. Nothing else changes.
"""

import re
from collections.abc import Callable, Iterable
from inspect import signature
from typing import Any, NoReturn

from torch import zeros
from torch.nn import Parameter
from torch.optim import SGD, Optimizer
from transformers import HfArgumentParser, optimization
from transformers.trainer_utils import SchedulerType
from transformers.utils import logging

from hf_strategies.errors import StrategyError, did_you_mean
from hf_strategies.pytorch.lr_scheduler import ScheduleLR
from hf_strategies.schedules import SCHEDULES, find_plan, load_entry_points
from hf_strategies.schedules.registry import add_listener
from hf_strategies.trainer.checkpoint import current_training
from hf_strategies.trainer.lr.enum_members import add_members, member_name
from hf_strategies.trainer.lr.position import place_in_training

__all__ = ["check_scheduler_arguments", "register_schedules", "registered_names", "scheduler_type"]

# Python 3.14 may add ", maybe you meant 'cosine'?", the one name that it finds most similar.
_UNKNOWN_FLAG = re.compile(
    r"argument --lr_scheduler_type\S*: invalid choice: '?(.*?)'?(?:, maybe you meant .*)? \(choose from .*", re.DOTALL
)

logger = logging.get_logger(__name__)

_REGISTERED: set[str] = set()

# Settings of TrainingArguments. A schedule would receive them twice if they were in lr_scheduler_kwargs too.
_ELSEWHERE = {
    "warmup_steps": "TrainingArguments(warmup_steps=...)",
    "num_warmup_steps": "TrainingArguments(warmup_steps=...)",
    "total_steps": "TrainingArguments(max_steps=...) or num_train_epochs",
    "num_training_steps": "TrainingArguments(max_steps=...) or num_train_epochs",
    "optimizer": "TrainingArguments(optim=...)",
}


def register_schedules(names: Iterable[str] | None = None) -> None:
    """Register the schedules ``names``, or all schedules, with transformers.

    Schedules that are registered already stay as they are. All names are checked before anything changes: if a name
    is unknown or belongs to transformers, `StrategyError` is raised and no schedule is registered.
    """
    new = [name for name in (SCHEDULES if names is None else names) if name not in _REGISTERED]
    for name in new:
        find_plan(name)
        if name in SchedulerType._value2member_map_ or member_name(name) in SchedulerType.__members__:
            raise StrategyError(f"schedule name {name!r} belongs to transformers: choose another name")
    members = add_members(SchedulerType, new, scheduler_type)
    optimization.TYPE_TO_SCHEDULER_FUNCTION.update({member: _factory(name) for name, member in members.items()})
    _REGISTERED.update(new)


def registered_names() -> tuple[str, ...]:
    """Return the registered names, sorted."""
    return tuple(sorted(_REGISTERED))


def scheduler_type(name: str) -> SchedulerType:
    """Return the member of `SchedulerType` for a name; unpickling a member calls this function."""
    load_entry_points()  # a process that unpickles a member may not have imported this package before
    register_schedules()
    if name not in SchedulerType._value2member_map_:
        raise StrategyError(
            f"the schedule {name!r} is not registered in this process: register it first, before loading, by"
            " register_decay, register_warmup or register_schedule, as where it was saved"
        )
    return SchedulerType(name)


def check_scheduler_arguments(
    name: str, kwargs: object, *, total_steps: int, warmup_steps: int, learning_rate: float
) -> None:
    """Raise `StrategyError` if the Trainer could not create the scheduler from these arguments.

    ``kwargs`` is `lr_scheduler_kwargs` after parsing. The check creates the scheduler as the Trainer would,
    transformers' own schedulers included.
    """
    if kwargs is not None and not isinstance(kwargs, dict):
        raise StrategyError(
            f"lr_scheduler_kwargs={kwargs!r} is no mapping: give JSON such as '{{\"min_lr_ratio\": 0.1}}'"
        )
    optimizer = SGD([Parameter(zeros(1))], lr=learning_rate)
    if name in _REGISTERED:
        _create(name, optimizer, warmup_steps, total_steps, **(kwargs or {}))
    else:
        _create_transformers_scheduler(name, optimizer, warmup_steps, total_steps, kwargs or {})


def _create_transformers_scheduler(
    name: str, optimizer: Optimizer, warmup: int, total: int, kwargs: dict[str, Any]
) -> None:
    kind = SchedulerType(name)
    _refuse_misplaced(kwargs)
    create: Callable[..., Any] = optimization.TYPE_TO_SCHEDULER_FUNCTION[kind]  # type: ignore[assignment]
    parameters = signature(create).parameters
    known = set(parameters) - {*_ELSEWHERE, "last_epoch"}
    is_open = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
    for key in kwargs:
        if key not in known and not is_open:
            raise StrategyError(
                f"lr_scheduler_type={kind.value!r} takes no parameter {key!r}: {did_you_mean(key, known)}"
            )
    try:
        optimization.get_scheduler(kind, optimizer, warmup, total, kwargs)
    except (TypeError, ValueError, ArithmeticError) as mistake:
        raise StrategyError(f"lr_scheduler_kwargs={kwargs!r} does not fit {kind.value!r}: {mistake}") from mistake


def _refuse_misplaced(kwargs: dict[str, Any]) -> None:
    """Raise `StrategyError` for a setting that belongs in `TrainingArguments`."""
    for key in kwargs:
        if key in _ELSEWHERE:
            raise StrategyError(
                f"lr_scheduler_kwargs has {key}={kwargs[key]!r}: give it as {_ELSEWHERE[key]}, not here"
            )


def _factory(name: str) -> Callable[..., ScheduleLR]:
    """Return the function that `get_scheduler` calls for the schedule ``name``."""

    def create(optimizer: Optimizer, num_warmup_steps: int, num_training_steps: int, **kwargs: Any) -> ScheduleLR:
        plan = find_plan(name)
        if num_warmup_steps == 0 and plan.has_warmup and not plan.default_warmup:
            logger.warning(
                f"lr_scheduler_type={name!r} with warmup_steps=0: there is no warmup. Set warmup_steps to a number"
                " of steps or a fraction of training, such as 0.1."
            )
        scheduler = _create(name, optimizer, num_warmup_steps, num_training_steps, **kwargs)
        training = current_training()
        if training:
            place_in_training(scheduler, training)
        return scheduler

    create.__name__ = create.__qualname__ = f"get_{name}_schedule"
    create.__doc__ = f"Create the {name} schedule; see hf_strategies.schedule({name!r}, ...)."
    return create


def _create(name: str, optimizer: Optimizer, warmup: int, total: int, /, **kwargs: Any) -> ScheduleLR:
    _refuse_misplaced(kwargs)
    return ScheduleLR(optimizer, name, total_steps=total, warmup_steps=warmup, **kwargs)


def _refuse_unknown(enum_class: type[SchedulerType], value: object) -> NoReturn:
    """Raise `StrategyError`, a ValueError, for a value that is no name of a schedule."""
    known = [str(member.value) for member in enum_class]
    if not isinstance(value, str):  # None, for a line of YAML without a value
        raise StrategyError(f"lr_scheduler_type={value!r} is no schedule: give a name, such as 'linear'")
    raise StrategyError(
        f"lr_scheduler_type={value!r} is no schedule: {did_you_mean(value, known)} (`hf-strategies list`"
        " prints the names of this package)"
    )


def _exit_with_error(parser: HfArgumentParser, message: str) -> NoReturn:
    """Print an error of the command line and exit, as `ArgumentParser.error` does.

    For an unknown schedule, its usage and its message would be thousands of characters, without a suggestion.
    """
    match = _UNKNOWN_FLAG.fullmatch(message)
    if match is None:
        super(HfArgumentParser, parser).error(message)
    near = did_you_mean(match[1], [str(member.value) for member in SchedulerType])
    parser.exit(2, f"{parser.prog}: error: --lr_scheduler_type {match[1]}: {near}\n")


add_listener(register_schedules)
SchedulerType._missing_ = classmethod(_refuse_unknown)  # type: ignore[assignment]
HfArgumentParser.error = _exit_with_error  # type: ignore[method-assign, assignment]
