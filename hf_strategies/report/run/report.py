"""A finished run, read from the Trainer's state: its evaluations, why it ended, and its best evaluation."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hf_strategies.stopping.history import training_log

__all__ = ["RunReport"]

_NOT_METRICS = ("_runtime", "_per_second", "_preparation_time")


@dataclass(frozen=True)
class RunReport:
    """The log of a run with the record of the callback that ended it, `EarlyStopping` or `PlateauCooldown`.

    ``log_history`` and ``record`` are as in `trainer_state.json`. ``cooldown`` is the record of `PlateauCooldown`,
    whether or not that callback ended the run.
    """

    log_history: Sequence[Mapping[str, Any]]
    record: Mapping[str, Any] | None
    cooldown: Mapping[str, Any] | None = None

    @classmethod
    def of_state(cls, state: Mapping[str, Any]) -> "RunReport":
        """Read the content of `trainer_state.json`; of its log, only the part of the training (see `training_log`).

        >>> RunReport.of_state({"log_history": [{"eval_loss": 0.5, "step": 3}]}).evaluations
        [{'eval_loss': 0.5, 'step': 3}]
        """
        stopping, cooldown = _record_of("EarlyStopping", state), _record_of("PlateauCooldown", state)
        ended = stopping if stopping and (stopping["stopped"] or not cooldown) else cooldown
        return cls(training_log(state), ended, cooldown)

    @property
    def monitor(self) -> str:
        """The metric that was watched; the validation loss if none was."""
        return str(self.record["monitor"]) if self.record else "eval_loss"

    @property
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

    @property
    def ending(self) -> str:
        """Why training ended, in one sentence."""
        if self.record and self.record["stopped"]:
            return str(self.record["reason"])
        if not self.trained:
            return "Not trained."
        if self.cooldown:
            return str(self.cooldown["reason"])
        return f"Trained to the end of the budget, at step {self._last_step}."

    @property
    def trained(self) -> bool:
        """Whether any step was taken; the log of a run that only evaluates has step 0."""
        return self._last_step > 0

    @property
    def kept_word(self) -> str:
        """The name of the evaluation whose weights were kept: "best", or "kept" at the end of a cooldown."""
        record = self.record or {}
        ends, best = record.get("cooldown_end"), record.get("best_step")
        return "kept" if ends is not None and best is not None and best >= ends else "best"

    @property
    def _last_step(self) -> int:
        return max((int(entry["step"]) for entry in self.log_history), default=0)


def _record_of(callback: str, state: Mapping[str, Any]) -> Mapping[str, Any] | None:
    records = (state.get("stateful_callbacks") or {}).items()
    return next((record for name, record in records if name.startswith(f"{callback}(")), None)
