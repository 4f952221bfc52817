"""The parameters that a criterion takes: default, unit, bounds, and how a given value is read."""

import math
import re
from dataclasses import dataclass
from typing import Any, Protocol

from hf_strategies.errors import StrategyError
from hf_strategies.lengths import Span, read_span
from hf_strategies.values import number, within

__all__ = ["Amount", "Count", "Duration", "Number", "Parameter"]

_CLOCK = re.compile(r"((?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?)\s*(s|min|h|d)")
_SECONDS = {"s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}


class Parameter(Protocol):
    """One parameter of a criterion."""

    @property
    def default(self) -> Any:
        """The value when none is given; `...` where one has to be."""

    @property
    def help(self) -> str:
        """What it means and in which unit."""

    def read(self, name: str, value: object) -> Any:
        """Check a value as a user gives it."""


@dataclass(frozen=True)
class Number:
    """A number in [low, high], in (low, high] with ``above_low``; the default None leaves it unset."""

    default: Any
    help: str
    low: float = -math.inf
    high: float = math.inf
    above_low: bool = False

    def read(self, name: str, value: object) -> float | None:
        """Check that ``value`` is in bounds."""
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
        """Check that ``value`` is such a number."""
        given = number(name, value)
        if not isinstance(given, int) or given < self.low:
            raise StrategyError(f"{name}={value!r} is out of range: give a whole number of at least {self.low}")
        return given


@dataclass(frozen=True)
class Amount:
    """A positive amount; of time with ``clock``: seconds, or ``"90min"``, ``"1.5h"``, ``"2d"``."""

    default: Any
    help: str
    clock: bool = False

    def read(self, name: str, value: object) -> float:
        """Check the amount; time is turned into seconds."""
        match = _CLOCK.fullmatch(value.strip()) if self.clock and isinstance(value, str) else None
        given = float(number(name, match[1] if match else value)) * (_SECONDS[match[2]] if match else 1.0)
        if not 0 < given < math.inf:
            raise StrategyError(f"{name}={value!r} is out of range: give an amount above 0")
        return given


@dataclass(frozen=True)
class Duration:
    """A length of training, read as `lengths` does; a bare number counts evaluations, of which ``low`` is the least.

    ``low`` is 0 or 1; with 1 the other units have to be above 0.
    """

    default: Any
    help: str
    low: int = 1

    def read(self, name: str, value: object) -> Span:
        """Read 3 or ``"3 evals"``, ``"500 steps"``, ``"2ep"``, or a fraction such as 0.1."""
        return read_span(name, value, bare="evaluations", low=self.low)
