"""A run with the records of our callbacks, read from the Trainer's state: evaluations, rates, and why it ended."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from hf_strategies.report.run.rates import PlannedRates, RateCurve, planned_rates, rate_curves
from hf_strategies.schedules import Schedule
from hf_strategies.stopping.history import training_log
from hf_strategies.stopping.results import EARLY_STOPPING, PLATEAU_COOLDOWN, records_of

__all__ = ["RecordedRun"]


_NOT_METRICS = ("_runtime", "_per_second", "_preparation_time")


@dataclass(frozen=True)
class RecordedRun:
    """The log of a run with the record of the callback that ended it, `EarlyStopping` or `PlateauCooldown`.

    ``log_history`` and ``record`` are as in `trainer_state.json`, and ``record_key`` is the record's name there.
    ``cooldown`` is the record of `PlateauCooldown`, whether or not that callback ended the run. ``planned`` are the
    learning rates by the records of the schedule and of the callbacks, where those are complete.
    """

    log_history: Sequence[Mapping[str, Any]]
    record: Mapping[str, Any] | None
    cooldown: Mapping[str, Any] | None = None
    planned: PlannedRates | None = None
    record_key: str | None = None

    @classmethod
    def of_state(cls, state: Mapping[str, Any], asked: tuple[Schedule, float] | None = None) -> "RecordedRun":
        """Read the content of `trainer_state.json`; of its log, only the part of the training (see `training_log`).

        ``asked`` is the schedule that the run was asked for, with its peak, where that is known; the state has only
        the schedules of this package.

        >>> RecordedRun.of_state({"log_history": [{"eval_loss": 0.5, "step": 3}]}).evaluations
        [{'eval_loss': 0.5, 'step': 3}]
        """
        key, stopping = _record_of(EARLY_STOPPING, state)
        other, cooldown = _record_of(PLATEAU_COOLDOWN, state)
        planned = planned_rates(state, asked)
        if stopping and (stopping["stopped"] or not cooldown):
            return cls(training_log(state), stopping, cooldown, planned, key)
        return cls(training_log(state), cooldown, cooldown, planned, other)

    @property
    def monitor(self) -> str:
        """The metric that was watched; the validation loss if none was."""
        return str(self.record["monitor"]) if self.record else "eval_loss"

    @cached_property
    def evaluations(self) -> list[dict[str, Any]]:
        """The metrics of the evaluations, without timings; of several at one step, the first."""
        by_step: dict[int, dict[str, Any]] = {}
        for entry in self.log_history:
            if any(key.startswith("eval_") for key in entry):
                metrics = {key: value for key, value in entry.items() if not key.endswith(_NOT_METRICS)}
                by_step.setdefault(int(entry["step"]), metrics)
        return list(by_step.values())

    @property
    def learning_rates(self) -> list[tuple[int, float]]:
        """The logged learning rates with their steps."""
        return [(entry["step"], entry["learning_rate"]) for entry in self.log_history if "learning_rate" in entry]

    @cached_property
    def rate_curves(self) -> list[RateCurve]:
        """The learning rate at every step, as far as the records and the log tell it."""
        return rate_curves(self.learning_rates, self.planned, self.last_step)

    @property
    def ending(self) -> str:
        """Why training ended, in one sentence."""
        if self.record and self.record["stopped"]:
            return str(self.record["reason"])
        if not self.trained:
            return "Not trained."
        if self.cooldown:
            return str(self.cooldown["reason"])
        end = f"Trained to the end of the budget, at step {self.last_step}."
        return f"{end} {self.record['reason']}" if self.record else end

    @property
    def trained(self) -> bool:
        """Whether any step was taken; the log of a run that only evaluates has step 0."""
        return self.last_step > 0

    @property
    def kept_word(self) -> str:
        """The name of the evaluation whose weights were kept: "best", or "kept" at the end of a cooldown."""
        record = self.record or {}
        ends, best = record.get("cooldown_end"), record.get("best_step")
        return "kept" if ends is not None and best is not None and best >= ends else "best"

    @cached_property
    def last_step(self) -> int:
        """The number of optimizer steps of the run."""
        return max((int(entry["step"]) for entry in self.log_history), default=0)


def _record_of(callback: str, state: Mapping[str, Any]) -> tuple[str | None, Mapping[str, Any] | None]:
    return next(iter(records_of(callback, state.get("stateful_callbacks")).items()), (None, None))
