"""Reduce on plateau for the Trainer, on top of any schedule and its warmup."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch.optim.lr_scheduler import LambdaLR
from transformers import TrainerControl, TrainerState, TrainingArguments

from hf_strategies.errors import StrategyError
from hf_strategies.pytorch.lambda_lr import lambda_lr, own_floors, set_rates
from hf_strategies.stopping import Metric
from hf_strategies.stopping.reduce_on_plateau import MIN_DELTA, PATIENCE, Stalls
from hf_strategies.stopping.results import REDUCE_ON_PLATEAU, ReductionResult
from hf_strategies.trainer.callbacks.base import MetricCallback, MetricRun
from hf_strategies.trainer.callbacks.context import TrainerContext, record_key, records, take_record
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
    function of `log_history`, so that a resumed run has the rates of the uninterrupted run. If the callback is new on
    resume, it counts the evaluations from there on. If it has other settings than before, the reductions so far stay
    as they were, and the new settings hold from there on. transformers' own ``reduce_lr_on_plateau`` ignores the
    warmup without a warning.

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

    The reductions are recorded in `trainer_state.json` under ``reduce_on_plateau`` in `stateful_callbacks`, and are
    ``result`` in Python, a `ReductionResult`: None before training, and those so far while training.

    >>> callback = ReduceOnPlateau("accuracy", patience=2, factor=0.5)  # Trainer(..., callbacks=[callback])
    >>> callback.result is None  # after train(): callback.result.steps, .count, .ratio
    True
    """

    record_name = REDUCE_ON_PLATEAU

    changes_rates = True

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

    @property
    def result(self) -> ReductionResult | None:
        """The reductions in the training that is going on, or in the last one; None before the first."""
        result: ReductionResult | None = super().result
        return result

    @property
    def record_settings(self) -> str:
        """The settings as text, as in the record."""
        settings = f"{self.monitor}, {self.mode}, patience={self.patience}, factor={self.factor:g}"
        more = {"min_delta": self.min_delta, "cooldown": self.cooldown, "min_lr_ratio": self.min_lr_ratio}
        return settings + "".join(f", {name}={value:g}" for name, value in more.items() if value)

    def start(
        self, context: TrainerContext, args: TrainingArguments, state: TrainerState, event: dict[str, Any]
    ) -> MetricRun:
        """Apply the reductions to the schedule, including the reductions so far of a resumed run."""
        scheduler = lambda_lr("ReduceOnPlateau cannot reduce", event["lr_scheduler"])
        before = take_record(state, self, context.trainer)
        return _ReducingRun(self, context, scheduler, state, before)


@dataclass(frozen=True)
class _Past:
    """The reductions before the present settings: how many, by which factor, and down to which floor."""

    factor: float
    stalls: int
    floor: float


class _ReducingRun(MetricRun):
    """The reductions of one training; their number follows from the log, and from the record of a resumed run.

    ``before`` is the record of the run so far, if there is one.
    """

    def __init__(
        self,
        callback: ReduceOnPlateau,
        context: TrainerContext,
        scheduler: LambdaLR,
        state: TrainerState,
        before: Mapping[str, Any] | None,
    ) -> None:
        self._callback, self._context, self._scheduler = callback, context, scheduler
        self._stalls = Stalls(
            Metric.read(callback.monitor),
            patience=callback.patience,
            min_delta=callback.min_delta,
            mode=callback.mode,
            cooldown=callback.cooldown,
        )
        # A training that failed may have left its reductions in a scheduler of the user's own.
        self._own = [_without(callback, ratio) for ratio in scheduler.lr_lambdas]
        self._after = 0
        self._past: tuple[_Past, ...] = ()
        self._steps: tuple[int, ...] = ()
        if state.global_step > 0:
            self._resume(state, before)
        self._steps = self._find_stalls(state)
        scheduler.lr_lambdas = [
            self._reduced(ratio, floor) for ratio, floor in zip(self._own, own_floors(scheduler), strict=True)
        ]
        set_rates(scheduler)
        self._record(state)

    def evaluated(self, state: TrainerState, control: TrainerControl) -> None:
        """Count the stalls; at a new stall, set the rate of the next update."""
        steps, before = self._find_stalls(state), self._steps
        self._steps = steps
        self._record(state)
        if len(steps) == len(before):
            return
        rate, callback = set_rates(self._scheduler), self._callback
        say(
            state,
            f"{callback.monitor} has stalled for {callback.patience} evaluations at step {state.global_step}: the"
            f" learning rate is multiplied by {callback.factor:g}, to {rate:.4g}.",
        )

    def finish(self, state: TrainerState) -> None:
        """Give the scheduler its own functions back, because the user's own scheduler may be used again."""
        self._scheduler.lr_lambdas = self._own

    def _resume(self, state: TrainerState, before: Mapping[str, Any] | None) -> None:
        """Decide which evaluations count for the present settings, and which reductions were made before.

        Evaluations before a change of the settings were judged by the old ones. They keep counting only if the new
        settings would have made the same reductions.
        """
        if before is None:
            self._after = state.global_step
            return
        self._after, self._past = before["after_step"], tuple(_Past(*row) for row in before["past"])
        old, callback = _Past(before["factor"], len(before["stalls"]), before["min_lr_ratio"]), self._callback
        same = (old.factor, old.floor) == (callback.factor, callback.min_lr_ratio) or not old.stalls
        if not same or list(self._find_stalls(state)) != before["stalls"]:
            self._past += (old,) if old.stalls else ()
            self._after = state.global_step

    def _find_stalls(self, state: TrainerState) -> tuple[int, ...]:
        """Return the steps of the stalls that the present settings have found."""
        return from_rank_zero(self._stalls.after(state.log_history, self._after))

    def _reduced(self, own: Callable[[int], float], floor: float) -> Callable[[int], float]:
        """Return the schedule ``own`` with all reductions; ``floor`` is that of the schedule."""

        # A plain function, because LambdaLR does not save plain functions in a checkpoint. None is needed there: the
        # reductions follow from the log and from the record.
        def reduced(step: int) -> float:
            ratio, callback = own(step), self._callback
            for past in (*self._past, _Past(callback.factor, len(self._steps), callback.min_lr_ratio)):
                if past.stalls:
                    ratio = max(min(ratio, max(past.floor, floor)), ratio * past.factor**past.stalls)
            return ratio

        reduced.reduced_by, reduced.own = self._callback, own  # type: ignore[attr-defined]
        return reduced

    def _record(self, state: TrainerState) -> None:
        callback = self._callback
        record = {
            "settings": callback.record_settings,
            "monitor": callback.monitor,
            "mode": callback.mode,
            "patience": callback.patience,
            "factor": callback.factor,
            "min_lr_ratio": callback.min_lr_ratio,
            "after_step": self._after,
            "stalls": list(self._steps),
            "past": [[past.factor, past.stalls, past.floor] for past in self._past],
        }
        key = record_key(callback, self._context.trainer)
        record = records(state)[key] = self._context.measured(record)
        self.result = ReductionResult.of(record)


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
