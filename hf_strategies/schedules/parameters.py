"""The kinds of parameters of a curve: each has a default and a help text, and checks the values that users give."""

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
    """The lengths, in optimizer steps, by which a parameter is turned into steps: the training, its warmup, an epoch.

    ``steps_per_epoch`` is None when it is not known. ``end`` is the step at which the curve ends; None stands for the
    end of the training.
    """

    total_steps: int
    warmup_steps: int = 0
    steps_per_epoch: float | None = None
    end: int | None = None

    @property
    def decay_steps(self) -> int:
        """The number of steps from the end of the warmup to the end of the curve."""
        return (self.total_steps if self.end is None else self.end) - self.warmup_steps

    def steps(self, name: str, value: object) -> int:
        """Return a length that a user gives in optimizer steps; ``name`` is the parameter's name, for the message."""
        return to_steps(name, value, total_steps=self.total_steps, steps_per_epoch=self.steps_per_epoch)


class Parameter(Protocol):
    """One parameter of a curve."""

    @property
    def help(self) -> str:
        """The meaning of the parameter, with its unit."""

    @property
    def shown(self) -> str:
        """The default in words, as ``hf-strategies show`` prints it."""

    def read(self, name: str, value: object, clock: Clock) -> Any:
        """Check ``value``, and return it in the form that the curve's function takes."""

    def read_default(self, name: str, clock: Clock) -> Any:
        """Return the default in the form that the curve's function takes."""


@dataclass(frozen=True)
class Real:
    """A real number in [``low``, ``high``], or in (``low``, ``high``] with ``above_low``; the default may be None."""

    default: float | None
    low: float
    high: float
    help: str
    above_low: bool = False

    @property
    def shown(self) -> str:
        """The default in words, as ``hf-strategies show`` prints it."""
        return "unset" if self.default is None else f"{self.default:g}"

    def read(self, name: str, value: object, clock: Clock) -> float | None:
        """Return ``value`` as a float, after a check of its bounds; None is allowed if the default is None."""
        if value is None and self.default is None:
            return None
        return within(name, value, self.low, self.high, above_low=self.above_low)

    def read_default(self, name: str, clock: Clock) -> float | None:
        """Return the default."""
        return self.default


@dataclass(frozen=True)
class Choice:
    """One word out of ``choices``."""

    default: str
    choices: tuple[str, ...]
    help: str

    @property
    def shown(self) -> str:
        """The default in words, as ``hf-strategies show`` prints it."""
        return self.default

    def read(self, name: str, value: object, clock: Clock) -> str:
        """Return ``value`` if it is one of the choices."""
        if value not in self.choices:
            raise StrategyError(f"{name}={value!r} is none of its choices: {did_you_mean(str(value), self.choices)}")
        return str(value)

    def read_default(self, name: str, clock: Clock) -> str:
        """Return the default."""
        return self.default


@dataclass(frozen=True)
class Length:
    """A length of at least one step, as `hf_strategies.lengths` reads it: 500, ``"500 steps"``, ``"2ep"`` or 0.1.

    The ``default`` None stands for the length of the warmup, or for ``without_warmup`` steps if there is no warmup.
    ``text`` is the default in words. With ``in_decay``, the length has to fit between the warmup and the end.
    """

    default: int | float | str | None
    help: str
    text: str
    in_decay: bool = False
    without_warmup: int = 1

    @property
    def shown(self) -> str:
        """The default in words, as ``hf-strategies show`` prints it."""
        return self.text

    def read(self, name: str, value: object, clock: Clock) -> int:
        """Return ``value`` in optimizer steps."""
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
        """Return the default in optimizer steps; with ``in_decay``, at most the steps that follow the warmup."""
        if self.default is None:
            return clock.warmup_steps or self.without_warmup
        steps = max(1, clock.steps(name, self.default))
        return min(steps, clock.decay_steps) if self.in_decay else steps


@dataclass(frozen=True)
class Milestones:
    """Positions in the training, in rising order, after the warmup.

    Users give each position as a length from the beginning of the training, as `hf_strategies.lengths` reads it. The
    curve takes them in steps since the end of the warmup. ``default`` are fractions of the steps that follow the
    warmup, ``text`` is the default in words.
    """

    default: tuple[float, ...]
    help: str
    text: str

    @property
    def shown(self) -> str:
        """The default in words, as ``hf-strategies show`` prints it."""
        return self.text

    def read(self, name: str, value: object, clock: Clock) -> tuple[int, ...]:
        """Return a list of positions in steps since the end of the warmup."""
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
        """Return the default in steps since the end of the warmup."""
        return tuple(math.ceil(fraction * clock.decay_steps) for fraction in self.default)
