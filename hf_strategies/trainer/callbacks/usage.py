"""The resources that training has used (wall time, floating-point operations, tokens), in the Trainer's state."""

import time
from collections.abc import Sequence
from typing import Any, cast
from weakref import ref

from transformers import Trainer, TrainerState

from hf_strategies.stopping.history import Usage
from hf_strategies.trainer.callbacks.context import records
from hf_strategies.trainer.distributed import from_rank_zero

__all__ = ["UsageLog"]

_KEY = "hf_strategies_usage"
_CHECK_EVERY = 1.0  # seconds between two checks of the clock, in which all processes take part


class UsageLog:
    """A record of the resources that training has used at each evaluation; it also reports when a budget is spent.

    The record is in `state.stateful_callbacks`, and so in `trainer_state.json`. A resumed run continues its counts,
    and does not report again a budget that was spent before. All processes use the clock of the first process.
    Create this in `on_train_begin`. Each budget is a resource ("seconds", "flos" or "tokens") and its limit.
    """

    def __init__(self, state: TrainerState, budgets: Sequence[tuple[str, float]], trainer: Trainer | None) -> None:
        if state.global_step == 0:
            records(state).pop(_KEY, None)
        self._budgets, self._trainer = budgets, ref(trainer) if trainer else None
        self._before = float(self._record(state).get("elapsed", 0.0))
        self._start = time.monotonic()
        self._last_check, self._next_check = (self._start, state.global_step), state.global_step + 1
        recorded = self._record(state)["usage"]
        self._reported = {
            (name, limit) for name, limit in budgets if max(recorded.get(name, {}).values(), default=0.0) >= limit
        }

    def evaluated(self, state: TrainerState) -> float:
        """Record the resources used up to this step; return the seconds. Every process has to call this."""
        used = from_rank_zero({"seconds": self.seconds, "flos": self._flos(state), "tokens": _tokens(state)})
        record = self._record(state)
        record["elapsed"] = used["seconds"]
        for name, amount in used.items():
            record["usage"].setdefault(name, {}).setdefault(str(state.global_step), amount)
        return used["seconds"]

    def stepped(self, state: TrainerState) -> None:
        """Record the time, so that a run that is resumed from a checkpoint of this step continues from it."""
        self._record(state)["elapsed"] = self.seconds

    def usage(self, state: TrainerState) -> Usage:
        """Return the recorded amounts, by resource and step."""
        return cast(Usage, self._record(state)["usage"])

    def spent(self, state: TrainerState) -> bool:
        """Return whether a budget has just been spent; every process has to call this after every step.

        Because clocks differ between processes, all use the clock of the first process. A check is a message between
        the processes, so that they check together at the same steps, about once a second. Operations are summed over
        the processes at every step, so that a resumed run counts the same number.
        """
        if not self._budgets:
            return False
        used = {name: self._used(name, state) for name in sorted({name for name, _ in self._budgets})}
        spent = {
            (name, limit) for name, limit in self._budgets if (amount := used[name]) is not None and amount >= limit
        }
        new, self._reported = spent - self._reported, self._reported | spent
        return bool(new)

    @property
    def seconds(self) -> float:
        """Wall time of training on this process, in seconds, including the earlier parts of a resumed run."""
        return self._before + time.monotonic() - self._start

    def _used(self, resource: str, state: TrainerState) -> float | None:
        """Return the amount used of a resource; None for the seconds if this step does not check the clock."""
        if resource == "seconds":
            return self._common_seconds(state)
        return self._flos(state) if resource == "flos" else _tokens(state)

    def _flos(self, state: TrainerState) -> float:
        # By default the Trainer sums the operations only when it logs or saves.
        trainer = self._trainer() if self._trainer else None
        if trainer and any(name == "flos" for name, _ in self._budgets):
            trainer.store_flos()
        return float(state.total_flos)

    def _common_seconds(self, state: TrainerState) -> float | None:
        """Return the first process's time if this step checks the clock, else None."""
        if state.global_step < self._next_check:
            return None
        now = time.monotonic()
        step_seconds = (now - self._last_check[0]) / max(1, state.global_step - self._last_check[1])
        steps_between = max(1, int(_CHECK_EVERY / max(step_seconds, 1e-6)))
        seconds, steps_between = from_rank_zero((self.seconds, steps_between))
        self._last_check, self._next_check = (now, state.global_step), state.global_step + steps_between
        return seconds

    def _record(self, state: TrainerState) -> dict[str, Any]:
        return cast("dict[str, Any]", records(state).setdefault(_KEY, {"elapsed": 0.0, "usage": {}}))


def _tokens(state: TrainerState) -> float:
    return float(state.num_input_tokens_seen)
