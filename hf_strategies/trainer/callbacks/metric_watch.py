"""Check that the evaluations of a training report the metrics that a callback watches."""

from collections.abc import Mapping, Sequence
from typing import Any

from transformers import TrainerState, TrainingArguments
from transformers.trainer_utils import IntervalStrategy

from hf_strategies.errors import StrategyError, did_you_mean
from hf_strategies.trainer.distributed import from_rank_zero

__all__ = ["MetricWatch"]


class MetricWatch:
    """The metrics that the evaluations of one training have reported, compared with the watched ``names``.

    ``owner`` is the callback's name in error messages. Raises `StrategyError` if the training makes no evaluations.
    """

    def __init__(self, owner: str, names: Sequence[str], args: TrainingArguments) -> None:
        if args.eval_strategy == IntervalStrategy.NO:
            raise StrategyError(
                f"{owner}(monitor={names[0]!r}) with eval_strategy='no' has nothing to watch: set"
                " eval_strategy='epoch', or 'steps' with eval_steps"
            )
        self._names, self._args = list(names), args
        self._step, self._reported_at_step = -1, set[str]()
        self._reported: set[str] = set()  # at any step

    def completes(self, metrics: Mapping[str, Any], step: int) -> bool:
        """Return whether all names are reported at ``step`` with these ``metrics``, and were not before.

        With a dict of evaluation sets there is one call for each set. The result is True for at most one call per
        step. Every process has to call this.
        """
        if step != self._step:
            self._step, self._reported_at_step = step, set()
        was_complete = set(self._names) <= self._reported_at_step
        # Only numbers count, because the log is judged by the same rule. Some metrics exist on one process only.
        numbers = from_rank_zero({key for key, value in metrics.items() if _is_number(value)})
        self._reported_at_step |= numbers
        self._reported |= {key for key in numbers if key.startswith("eval_")}
        return not was_complete and set(self._names) <= self._reported_at_step

    def refuse_unknown(self, state: TrainerState) -> None:
        """Raise `StrategyError` if the Trainer has evaluated, and no evaluation so far reported one of the names.

        This is called between steps and not after each evaluation: with a dict of evaluation sets, every set reports
        only its own metrics. Nothing is raised before the Trainer's first evaluation is due, because a user may have
        evaluated on other data.
        """
        if not self._is_evaluation_due(state):
            return
        for name in self._names:
            if self._reported and name not in self._reported:
                near = did_you_mean(name, self._reported)
                raise StrategyError(f"monitor={name!r} is not among the numbers that evaluate() returns: {near}")

    def _is_evaluation_due(self, state: TrainerState) -> bool:
        """Whether the Trainer's first evaluation is due by now."""
        if self._args.eval_on_start:
            return True
        delay = self._args.eval_delay or 0
        if self._args.eval_strategy == IntervalStrategy.EPOCH:
            return float(state.epoch or 0.0) >= max(1.0, delay) - 1e-9
        return state.global_step >= max(state.eval_steps, delay)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
