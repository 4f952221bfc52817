"""What the callbacks that watch a metric have in common."""

from collections.abc import Mapping
from typing import Any

from accelerate.utils import DistributedType
from transformers import TrainingArguments
from transformers.trainer_utils import IntervalStrategy

from hf_strategies.errors import StrategyError, did_you_mean

__all__ = ["SHARDED", "MetricWatch"]

SHARDED = {DistributedType.FSDP, DistributedType.DEEPSPEED, DistributedType.MEGATRON_LM}
"""Placements in which no process has the whole weights."""


class MetricWatch:
    """Looks for ``monitor`` among the metrics of the evaluations of one training.

    ``owner`` is the callback's name in messages. Raises `StrategyError` when there are no evaluations.
    """

    def __init__(self, owner: str, monitor: str, args: TrainingArguments) -> None:
        if args.eval_strategy == IntervalStrategy.NO:
            raise StrategyError(
                f"{owner}(monitor={monitor!r}) with eval_strategy='no' has nothing to watch: set"
                " eval_strategy='epoch', or 'steps' with eval_steps"
            )
        self._monitor = monitor
        self._seen = False
        self._others: set[str] = set()

    def finds(self, metrics: Mapping[str, Any]) -> bool:
        """Whether an evaluation has the metric."""
        found = self._monitor in metrics
        self._seen |= found
        if not self._seen:
            self._others |= {key for key in metrics if key.startswith("eval_")}
        return found

    def refuse_unknown(self) -> None:
        """Raise `StrategyError` if there were evaluations and none had the metric.

        Not to be called at the first that lacks it: with a dict of eval sets, each set has one of its own.
        """
        if self._others and not self._seen:
            raise StrategyError(
                f"monitor={self._monitor!r} is not among the metrics of evaluate():"
                f" {did_you_mean(self._monitor, self._others)}"
            )
