"""What the callbacks that watch metrics have in common."""

from collections.abc import Mapping, Sequence
from typing import Any

from transformers import TrainerState, TrainingArguments
from transformers.trainer_utils import IntervalStrategy

from hf_strategies.errors import StrategyError, did_you_mean
from hf_strategies.trainer.distributed import from_rank_zero

__all__ = ["MetricWatch"]


class MetricWatch:
    """Looks for ``names`` among the metrics of the evaluations of one training.

    ``owner`` is the callback's name in messages. Raises `StrategyError` when there are no evaluations.
    """

    def __init__(self, owner: str, names: Sequence[str], args: TrainingArguments) -> None:
        if args.eval_strategy == IntervalStrategy.NO:
            raise StrategyError(
                f"{owner}(monitor={names[0]!r}) with eval_strategy='no' has nothing to watch: set"
                " eval_strategy='epoch', or 'steps' with eval_steps"
            )
        self._names, self._args = list(names), args
        self._step, self._come = -1, set[str]()  # those of the step
        self._ever: set[str] = set()

    def completes(self, metrics: Mapping[str, Any], step: int) -> bool:
        """Whether these metrics are the last of the names to come at ``step``; every process has to call this.

        With a dict of evaluation sets there is one call for each set; an evaluation of another set completes
        nothing, nor does a second one at the same step.
        """
        if step != self._step:
            self._step, self._come = step, set()
        before = set(self._names) <= self._come
        # As in the log: what is no number is no evaluation. A metric may be there on some processes only.
        numbers = from_rank_zero({key for key, value in metrics.items() if _is_number(value)})
        self._come |= numbers
        self._ever |= {key for key in numbers if key.startswith("eval_")}
        return not before and set(self._names) <= self._come

    def refuse_unknown(self, state: TrainerState) -> None:
        """Raise `StrategyError` if the Trainer has evaluated and one of the names never came.

        Not to be called at the first that lacks it: with a dict of eval sets, each set has one of its own. Before
        the Trainer's own first evaluation, one of another set is nobody's mistake.
        """
        if not self._is_due(state):
            return
        for name in self._names:
            if self._ever and name not in self._ever:
                near = did_you_mean(name, self._ever)
                raise StrategyError(f"monitor={name!r} is not among the numbers that evaluate() returns: {near}")

    def _is_due(self, state: TrainerState) -> bool:
        if self._args.eval_on_start:
            return True
        delay = self._args.eval_delay or 0
        if self._args.eval_strategy == IntervalStrategy.EPOCH:
            return float(state.epoch or 0.0) >= max(1.0, delay) - 1e-9
        return state.global_step >= max(state.eval_steps, delay)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
