"""The parameters of criteria: their defaults, units and bounds, and the reading of values that users give."""

import math
import re
from dataclasses import dataclass
from typing import Any, Protocol

from hf_strategies.errors import StrategyError
from hf_strategies.lengths import Span, read_span
from hf_strategies.values import number, within

__all__ = ["Amount", "Count", "Duration", "Number", "Parameter"]

# No character can be matched in two ways, so that matching takes linear time in the length of the text.
_CLOCK_TIME = re.compile(r"((?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:e[+-]?[0-9]+)?)\s*(s|min|h|d)")
_SECONDS = {"s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}


class Parameter(Protocol):
    """One parameter of a criterion."""

    @property
    def default(self) -> Any:
        """The value when the user gives none; `...` if a value has to be given."""

    @property
    def help(self) -> str:
        """The meaning and the unit, for help texts."""

    def read(self, name: str, value: object) -> Any:
        """Check a value as a user gives it; ``name`` is the parameter's, for messages."""


@dataclass(frozen=True)
class Number:
    """A number in [low, high], in (low, high] with ``above_low``; the default None leaves it unset."""

    default: Any
    help: str
    low: float = -math.inf
    high: float = math.inf
    above_low: bool = False

    def read(self, name: str, value: object) -> float | None:
        """Return ``value`` as a number; raise `StrategyError` if it is out of bounds."""
        if value is None and self.default is None:
            return None
        return within(name, value, self.low, self.high, above_low=self.above_low)


@dataclass(frozen=True)
class Count:
    """A whole number of at least ``low``."""

    default: Any
    help: str
    low: int = 1

    def read(self, name: str, value: object) -> int:
        """Return ``value`` as an int; raise `StrategyError` for anything but a whole number of at least ``low``."""
        given = number(name, value)
        if not isinstance(given, int) or given < self.low:
            raise StrategyError(f"{name}={value!r} is out of range: give a whole number of at least {self.low}")
        return given


@dataclass(frozen=True)
class Amount:
    """A positive amount; with ``clock`` an amount of time, in seconds or as ``"90min"``, ``"1.5h"``, ``"2d"``."""

    default: Any
    help: str
    clock: bool = False

    def read(self, name: str, value: object) -> float:
        """Return the amount, a time in seconds; raise `StrategyError` if it is not above 0."""
        match = _CLOCK_TIME.fullmatch(value.strip()) if self.clock and isinstance(value, str) else None
        given = float(number(name, match[1] if match else value)) * (_SECONDS[match[2]] if match else 1.0)
        if not 0 < given < math.inf:
            raise StrategyError(f"{name}={value!r} is out of range: give an amount above 0")
        return given


@dataclass(frozen=True)
class Duration:
    """A length of training as in `lengths`, where a bare number counts evaluations.

    ``low``, 0 or 1, is the least number of evaluations; with 1, lengths in other units have to be above 0.
    """

    default: Any
    help: str
    low: int = 1

    def read(self, name: str, value: object) -> Span:
        """Read 3 or ``"3 evals"``, ``"500 steps"``, ``"2ep"``, or a fraction such as 0.1."""
        return read_span(name, value, bare="evaluations", low=self.low)
