"""A finished run, read from the Trainer's state: its evaluations, why it ended, what was best."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hf_strategies.stopping.history import training_log

__all__ = ["RunReport"]

_NOT_METRICS = ("_runtime", "_per_second", "_preparation_time")


@dataclass(frozen=True)
class RunReport:
    """The log of a run with the record of the callback that ended it, `EarlyStopping` or `PlateauCooldown`.

    ``log_history`` and ``record`` are as in `trainer_state.json`; ``cooldown`` is the record of `PlateauCooldown`,
    whether or not it was that which ended the run.
    """

    log_history: Sequence[Mapping[str, Any]]
    record: Mapping[str, Any] | None
    cooldown: Mapping[str, Any] | None = None

    @classmethod
    def of_state(cls, state: Mapping[str, Any]) -> "RunReport":
        """Read the mapping that `trainer_state.json` holds, as far as it is of training (see `training_log`).

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
        """The log's entries of evaluations, one per step, without timings."""
        found: dict[int, dict[str, Any]] = {}
        for entry in self.log_history:
            if any(key.startswith("eval_") for key in entry):
                kept = {key: value for key, value in entry.items() if not key.endswith(_NOT_METRICS)}
                found.setdefault(int(entry["step"]), kept)
        return list(found.values())

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
        """Whether any step was taken; a model that is only evaluated is logged at step 0."""
        return self._last_step > 0

    @property
    def kept_word(self) -> str:
        """What the evaluation is called whose weights were kept: the best, or the end of a cooldown."""
        record = self.record or {}
        ends, best = record.get("cooldown_end"), record.get("best_step")
        return "kept" if ends is not None and best is not None and best >= ends else "best"

    @property
    def _last_step(self) -> int:
        return max((int(entry["step"]) for entry in self.log_history), default=0)


def _record_of(callback: str, state: Mapping[str, Any]) -> Mapping[str, Any] | None:
    records = (state.get("stateful_callbacks") or {}).items()
    return next((record for name, record in records if name.startswith(f"{callback}(")), None)
