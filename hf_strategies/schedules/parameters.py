"""The parameters that a curve takes: default, unit, bounds, and how a given value is read."""

from dataclasses import dataclass
from typing import Protocol

from hf_strategies.checks import number
from hf_strategies.errors import StrategyError
from hf_strategies.schedules.units import to_steps

__all__ = ["Clock", "Length", "Parameter", "Real"]


@dataclass(frozen=True)
class Clock:
    """What the lengths are measured against: optimizer steps in the training and, if known, in an epoch."""

    total_steps: int
    steps_per_epoch: float | None = None


class Parameter(Protocol):
    """One parameter of a curve."""

    @property
    def help(self) -> str:
        """What it means and in which unit."""

    @property
    def shown(self) -> str:
        """The default as the documentation shows it."""

    def read(self, name: str, value: object, clock: Clock) -> float | int | None:
        """Check ``value`` and turn it into what the curve computes with."""

    def read_default(self, name: str, clock: Clock) -> float | int | None:
        """The default as the curve computes with it."""


@dataclass(frozen=True)
class Real:
    """A real number in [low, high], in (low, high] with ``above_low``; the default None leaves it unset."""

    default: float | None
    low: float
    high: float
    help: str
    above_low: bool = False

    @property
    def shown(self) -> str:
        """The default as the documentation shows it."""
        return "unset" if self.default is None else f"{self.default:g}"

    def read(self, name: str, value: object, clock: Clock) -> float | None:
        """Check that ``value`` is in bounds; None stands for unset where the default does."""
        if value is None and self.default is None:
            return None
        given = float(number(name, value))
        if not self.low <= given <= self.high or (self.above_low and given == self.low):
            bracket = "(" if self.above_low else "["
            raise StrategyError(
                f"{name}={value!r} is out of range: give a number in {bracket}{self.low:g}, {self.high:g}]"
            )
        return given

    def read_default(self, name: str, clock: Clock) -> float | None:
        """The default as the curve computes with it."""
        return self.default


@dataclass(frozen=True)
class Length:
    """A length of at least one step: steps (int), fraction of the training (float in (0, 1)) or ``"2ep"``."""

    default: int | float | str
    help: str
    text: str

    @property
    def shown(self) -> str:
        """The default as the documentation shows it."""
        return self.text

    def read(self, name: str, value: object, clock: Clock) -> int:
        """Turn ``value`` into optimizer steps."""
        steps = to_steps(name, value, total_steps=clock.total_steps, steps_per_epoch=clock.steps_per_epoch)
        if steps < 1:
            raise StrategyError(f"{name}={value!r} gives {steps} steps: give a length of at least one step")
        return steps

    def read_default(self, name: str, clock: Clock) -> int:
        """The default as the curve computes with it."""
        return self.read(name, self.default, clock)
