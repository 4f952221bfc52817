"""The parameters that a curve takes: default, unit, bounds, and how a given value is read."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Protocol

from hf_strategies.errors import StrategyError, did_you_mean
from hf_strategies.lengths import to_steps
from hf_strategies.values import within

__all__ = ["Choice", "Clock", "Length", "Milestones", "Parameter", "Real"]


@dataclass(frozen=True)
class Clock:
    """What lengths are measured against, in optimizer steps: the training, its warmup and, if known, an epoch.

    ``end`` is where the curve ends, if not at the end of the training.
    """

    total_steps: int
    warmup_steps: int = 0
    steps_per_epoch: float | None = None
    end: int | None = None

    @property
    def decay_steps(self) -> int:
        """The steps after the warmup."""
        return (self.total_steps if self.end is None else self.end) - self.warmup_steps

    def steps(self, name: str, value: object) -> int:
        """Turn a length, as a user gives it, into steps."""
        return to_steps(name, value, total_steps=self.total_steps, steps_per_epoch=self.steps_per_epoch)


class Parameter(Protocol):
    """One parameter of a curve."""

    @property
    def help(self) -> str:
        """What it means and in which unit."""

    @property
    def shown(self) -> str:
        """The default as the documentation shows it."""

    def read(self, name: str, value: object, clock: Clock) -> Any:
        """Check ``value`` and turn it into what the curve computes with."""

    def read_default(self, name: str, clock: Clock) -> Any:
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
        return within(name, value, self.low, self.high, above_low=self.above_low)

    def read_default(self, name: str, clock: Clock) -> float | None:
        """The default as the curve computes with it."""
        return self.default


@dataclass(frozen=True)
class Choice:
    """One of several words."""

    default: str
    choices: tuple[str, ...]
    help: str

    @property
    def shown(self) -> str:
        """The default as the documentation shows it."""
        return self.default

    def read(self, name: str, value: object, clock: Clock) -> str:
        """Check that ``value`` is one of the words."""
        if value not in self.choices:
            raise StrategyError(f"{name}={value!r} is none of its choices: {did_you_mean(str(value), self.choices)}")
        return str(value)

    def read_default(self, name: str, clock: Clock) -> str:
        """The default."""
        return self.default


@dataclass(frozen=True)
class Length:
    """A length of at least one step, as `lengths` reads it: 500, ``"500 steps"``, ``"2ep"`` or 0.1.

    ``default`` None is the length of the warmup, or ``without_warmup`` steps where there is none. ``in_decay``
    says that it must fit into what follows the warmup.
    """

    default: int | float | str | None
    help: str
    text: str
    in_decay: bool = False
    without_warmup: int = 1

    @property
    def shown(self) -> str:
        """The default as the documentation shows it."""
        return self.text

    def read(self, name: str, value: object, clock: Clock) -> int:
        """Turn ``value`` into optimizer steps."""
        steps = clock.steps(name, value)
        if steps < 1:
            raise StrategyError(f"{name}={value!r} gives {steps} steps: give a length of at least one step")
        if self.in_decay and steps > clock.decay_steps:
            raise StrategyError(
                f"{name}={value!r} ({steps} steps) is longer than what follows the warmup: give at most"
                f" {clock.decay_steps}"
            )
        return steps

    def read_default(self, name: str, clock: Clock) -> int:
        """The default in steps, cut to what there is."""
        if self.default is None:
            return clock.warmup_steps or self.without_warmup
        steps = max(1, clock.steps(name, self.default))
        return min(steps, clock.decay_steps) if self.in_decay else steps


@dataclass(frozen=True)
class Milestones:
    """Positions in the training, rising, after the warmup: lengths from its beginning, as `lengths` reads them.

    They are read as steps since the warmup ended. ``default`` are fractions of what follows the warmup.
    """

    default: tuple[float, ...]
    help: str
    text: str

    @property
    def shown(self) -> str:
        """The default as the documentation shows it."""
        return self.text

    def read(self, name: str, value: object, clock: Clock) -> tuple[int, ...]:
        """Turn a list of positions into steps since the end of the warmup."""
        if not isinstance(value, Sequence) or isinstance(value, str) or not value:
            raise StrategyError(f"{name}={value!r} is no list of positions: give such as {name}=[0.5, 0.75]")
        steps = [clock.steps(name, position) for position in value]
        if any(after <= before for before, after in pairwise(steps)):
            raise StrategyError(
                f"{name}={value!r} does not rise ({steps} in steps): give each position once, in order"
            )
        if steps[0] <= clock.warmup_steps:
            raise StrategyError(
                f"{name}={value!r} begins at step {steps[0]}, within the warmup of {clock.warmup_steps} steps: give"
                " positions after it"
            )
        if steps[-1] > (end := clock.warmup_steps + clock.decay_steps):
            raise StrategyError(
                f"{name}={value!r} goes on to step {steps[-1]}, past the end at step {end}: give positions before it"
            )
        return tuple(step - clock.warmup_steps for step in steps)

    def read_default(self, name: str, clock: Clock) -> tuple[int, ...]:
        """The default in steps since the end of the warmup."""
        return tuple(math.ceil(fraction * clock.decay_steps) for fraction in self.default)
