"""Reduce on plateau for the Trainer, on top of any schedule and its warmup."""

from collections.abc import Callable
from typing import Any

from torch.optim.lr_scheduler import LambdaLR
from transformers import TrainerControl, TrainerState, TrainingArguments

from hf_strategies.errors import StrategyError
from hf_strategies.pytorch.lambda_lr import lambda_lr, own_floors, set_rates
from hf_strategies.stopping import Metric, evaluations, plateaus
from hf_strategies.stopping.reduce_on_plateau import MIN_DELTA, PATIENCE
from hf_strategies.trainer.callbacks.base import MetricCallback, MetricRun
from hf_strategies.trainer.callbacks.context import TrainerContext
from hf_strategies.trainer.distributed import from_rank_zero, say
from hf_strategies.values import number

__all__ = ["ReduceOnPlateau"]


class ReduceOnPlateau(MetricCallback):
    """Multiply the learning rate by ``factor`` whenever a validation metric has stalled.

    The rate of an update, as a ratio of the peak, is

        max(floor, schedule(step) * factor ** stalls)

    or schedule(step) where that is below the floor, as in a warmup. Here schedule is the schedule in use, stalls is
    the number of stalls so far, and floor is ``min_lr_ratio``. Take
    ``lr_scheduler_type="linear_warmup_constant_decay"``, or any other schedule of this package or of transformers
    that is a `LambdaLR`. A reduction holds from the update after the evaluation. The number of stalls is a pure
    function of `log_history`, so that a resumed run has the rates of the uninterrupted run. transformers' own
    ``reduce_lr_on_plateau`` ignores the warmup without a warning.

    Args:
        monitor: a metric of `evaluate()`, with or without the prefix ``eval_``.
        patience: the number of evaluations without an improvement that make a stall, at least 1; see
            `stopping.plateaus`.
        factor: the factor of the rate at each stall, in (0, 1).
        min_delta: the smallest change that is an improvement, in the metric's unit.
        mode: ``"min"`` or ``"max"``; None if ``monitor`` is a metric whose direction is known.
        cooldown: the number of evaluations after a stall that do not count.
        min_lr_ratio: the floor of the reductions, as a ratio of each group's own peak, in [0, 1]; if the schedule's
            own floor is higher (transformers' ``min_lr`` and ``min_lr_rate`` too), that holds.

    Raises `StrategyError` for a bad argument, without an `eval_strategy`, and for a scheduler that is no `LambdaLR`.

    >>> callback = ReduceOnPlateau("accuracy", patience=2, factor=0.5)  # Trainer(..., callbacks=[callback])
    """

    def __init__(
        self,
        monitor: str = "loss",
        patience: int = 2,
        factor: float = 0.1,
        min_delta: float = 0.0,
        mode: str | None = None,
        cooldown: int = 0,
        min_lr_ratio: float = 0.0,
    ) -> None:
        metric = Metric.read(monitor)
        self.monitor, self.mode = metric.text, metric.direction(mode)
        self.patience = PATIENCE.read("patience", patience)
        self.min_delta = MIN_DELTA.read("min_delta", min_delta) or 0.0
        self.names = metric.names
        self.factor = _within("factor", factor, inclusive=False)
        self.min_lr_ratio = _within("min_lr_ratio", min_lr_ratio, inclusive=True)
        if isinstance(cooldown, bool) or not isinstance(cooldown, int) or cooldown < 0:
            raise StrategyError(f"cooldown={cooldown!r} is no number of evaluations: give 0 or more")
        self.cooldown = cooldown

    def start(
        self, context: TrainerContext, args: TrainingArguments, state: TrainerState, event: dict[str, Any]
    ) -> MetricRun:
        """Apply the reductions to the schedule, including the reductions so far of a resumed run."""
        return _ReducingRun(self, lambda_lr("ReduceOnPlateau cannot reduce", event["lr_scheduler"]), state)


class _ReducingRun(MetricRun):
    """The reductions of one training; their number follows from the log."""

    def __init__(self, callback: ReduceOnPlateau, scheduler: LambdaLR, state: TrainerState) -> None:
        self._callback, self._scheduler = callback, scheduler
        self._stalls = self._count(state)
        # A training that failed may have left its reductions in a scheduler of the user's own.
        self._own = [_without(callback, ratio) for ratio in scheduler.lr_lambdas]
        floors = self._floors()
        scheduler.lr_lambdas = [self._reduced(ratio, floor) for ratio, floor in zip(self._own, floors, strict=True)]
        set_rates(scheduler)

    def evaluated(self, state: TrainerState, control: TrainerControl) -> None:
        """Count the stalls; at a new stall, set the rate of the next update."""
        stalls = self._count(state)
        if stalls == self._stalls:
            return
        self._stalls = stalls
        rate, callback = set_rates(self._scheduler), self._callback
        say(
            state,
            f"{callback.monitor} has stalled for {callback.patience} evaluations at step {state.global_step}: the"
            f" learning rate is multiplied by {callback.factor:g}, to {rate:.4g}.",
        )

    def finish(self, state: TrainerState) -> None:
        """Give the scheduler its own functions back, because the user's own scheduler may be used again."""
        self._scheduler.lr_lambdas = self._own

    def _count(self, state: TrainerState) -> int:
        callback = self._callback
        values = [evaluation.value for evaluation in evaluations(state.log_history, callback.monitor)]
        stalls = plateaus(
            values,
            patience=callback.patience,
            min_delta=callback.min_delta,
            mode=callback.mode,
            cooldown=callback.cooldown,
        )
        return from_rank_zero(len(stalls))

    def _floors(self) -> list[float]:
        """Return the floor of each group: the callback's or the schedule's own, whichever is higher."""
        return [max(self._callback.min_lr_ratio, floor) for floor in own_floors(self._scheduler)]

    def _reduced(self, own: Callable[[int], float], floor: float) -> Callable[[int], float]:
        # A plain function, because LambdaLR does not save plain functions in a checkpoint. None is needed there: the
        # number of stalls follows from the log.
        def reduced(step: int) -> float:
            ratio = own(step)
            return ratio if not self._stalls else max(min(ratio, floor), ratio * self._callback.factor**self._stalls)

        reduced.reduced_by, reduced.own = self._callback, own  # type: ignore[attr-defined]
        return reduced


def _without(callback: ReduceOnPlateau, ratio: Any) -> Any:
    """Return ``ratio`` without the reductions of this callback and of the callbacks that were applied after it."""
    inner = ratio
    while hasattr(inner, "reduced_by"):
        if inner.reduced_by is callback:
            return inner.own
        inner = inner.own
    return ratio


def _within(name: str, value: object, *, inclusive: bool) -> float:
    ratio = float(number(name, value))
    if not (0 <= ratio <= 1 if inclusive else 0 < ratio < 1):
        raise StrategyError(
            f"{name}={value!r} is out of range: give a number in {'[0, 1]' if inclusive else '(0, 1)'}"
        )
    return ratio
