"""Access to the `LambdaLR` of a training, for the callbacks that replace its functions of the step."""

from typing import Any

from torch.optim.lr_scheduler import LambdaLR

from hf_strategies.errors import StrategyError

__all__ = ["lambda_lr", "set_rates"]


def lambda_lr(owner: str, scheduler: Any) -> LambdaLR:
    """Return the `LambdaLR` inside the wrappers that accelerate and DeepSpeed put around a scheduler.

    Raises `StrategyError` if there is no `LambdaLR`. ``owner`` is the beginning of the message, such as
    ``"ReduceOnPlateau cannot reduce"``.
    """
    inner = scheduler
    while not isinstance(inner, LambdaLR) and hasattr(inner, "scheduler"):
        inner = inner.scheduler
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
