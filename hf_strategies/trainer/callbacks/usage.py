"""What training has used up: wall time, floating-point operations, tokens; kept in the Trainer's state."""

import time
from collections.abc import Sequence
from typing import Any, cast
from weakref import ref

from transformers import Trainer, TrainerState

from hf_strategies.stopping.history import Meters
from hf_strategies.trainer.callbacks.context import records
from hf_strategies.trainer.distributed import from_rank_zero

__all__ = ["MeterBook"]

_KEY = "hf_strategies_meters"
_CHECK_EVERY = 1.0  # seconds between two looks at the clock, which all processes take together


class MeterBook:
    """Writes down at each evaluation what training has used up, and tells when a budget is spent.

    The book is in `state.stateful_callbacks`, and so in `trainer_state.json`: a resumed run goes on counting, and
    does not tell again what was spent before. All processes follow the first one's clock. To be made in
    `on_train_begin`, with the budgets: each a meter ("seconds", "flos", "tokens") and how much of it.
    """

    def __init__(self, state: TrainerState, limits: Sequence[tuple[str, float]], trainer: Trainer | None) -> None:
        if state.global_step == 0:
            records(state).pop(_KEY, None)
        self._limits, self._trainer = limits, ref(trainer) if trainer else None
        self._before = float(self._book(state).get("elapsed", 0.0))
        self._start = time.monotonic()
        self._last, self._next_look = (self._start, state.global_step), state.global_step + 1
        written = self._book(state)["meters"]
        self._asked = {
            (meter, limit) for meter, limit in limits if max(written.get(meter, {}).values(), default=0.0) >= limit
        }

    def stamp(self, state: TrainerState) -> float:
        """Write down what is used up at this step; return the seconds. Every process has to call this."""
        used = {"seconds": self.seconds, "flos": self._flos(state), "tokens": _tokens(state)}
        used = from_rank_zero(used)
        book = self._book(state)
        book["elapsed"] = used["seconds"]
        for meter, value in used.items():
            book["meters"].setdefault(meter, {}).setdefault(str(state.global_step), value)
        return used["seconds"]

    def on_step_end(self, state: TrainerState) -> None:
        """Have the next checkpoint know the time, for when it is resumed from."""
        self._book(state)["elapsed"] = self.seconds

    def meters(self, state: TrainerState) -> Meters:
        """What was written down so far."""
        return cast(Meters, self._book(state)["meters"])

    def spent(self, state: TrainerState) -> bool:
        """Whether a budget is spent for the first time; every process has to call this after every step.

        The clock differs between processes: they look at the first one's, all at the same step, about once a
        second, because the look is a message between them. Operations are summed up over them at every step, so
        that a resumed run counts alike.
        """
        used = {meter: self._used(meter, state) for meter in sorted({meter for meter, _ in self._limits})}
        found = {(meter, limit) for meter, limit in self._limits if (now := used[meter]) is not None and now >= limit}
        new, self._asked = found - self._asked, self._asked | found
        return bool(new)

    @property
    def seconds(self) -> float:
        """Wall time of training on this process, earlier parts of a resumed run included."""
        return self._before + time.monotonic() - self._start

    def _used(self, meter: str, state: TrainerState) -> float | None:
        if meter == "seconds":
            return self._common_seconds(state)
        return self._flos(state) if meter == "flos" else _tokens(state)

    def _flos(self, state: TrainerState) -> float:
        # The Trainer adds them up when it logs or saves only.
        trainer = self._trainer() if self._trainer else None
        if trainer and any(meter == "flos" for meter, _ in self._limits):
            trainer.store_flos()
        return float(state.total_flos)

    def _common_seconds(self, state: TrainerState) -> float | None:
        if state.global_step < self._next_look:
            return None
        now = time.monotonic()
        pace = (now - self._last[0]) / max(1, state.global_step - self._last[1])
        seconds, wait = from_rank_zero((self.seconds, max(1, int(_CHECK_EVERY / max(pace, 1e-6)))))
        self._last, self._next_look = (now, state.global_step), state.global_step + wait
        return seconds

    def _book(self, state: TrainerState) -> dict[str, Any]:
        return cast("dict[str, Any]", records(state).setdefault(_KEY, {"elapsed": 0.0, "meters": {}}))


def _tokens(state: TrainerState) -> float:
    return float(state.num_input_tokens_seen)
