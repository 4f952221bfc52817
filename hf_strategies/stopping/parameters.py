"""The parameters that a criterion takes: default, unit, bounds, and how a given value is read."""

import math
import re
from dataclasses import dataclass
from typing import Any, Protocol

from hf_strategies.errors import StrategyError
from hf_strategies.values import number

__all__ = ["Amount", "Count", "Parameter", "Real", "Span", "Spans"]

_NUMBER = r"((?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?)"
_SPAN = re.compile(_NUMBER + r"\s*(ep|epochs?|steps?|evals?|evaluations?)")
_CLOCK = re.compile(_NUMBER + r"\s*(s|min|h|d)")
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
class Real:
    """A real number in [low, high], in (low, high] with ``above_low``; the default None leaves it unset."""

    default: Any
    help: str
    low: float = -math.inf
    high: float = math.inf
    above_low: bool = False

    def read(self, name: str, value: object) -> float | None:
        """Check that ``value`` is in bounds."""
        if value is None and self.default is None:
            return None
        given = float(number(name, value))
        if not self.low <= given <= self.high or (self.above_low and given == self.low):
            raise StrategyError(f"{name}={value!r} is out of range: give a number {self._bounds()}")
        return given

    def _bounds(self) -> str:
        if self.high == math.inf:
            return f"{'above' if self.above_low else 'of at least'} {self.low:g}"
        return f"in {'(' if self.above_low else '['}{self.low:g}, {self.high:g}]"


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
class Span:
    """A length of training: evaluations, optimizer steps, epochs, or a fraction of the planned steps.

    >>> str(Span(3, "evaluations")), str(Span(1, "epochs")), str(Span(0.1, "of training"))
    ('3', '1ep', '0.1')
    """

    amount: float
    unit: str

    def __str__(self) -> str:
        tail = {"evaluations": "", "steps": " steps", "epochs": "ep", "of training": ""}[self.unit]
        return f"{self._exact}{tail}"

    def __repr__(self) -> str:
        return str(self) if self.unit in ("evaluations", "of training") else repr(str(self))

    @property
    def words(self) -> str:
        """The length as a sentence needs it."""
        if self.unit == "of training":
            return f"{100 * self.amount:g} % of training"
        unit = self.unit.removesuffix("s") if self.amount == 1 else self.unit
        return f"{self._exact} {unit}"

    @property
    def _exact(self) -> str:
        """The amount such that it can be read again: six digits are too few for a number of steps."""
        return str(int(self.amount)) if self.amount == int(self.amount) else repr(self.amount)


@dataclass(frozen=True)
class Spans:
    """A length of training: 3 or ``"3 evals"``, ``"500 steps"``, ``"2ep"``, or a fraction such as 0.1.

    ``low`` is the least number of evaluations, 0 or 1; other units have to be above 0 where it is 1.
    """

    default: Any
    help: str
    low: int = 1

    def read(self, name: str, value: object) -> Span:
        """Read a length as a user gives it; raises `StrategyError` for what is none or could mean two."""
        span = value if isinstance(value, Span) else self._of_text(name, value) if isinstance(value, str) else None
        span = span or self._of_number(name, value)
        if span.amount < 0 or (span.amount == 0 and self.low > 0):
            raise StrategyError(f"{name}={value!r} is out of range: {self._remedy()}")
        if span.unit in ("evaluations", "steps") and span.amount != int(span.amount):
            raise StrategyError(f"{name}={value!r} is no whole number of {span.unit}: {self._remedy()}")
        return span

    def _of_text(self, name: str, text: str) -> Span | None:
        match = _SPAN.fullmatch(text.strip())
        if not match:
            return None
        unit = {"ep": "epochs", "st": "steps", "ev": "evaluations"}[match[2][:2]]
        return Span(float(number(name, match[1])), unit)

    def _of_number(self, name: str, value: object) -> Span:
        try:
            given = number(name, value)
        except StrategyError:
            if isinstance(value, int | float) and not isinstance(value, bool):
                raise  # a number beyond all bounds, which may be too long to be shown
            raise StrategyError(f"{name}={value!r} is no length of training: {self._remedy()}") from None
        if isinstance(given, int) or given == 0:
            return Span(int(given), "evaluations")
        if 0 < given < 1:
            return Span(given, "of training")
        raise StrategyError(f"{name}={value!r} is ambiguous: {self._remedy()}")

    def _remedy(self) -> str:
        return (
            f"give a whole number of evaluations (at least {self.low}), steps as '500 steps', epochs as '2ep', or a"
            " fraction of training in (0, 1)"
        )
