"""A warmup of the parameters that gradual unfreezing adds, on top of any schedule."""

from collections.abc import Sequence
from typing import Any

from torch import nn

from hf_strategies.errors import StrategyError

__all__ = ["UnfrozenWarmup"]


class UnfrozenWarmup:
    """Lowers, for one update at a time, the rates of an optimizer's groups that were unfrozen a short time ago.

    The rates are those of the schedule again when the update is done, so that any schedule, and its log, stays what
    it is. The step alone determines the factor, so that a resumed run goes on as the uninterrupted one.

    Args:
        optimizer: the optimizer, whose groups do not mix parameters that are unfrozen at different steps.
        unfrozen: the parameters that are unfrozen together, in the order of their unfreezing; the first ones train
            from the start and have no warmup.
        interval: the steps from one unfreezing to the next.
        steps: the length of the warmup in steps.

    Raises `StrategyError` if there is no such optimizer.
    """

    def __init__(self, optimizer: Any, unfrozen: Sequence[Sequence[nn.Parameter]], interval: int, steps: int) -> None:
        self._steps = steps
        places = {id(parameter): place for place, group in enumerate(unfrozen) for parameter in group}
        self._begins: list[tuple[dict[str, Any], int]] = []
        for group in getattr(optimizer, "param_groups", [{"params": []}]):
            found = {places.get(id(parameter), 0) for parameter in group["params"]}
            if len(found) != 1:
                raise StrategyError(
                    "GradualUnfreezing(warmup=...) needs an optimizer whose groups are by depth: give layer_decay too"
                    " (layer_decay=1 for equal rates), as Trainer(..., **strategy.trainer_kwargs(args)) applies it"
                )
            self._begins.append((group, found.pop() * interval))
        self._rates: list[tuple[dict[str, Any], Any]] = []

    def lower(self, step: int) -> None:
        """Multiply the rates of the groups that warm up at ``step``, the number of updates that are done."""
        for group, begin in self._begins:
            done = step - begin
            if begin > 0 and 0 <= done < self._steps:
                self._rates.append((group, group["lr"]))
                group["lr"] = group["lr"] * (done + 1) / (self._steps + 1)

    def restore(self) -> None:
        """Give every group the rate that the schedule has given it."""
        for group, rate in self._rates:
            group["lr"] = rate
        self._rates = []
