"""Reduce on plateau for the Trainer: over any schedule, warmup included."""

import logging
from collections.abc import Callable
from typing import Any

from torch.optim.lr_scheduler import LambdaLR
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from hf_strategies.errors import StrategyError
from hf_strategies.pytorch.lambda_lr import lambda_lr, set_rates
from hf_strategies.stopping import Metric, evaluations, plateaus
from hf_strategies.stopping.reduce_on_plateau import MIN_DELTA, PATIENCE
from hf_strategies.trainer.callbacks.metric_watch import MetricWatch
from hf_strategies.trainer.distributed import from_rank_zero
from hf_strategies.values import number

__all__ = ["ReduceOnPlateau"]

logger = logging.getLogger(__name__)


class ReduceOnPlateau(TrainerCallback):
    """Multiply the learning rate by ``factor`` whenever a validation metric has stalled.

    The rate of an update is max(floor, schedule(step) * factor ** stalls) times the peak, where schedule is the
    one in use, so that it warms up first: take ``lr_scheduler_type="linear_warmup_constant_decay"``, or any other
    of this package or of transformers that is a `LambdaLR`. A reduction holds from the update after the
    evaluation. The number of stalls is a pure function of `log_history`, so that a resumed run has the rates of
    the uninterrupted one. transformers' own ``reduce_lr_on_plateau`` ignores warmup without a word.

    Args:
        monitor: a metric of `evaluate()`, with or without ``eval_`` in front.
        patience: evaluations without improvement that make a stall, at least 1; see `stopping.plateaus`.
        factor: what the rate is multiplied with at each stall, in (0, 1).
        min_delta: smallest change that is an improvement, in the metric's unit.
        mode: ``"min"`` or ``"max"``; None when ``monitor`` is a metric whose direction is known.
        cooldown: evaluations after a stall that are not counted.
        min_lr_ratio: floor of the reductions, as a ratio of each group's own peak, in [0, 1]; the schedule's own
            floor, if it is higher, holds too.

    Raises `StrategyError` for a bad argument, without an `eval_strategy`, and for a scheduler that is none of
    LambdaLR's kind.

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
        self._stalls = 0
        self._watch: MetricWatch | None = None  # while training

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Put the reductions over the schedule, those of a resumed run's history included."""
        self._watch = MetricWatch("ReduceOnPlateau", self.names, args)
        scheduler = lambda_lr("ReduceOnPlateau cannot reduce", kwargs["lr_scheduler"])
        self._stalls = self._count(state)
        floors = self._floors(scheduler)
        scheduler.lr_lambdas = [
            ratio if self._reduces(ratio) else self._reduced(ratio, floor)
            for ratio, floor in zip(scheduler.lr_lambdas, floors, strict=True)
        ]
        set_rates(scheduler)

    def on_evaluate(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Count the stalls; at a new one, set the rate of the very next update."""
        if self._watch is None or not self._watch.completes(kwargs["metrics"], state.global_step):
            return
        stalls = self._count(state)
        if stalls == self._stalls:
            return
        self._stalls = stalls
        rate = set_rates(lambda_lr("ReduceOnPlateau cannot reduce", kwargs["lr_scheduler"]))
        if state.is_world_process_zero:
            logger.warning(
                f"{self.monitor} has stalled for {self.patience} evaluations at step {state.global_step}: the"
                f" learning rate is multiplied by {self.factor:g}, to {rate:.4g}."
            )

    def on_step_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Fail if the evaluations since the last step, of whatever sets, had no such metric."""
        if self._watch:
            self._watch.refuse_unknown(state)

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Reduce no more: a scheduler of the user's own lives on."""
        self._watch, self._stalls = None, 0

    def _count(self, state: TrainerState) -> int:
        values = [evaluation.value for evaluation in evaluations(state.log_history, self.monitor)]
        found = plateaus(
            values, patience=self.patience, min_delta=self.min_delta, mode=self.mode, cooldown=self.cooldown
        )
        return from_rank_zero(len(found))

    def _floors(self, scheduler: LambdaLR) -> list[float]:
        # The schedule's own floor holds for the reductions too.
        own = [each.parameters.get("min_lr_ratio", 0.0) for each in getattr(scheduler, "schedules", ())]
        return [max(self.min_lr_ratio, floor) for floor in own or [0.0] * len(scheduler.lr_lambdas)]

    def _reduced(self, base: Callable[[int], float], floor: float) -> Callable[[int], float]:
        # A plain function, of which LambdaLR saves nothing: the count comes from the history.
        def reduced(step: int) -> float:
            whole = base(step)
            return whole if not self._stalls else max(min(whole, floor), whole * self.factor**self._stalls)

        reduced.base, reduced.owner = base, self  # type: ignore[attr-defined]
        return reduced

    def _reduces(self, ratio: Any) -> bool:
        """Whether an earlier training has put this callback over the function already."""
        while ratio is not None:
            if getattr(ratio, "owner", None) is self:
                return True
            ratio = getattr(ratio, "base", None)
        return False


def _within(name: str, value: object, *, inclusive: bool) -> float:
    given = float(number(name, value))
    if not (0 <= given <= 1 if inclusive else 0 < given < 1):
        raise StrategyError(
            f"{name}={value!r} is out of range: give a number in {'[0, 1]' if inclusive else '(0, 1)'}"
        )
    return given
