"""What training has used up: wall time, floating-point operations, tokens; recorded in the Trainer's state."""

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
_CHECK_EVERY = 1.0  # seconds between two checks of the clock, which all processes make together


class UsageLog:
    """Records at each evaluation what training has used up, and notices when a budget is spent.

    The record is in `state.stateful_callbacks`, and so in `trainer_state.json`: a resumed run goes on counting, and
    does not report again what was spent before. All processes follow the first one's clock. To be made in
    `on_train_begin`, with the budgets: each a resource ("seconds", "flos", "tokens") and how much of it.
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
        """Record what is used up at this step; return the seconds. Every process has to call this."""
        used = from_rank_zero({"seconds": self.seconds, "flos": self._flos(state), "tokens": _tokens(state)})
        record = self._record(state)
        record["elapsed"] = used["seconds"]
        for name, amount in used.items():
            record["usage"].setdefault(name, {}).setdefault(str(state.global_step), amount)
        return used["seconds"]

    def stepped(self, state: TrainerState) -> None:
        """Record the time for the next checkpoint, from which a run may be resumed."""
        self._record(state)["elapsed"] = self.seconds

    def usage(self, state: TrainerState) -> Usage:
        """Return what has been recorded so far."""
        return cast(Usage, self._record(state)["usage"])

    def spent(self, state: TrainerState) -> bool:
        """Whether a budget is spent for the first time; every process has to call this after every step.

        The clock differs between processes: they follow the first one's, and check it at the same step, about once a
        second, because a check is a message between them. Operations are summed over processes at every step, so
        that a resumed run counts alike.
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
        """Wall time of training on this process, earlier parts of a resumed run included."""
        return self._before + time.monotonic() - self._start

    def _used(self, resource: str, state: TrainerState) -> float | None:
        if resource == "seconds":
            return self._common_seconds(state)
        return self._flos(state) if resource == "flos" else _tokens(state)

    def _flos(self, state: TrainerState) -> float:
        # The Trainer adds them up only when it logs or saves.
        trainer = self._trainer() if self._trainer else None
        if trainer and any(name == "flos" for name, _ in self._budgets):
            trainer.store_flos()
        return float(state.total_flos)

    def _common_seconds(self, state: TrainerState) -> float | None:
        if state.global_step < self._next_check:
            return None
        now = time.monotonic()
        pace = (now - self._last_check[0]) / max(1, state.global_step - self._last_check[1])
        seconds, wait = from_rank_zero((self.seconds, max(1, int(_CHECK_EVERY / max(pace, 1e-6)))))
        self._last_check, self._next_check = (now, state.global_step), state.global_step + wait
        return seconds

    def _record(self, state: TrainerState) -> dict[str, Any]:
        return cast("dict[str, Any]", records(state).setdefault(_KEY, {"elapsed": 0.0, "usage": {}}))


def _tokens(state: TrainerState) -> float:
    return float(state.num_input_tokens_seen)
