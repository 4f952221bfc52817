"""Access to the `LambdaLR` of a training, for the callbacks that replace its functions of the step."""

from collections.abc import Mapping
from typing import Any

from torch.optim.lr_scheduler import LambdaLR

from hf_strategies.errors import StrategyError

__all__ = ["inner_scheduler", "lambda_lr", "own_floors", "set_rates"]


def inner_scheduler(scheduler: Any) -> Any:
    """Return the scheduler inside the wrappers that accelerate and DeepSpeed put around it."""
    while not isinstance(scheduler, LambdaLR) and hasattr(scheduler, "scheduler"):
        scheduler = scheduler.scheduler
    return scheduler


def lambda_lr(owner: str, scheduler: Any) -> LambdaLR:
    """Return the `LambdaLR` inside the wrappers that accelerate and DeepSpeed put around a scheduler.

    Raises `StrategyError` if there is no `LambdaLR`. ``owner`` is the beginning of the message, such as
    ``"ReduceOnPlateau cannot reduce"``.
    """
    inner = inner_scheduler(scheduler)
    if not isinstance(inner, LambdaLR):
        raise StrategyError(
            f"{owner} a {type(scheduler).__name__}: take a schedule that is a function of the step, such as"
            " lr_scheduler_type='linear_warmup_constant_decay'"
        )
    return inner


def set_rates(scheduler: LambdaLR) -> float:
    """Set the rates of the next update to the present values of the functions; return the first group's rate."""
    rates = [
        peak * ratio(scheduler.last_epoch)
        for peak, ratio in zip(scheduler.base_lrs, scheduler.lr_lambdas, strict=True)
    ]
    for group, rate in zip(scheduler.optimizer.param_groups, rates, strict=True):
        group["lr"] = rate
    scheduler._last_lr = rates
    return float(rates[0])


def own_floors(scheduler: LambdaLR) -> list[float]:
    """Return for each group the floor of the schedule itself, as a ratio of the peak; 0.0 if it has none.

    This is the ``min_lr_ratio`` of a schedule of this package, and what stands for it in those of transformers:
    ``min_lr`` and ``min_lr_rate`` of the cosines with a minimum, ``min_lr_ratio`` of warmup-stable-decay, and
    ``lr_end`` of the polynomial. The floor of any other function is not known.
    """
    schedules = getattr(scheduler, "schedules", None)
    if schedules:
        return [float(schedule.parameters.get("min_lr_ratio", 0.0)) for schedule in schedules]
    return [_floor_of(getattr(_innermost(ratio), "keywords", {})) for ratio in scheduler.lr_lambdas]


def _innermost(ratio: Any) -> Any:
    """Return the function of the step without what a callback of an earlier, failed training has put around it."""
    while hasattr(ratio, "under_cooldown") or hasattr(ratio, "own"):
        ratio = getattr(ratio, "under_cooldown", None) or ratio.own
    return ratio


def _floor_of(settings: Mapping[str, Any]) -> float:
    """Return the floor among the keywords of one of transformers' functions of the step."""
    if settings.get("lr_end") and settings.get("lr_init"):
        return float(settings["lr_end"]) / float(settings["lr_init"])
    return float(settings.get("min_lr_rate") or settings.get("min_lr_ratio") or 0.0)
