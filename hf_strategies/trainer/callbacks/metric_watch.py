"""Whether the evaluations of a training report the watched metrics: at all, in the log, and until the end."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from transformers import Trainer, TrainerState, TrainingArguments
from transformers.trainer_utils import IntervalStrategy

from hf_strategies.errors import StrategyError, did_you_mean
from hf_strategies.trainer.callbacks.checks import steps_per_epoch
from hf_strategies.trainer.distributed import from_rank_zero, say
from hf_strategies.values import is_number

__all__ = ["MetricWatch"]


class MetricWatch:
    """The metrics that the evaluations of one training have reported, compared with the watched ``names``.

    The ``optional`` names among them are dropped if the first evaluation that has all other names lacks them.
    ``owner`` is the callback's name in messages. Raises `StrategyError` if the training makes no evaluations.
    """

    def __init__(
        self, owner: str, names: Sequence[str], args: TrainingArguments, optional: Sequence[str] = ()
    ) -> None:
        if args.eval_strategy == IntervalStrategy.NO:
            raise StrategyError(
                f"{owner}(monitor={names[0]!r}) with eval_strategy='no' has nothing to watch: set"
                " eval_strategy='epoch', or 'steps' with eval_steps"
            )
        self._owner, self._args = owner, args
        self._names, self._optional = list(names), set(optional)
        self._step, self._reported_at_step = -1, set[str]()
        self._reported: set[str] = set()  # at any step, also before the run was resumed
        self._expected = -1  # the step of the newest evaluation that the Trainer was about to make
        self._warned = False

    def check_schedule(self, trainer: Trainer | None, state: TrainerState, loader: object) -> None:
        """Compare the first evaluation with the end of training, as far as both are known when it begins.

        Raises `StrategyError` if the Trainer makes no evaluation. If it makes a single one, at the end, a message is
        printed. ``loader`` is the loader of the training batches.
        """
        end = _end_of_training(self._args, state, loader)
        if trainer is None or end is None:
            return
        by_steps = self._args.eval_strategy == IntervalStrategy.STEPS
        unit, every = ("step", float(state.eval_steps)) if by_steps else ("epoch", 1.0)
        delay = self._args.eval_delay or 0
        first = every * max(1, math.ceil(delay / every))
        if delay > end:
            raise StrategyError(
                f"{self._owner}(monitor={self._names[0]!r}) has nothing to watch with eval_delay={delay:g}, because"
                f" training ends at {unit} {end:g} without an evaluation: lower eval_delay, or train longer"
            )
        if first >= end:
            say(
                state,
                f"{self._owner} watches {self._names[0]}, and the first evaluation is due at {unit} {first:g}, while"
                f" training ends at {unit} {end:g}: evaluate more often, or train longer.",
            )

    def resume(self, state: TrainerState) -> None:
        """Take over what the evaluations before a resume have reported; call this when training begins."""
        if state.global_step > 0:
            self._reported |= {key for key in _numbers(state.log_history) if key.startswith("eval_")}

    def completes(self, metrics: Mapping[str, Any], state: TrainerState) -> bool:
        """Return whether all names are reported at this step with these ``metrics``, and were not before.

        With a dict of evaluation sets there is one call for each set. The result is True for at most one call per
        step. Every process has to call this. Raises `StrategyError` if the log lacks a name.
        """
        if state.global_step != self._step:
            self._step, self._reported_at_step = state.global_step, set()
        was_complete = set(self._names) <= self._reported_at_step
        # Only numbers count, because the log is judged by the same rule. Some metrics exist on one process only.
        numbers = from_rank_zero(_numbers([metrics]))
        self._reported_at_step |= numbers
        self._reported |= {key for key in numbers if key.startswith("eval_")}
        self._leave_out_optional()
        if was_complete or not set(self._names) <= self._reported_at_step:
            return False
        self._check_log(state)
        return True

    def expect(self, step: int) -> None:
        """Note that the Trainer is about to evaluate at ``step``."""
        self._expected = step

    def check(self, state: TrainerState) -> None:
        """Check the evaluations so far; call this between two steps, and at the end of training.

        This is not done after each evaluation, because with a dict of evaluation sets, every set reports only its own
        metrics. Raises `StrategyError` if no evaluation so far reported one of the names. If an earlier evaluation
        did, and the newest does not, or if an evaluation that was due was not reported to the callbacks, a message is
        printed, once.
        """
        self._refuse_unknown(state)
        if self._expected < 0 or self._warned:
            return
        missing = [name for name in self._names if name in self._reported - self._reported_at_step]
        if self._step != self._expected:
            self._warn(
                state,
                f"no evaluation was reported to it at step {self._expected}, where one was due: evaluate() of a"
                " Trainer of your own has to call self.log(metrics) and then self.callback_handler.on_evaluate(...)",
            )
        elif missing:
            self._warn(
                state,
                f"the evaluation at step {self._step} has no {missing[0]!r}, which earlier ones had: evaluations"
                " without it are not judged",
            )
        self._expected = -1

    def finish(self, state: TrainerState) -> None:
        """Check the last evaluation, and print a message if there was none in this run and before it was resumed."""
        if self._step >= 0:
            self.check(state)
        elif not self._warned and not set(self._names) & _numbers(state.log_history):
            self._warn(state, f"training has ended at step {state.global_step} without an evaluation")

    def _warn(self, state: TrainerState, what: str) -> None:
        self._warned = True
        say(state, f"{self._owner} watches {self._names[0]}, and {what}.")

    def _leave_out_optional(self) -> None:
        """Drop the optional names if an evaluation has all names but these; keep them if it has these too."""
        required = set(self._names) - self._optional
        if self._optional and required <= self._reported_at_step:
            if not self._optional <= self._reported_at_step:
                self._names = [name for name in self._names if name in required]
            self._optional = set()

    def _check_log(self, state: TrainerState) -> None:
        """Raise `StrategyError` if the log has no entry of this evaluation, because it is judged by the log."""
        logged: set[str] = set()
        for entry in reversed(state.log_history):
            if entry.get("step") != state.global_step:
                break
            logged |= _numbers([entry])
        if from_rank_zero(not set(self._names) <= logged):
            raise StrategyError(
                f"the metrics of the evaluation at step {state.global_step} are not in state.log_history as numbers:"
                " evaluate() of a Trainer of your own has to call self.log(metrics) before on_evaluate, and a loop"
                " that calls the events by itself has to write them there first, with 'step' and 'epoch'"
            )

    def _refuse_unknown(self, state: TrainerState) -> None:
        """Raise `StrategyError` if the Trainer has evaluated, and no evaluation so far reported one of the names.

        Nothing is raised before the Trainer's first evaluation is due, because a user may have evaluated on other
        data.
        """
        if self._step < 0 or not self._is_evaluation_due(state):
            return
        for name in self._names:
            if name not in self._reported:
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


def _end_of_training(args: TrainingArguments, state: TrainerState, loader: Any) -> float | None:
    """Return the step at which training ends, or its epoch with evaluations by epochs; None if that is not known."""
    if args.eval_strategy == IntervalStrategy.STEPS:
        return float(state.max_steps) or None
    steps = steps_per_epoch(args, loader)
    return (state.max_steps / steps or None) if steps else None


def _numbers(entries: Iterable[Mapping[str, Any]]) -> set[str]:
    """Return the keys whose value is a number."""
    return {key for entry in entries for key, value in entry.items() if is_number(value)}
