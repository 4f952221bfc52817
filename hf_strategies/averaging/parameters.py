"""The parameters of averages: their defaults, units and bounds, and the reading of values that users give."""

import math
from dataclasses import dataclass
from typing import Any, Protocol

from hf_strategies.errors import StrategyError
from hf_strategies.lengths import Span, read_span, to_steps
from hf_strategies.values import number, within

__all__ = ["Length", "Number", "Parameter", "Word"]


class Parameter(Protocol):
    """One parameter of an average."""

    @property
    def default(self) -> Any:
        """The value when the user gives none; `...` if a value has to be given, None if it may stay unset."""

    @property
    def help(self) -> str:
        """The meaning and the unit, for help texts."""

    def read(self, name: str, value: object) -> Any:
        """Check a value as a user gives it; ``name`` is the parameter's, for messages."""


@dataclass(frozen=True)
class Number:
    """A number in [``low``, ``high``], or in [``low``, ``high``) with ``below_high``."""

    default: Any
    help: str
    low: float = -math.inf
    high: float = math.inf
    below_high: bool = False

    def read(self, name: str, value: object) -> float | None:
        """Return ``value`` as a float; raise `StrategyError` if it is out of bounds."""
        if value is None and self.default is None:
            return None
        if self.below_high and float(number(name, value)) == self.high:
            raise StrategyError(f"{name}={value!r} is out of range: give a number in [{self.low:g}, {self.high:g})")
        return within(name, value, self.low, self.high)


@dataclass(frozen=True)
class Length:
    """A length of at least one update, as `hf_strategies.lengths` reads it: 500, ``"500 steps"``, ``"2ep"`` or 0.5.

    A fraction is one of the averaged updates that are done, and not of the planned ones: a stop criterion may end
    the training at any time, so the planned number is an upper limit only.
    """

    default: Any
    help: str

    def read(self, name: str, value: object) -> Span | None:
        """Return ``value`` as a length; raise `StrategyError` if it is none, or not above 0."""
        return None if value is None and self.default is None else read_span(name, value, low=1)

    def resolve(self, name: str, span: Span, total_steps: int, steps_per_epoch: float | None) -> int | float:
        """Return a length as a whole number of updates, or as a fraction, in (0, 1), of the updates that are done.

        Raises `StrategyError` for epochs of unknown length, and for a length that rounds to 0 updates.
        """
        if span.unit == "of training":
            return span.amount
        steps = to_steps(name, span, total_steps=total_steps, steps_per_epoch=steps_per_epoch)
        if steps < 1:
            raise StrategyError(f"{name}={span!r} gives {steps} updates: give a length of at least one update")
        return steps


@dataclass(frozen=True)
class Word:
    """A name, such as that of a decay curve."""

    default: Any
    help: str

    def read(self, name: str, value: object) -> str:
        """Return ``value`` if it is a text."""
        if not isinstance(value, str):
            raise StrategyError(f"{name}={value!r} is no name: give a text, such as {name}='sqrt'")
        return value
