"""Stop criteria: pure functions from a history of values to a verdict."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from hf_strategies.checks import number
from hf_strategies.errors import StrategyError
from hf_strategies.stopping.history import Direction

__all__ = ["Verdict", "patience", "read_min_delta", "read_patience", "read_sign"]


@dataclass(frozen=True)
class Verdict:
    """What a criterion says of a history; all counts are in evaluations.

    ``stop_index`` is the index of the evaluation at which training stops (None: go on), ``best_index`` that
    of the best evaluation up to there (None: no finite value yet), ``waited`` how many came since the best.
    """

    stop_index: int | None
    best_index: int | None
    waited: int

    @property
    def should_stop(self) -> bool:
        """Whether the history says that training is done."""
        return self.stop_index is not None


def patience(values: Sequence[float], *, patience: int, min_delta: float = 0.0, mode: Direction = "min") -> Verdict:
    """Stop when the metric has not improved for ``patience`` evaluations in a row.

    A value v improves on the best b so far when v < b - ``min_delta`` (``mode="min"``) or
    v > b + ``min_delta`` (``mode="max"``), as in Keras; the best moves only with an improvement, so gains
    below ``min_delta`` add up. The first finite value is the first best. NaN and infinities never improve.
    What follows the stop is not looked at. An empty history goes on.

    Raises `StrategyError` unless ``patience`` is an integer of at least 1 and ``min_delta`` at least 0.
    Prechelt 1998, "Early Stopping - But When?".

    >>> patience([1.0, 0.8, 0.9, 0.85, 0.7], patience=2)
    Verdict(stop_index=3, best_index=1, waited=2)
    >>> patience([0.5, 0.6, 0.55], patience=2, mode="max").should_stop
    False
    """
    allowed = read_patience("patience", patience)
    delta = read_min_delta("min_delta", min_delta)
    sign = read_sign(mode)
    best_index, waited = None, 0
    for index, value in enumerate(values):
        if math.isfinite(value) and (best_index is None or sign * value < sign * values[best_index] - delta):
            best_index, waited = index, 0
            continue
        waited += 1
        if waited >= allowed:
            return Verdict(index, best_index, waited)
    return Verdict(None, best_index, waited)


def read_sign(mode: object) -> float:
    """Return 1.0 for ``"min"`` and -1.0 for ``"max"``, so that less is better either way."""
    if mode not in ("min", "max"):
        raise StrategyError(f"mode={mode!r} is no direction: give 'min' (lower is better) or 'max'")
    return 1.0 if mode == "min" else -1.0


def read_patience(name: str, value: object) -> int:
    """Check a patience in evaluations: an integer of at least 1."""
    given = number(name, value)
    if not isinstance(given, int) or given < 1:
        raise StrategyError(f"{name}={value!r} is no patience: give an integer of at least 1 evaluation")
    return given


def read_min_delta(name: str, value: object) -> float:
    """Check a smallest improvement, in the metric's own unit: a number of at least 0."""
    given = number(name, value)
    if given < 0:
        raise StrategyError(f"{name}={value!r} is negative: give the smallest change that counts, 0 or more")
    return float(given)
