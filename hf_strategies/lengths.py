"""Lengths of training in the units that people think in: steps, fractions of training, epochs."""

import math
import re

from hf_strategies.errors import StrategyError
from hf_strategies.values import number

__all__ = ["steps_in_epoch", "to_steps"]

_EPOCHS = re.compile(r"(\d+(?:\.\d*)?|\.\d+)\s*ep")


def to_steps(name: str, value: object, *, total_steps: int, steps_per_epoch: float | None = None) -> int:
    """Turn a length into optimizer steps: ``500`` (steps), ``0.1`` (share of training) or ``"2ep"`` (epochs).

    A fraction f in (0, 1) gives ceil(f * ``total_steps``), as transformers rounds ``warmup_steps``; epochs
    give round(epochs * ``steps_per_epoch``). 0 is 0 steps. Raises `StrategyError` for a negative length, for
    epochs when ``steps_per_epoch`` is unknown, and for a float such as 1.0 or 2.5, which could mean either
    steps or a share of training.

    >>> to_steps("warmup_steps", 500, total_steps=1000)
    500
    >>> to_steps("warmup_steps", 0.1, total_steps=1005)
    101
    >>> to_steps("warmup_steps", "2ep", total_steps=1000, steps_per_epoch=50)
    100
    """
    if isinstance(value, str) and (match := _EPOCHS.fullmatch(value.strip())):
        return _epochs_to_steps(name, value, float(match[1]), steps_per_epoch)
    length = number(name, value)
    if length < 0:
        raise StrategyError(f"{name}={value!r} is negative: give 0 or more steps, or a fraction in (0, 1)")
    if isinstance(length, int):
        return length
    if length >= 1:
        raise StrategyError(
            f"{name}={value!r} is ambiguous: write {name}={int(length)} for steps, a fraction in (0, 1) for a"
            f' share of training, or "{length:g}ep" for epochs'
        )
    return math.ceil(length * total_steps)


def _epochs_to_steps(name: str, value: str, epochs: float, steps_per_epoch: float | None) -> int:
    if steps_per_epoch is None:
        raise StrategyError(
            f"{name}={value!r} counts epochs, and the number of steps in an epoch is not known here: give"
            " steps_per_epoch, or the length in steps or as a fraction of training"
        )
    per_epoch = steps_in_epoch(steps_per_epoch)
    return round(number(name, epochs * per_epoch))


def steps_in_epoch(value: object) -> int | float:
    """Read ``steps_per_epoch``, a number above 0."""
    steps = number("steps_per_epoch", value)
    if steps <= 0:
        raise StrategyError(f"steps_per_epoch={value!r} is out of range: give a number above 0")
    return steps
