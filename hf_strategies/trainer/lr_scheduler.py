"""A schedule as a torch learning-rate scheduler, for the Trainer's loop and for plain PyTorch loops."""

from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from hf_strategies.errors import StrategyError
from hf_strategies.schedules import Schedule, schedule

__all__ = ["ScheduleLR"]


class ScheduleLR(LambdaLR):
    """Set each parameter group's learning rate to its own peak times ``schedule(step)``.

    The peak of a group is the ``lr`` that the optimizer was made with. Call ``step()`` once after each
    optimizer step (or once per epoch, when ``total_steps`` and ``warmup_steps`` count epochs).

    Args:
        optimizer: the optimizer to drive.
        name: a schedule's name, such as ``"linear_warmup_cosine_decay"``, or a `Schedule`, which then has
            its lengths already.
        total_steps: number of ``step()`` calls in the training, warmup included.
        warmup_steps: those of the warmup: an int, or a fraction of ``total_steps`` in (0, 1).
        last_epoch: steps done so far, when resuming without a state dict; as in torch, -1 starts afresh.
        **parameters: the curves' parameters, as in `hf_strategies.schedule`.

    Raises `StrategyError` for a bad name, length or parameter.

    >>> import torch
    >>> optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.5)
    >>> scheduler = ScheduleLR(optimizer, "linear_warmup_cosine_decay", total_steps=10, warmup_steps=2)
    >>> optimizer.step(); scheduler.step()
    >>> scheduler.get_last_lr()
    [0.25]
    """

    # In a slot, because torch writes the __dict__ into checkpoints, which are read with weights_only=True and
    # would put the old run's schedule in the place of this one.
    __slots__ = ("schedule",)

    def __init__(
        self,
        optimizer: Optimizer,
        name: str | Schedule,
        /,
        *,
        total_steps: int | None = None,
        warmup_steps: int | float = 0,
        last_epoch: int = -1,
        **parameters: Any,
    ) -> None:
        if isinstance(name, Schedule):
            if total_steps is not None or warmup_steps or parameters:
                raise StrategyError(f"{name.name!r} is built already: give no lengths or parameters with it")
            self.schedule = name
        elif total_steps is None:
            raise StrategyError("total_steps is missing: give the number of step() calls in the training")
        else:
            self.schedule = schedule(name, total_steps=total_steps, warmup_steps=warmup_steps, **parameters)
        super().__init__(optimizer, self.schedule.multiplier, last_epoch)
