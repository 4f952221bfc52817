"""Lengths of training, written the same way for schedules, stopping and the cooldown.

``500``           a bare number, in the unit of its argument: optimizer steps for a schedule, evaluations for patience
``"500 steps"``   optimizer steps
``"2ep"``         epochs; ``"2 epochs"`` is the same
``0.1``           a fraction, in (0, 1), of the planned steps
``"3 evals"``     evaluations, where an argument can count them
"""

import math
import re
from dataclasses import dataclass
from typing import Literal

from hf_strategies.errors import StrategyError
from hf_strategies.values import number

__all__ = ["Span", "Unit", "read_span", "steps_in_epoch", "to_steps"]

Unit = Literal["steps", "epochs", "of training", "evaluations"]

# No character can be matched in two ways, so that matching takes linear time in the length of the text.
_TEXT = re.compile(r"((?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:e[+-]?[0-9]+)?)\s*(ep|epochs?|steps?|evals?|evaluations?)")
_UNITS: dict[str, Unit] = {"ep": "epochs", "st": "steps", "ev": "evaluations"}
_SUFFIXES: dict[Unit, str] = {"evaluations": "", "steps": " steps", "epochs": "ep", "of training": ""}


@dataclass(frozen=True)
class Span:
    """A length of training: a number of optimizer steps, epochs or evaluations, or a fraction of the planned steps.

    >>> str(Span(3, "evaluations")), str(Span(1, "epochs")), str(Span(0.1, "of training"))
    ('3', '1ep', '0.1')
    """

    amount: float
    unit: Unit

    def __str__(self) -> str:
        return f"{self._exact_amount}{_SUFFIXES[self.unit]}"

    def __repr__(self) -> str:
        return str(self) if self.unit in ("evaluations", "of training") else repr(str(self))

    @property
    def words(self) -> str:
        """The length in words, for a sentence.

        >>> Span(1, "epochs").words, Span(0.1, "of training").words
        ('1 epoch', '10 % of training')
        """
        if self.unit == "of training":
            return f"{100 * self.amount:g} % of training"
        unit = self.unit.removesuffix("s") if self.amount == 1 else self.unit
        return f"{self._exact_amount} {unit}"

    @property
    def plain(self) -> int | float | str:
        """The length as a user gives it where a bare number counts steps: an int, a fraction, or epochs as text.

        >>> Span(500, "steps").plain, Span(2, "epochs").plain
        (500, '2ep')
        """
        if self.unit == "steps":
            return int(self.amount)
        return self.amount if self.unit == "of training" else str(self)

    @property
    def _exact_amount(self) -> str:
        """The amount with all its digits, so that reading the text returns the same amount."""
        return str(int(self.amount)) if self.amount == int(self.amount) else repr(self.amount)


def read_span(name: str, value: object, *, bare: Unit = "steps", low: int = 0) -> Span:
    """Read a length as a user gives it; ``bare`` is the unit of a number that is given without a unit.

    ``low`` is the least amount in the unit ``bare``, 0 or 1; with 1, an amount in another unit has to be above 0.
    ``name`` is the argument's name, for the message. Raises `StrategyError` for a value that is not a length, for a
    negative length, for evaluations unless ``bare`` is evaluations, and for a number such as 1.0 or 2.5, which could
    be an amount or a fraction.

    >>> read_span("warmup_steps", "500"), read_span("patience", 3, bare="evaluations", low=1)
    ('500 steps', 3)
    """
    span = value if isinstance(value, Span) else _parse_text(name, value) if isinstance(value, str) else None
    span = span or _parse_number(name, value, bare, low)
    if span.unit == "evaluations" and bare != "evaluations":
        raise StrategyError(f"{name}={value!r} counts evaluations, which have no meaning here: {_remedy(bare, low)}")
    if span.amount < 0 or (span.amount == 0 and low > 0):
        raise StrategyError(f"{name}={value!r} is out of range: {_remedy(bare, low)}")
    if span.unit in ("evaluations", "steps") and span.amount != int(span.amount):
        raise StrategyError(f"{name}={value!r} is no whole number of {span.unit}: {_remedy(bare, low)}")
    return span


def to_steps(name: str, value: object, *, total_steps: int, steps_per_epoch: float | None = None) -> int:
    """Return a length in optimizer steps; a bare number counts steps.

    A fraction f gives ceil(f * ``total_steps``), as transformers rounds ``warmup_steps``; epochs give
    round(epochs * ``steps_per_epoch``). 0 is 0 steps. Raises `StrategyError` as `read_span` does, and for epochs
    when ``steps_per_epoch`` is None.

    >>> to_steps("warmup_steps", 0.1, total_steps=1005)
    101
    >>> to_steps("warmup_steps", "2ep", total_steps=1000, steps_per_epoch=50)
    100
    """
    span = read_span(name, value)
    if span.unit == "of training":
        return math.ceil(span.amount * total_steps)
    if span.unit == "steps":
        return int(span.amount)
    if steps_per_epoch is None:
        raise StrategyError(
            f"{name}={value!r} counts epochs, and the number of steps in an epoch is not known here: give"
            " steps_per_epoch, or the length in steps or as a fraction of training"
        )
    return round(number(name, span.amount * steps_in_epoch(steps_per_epoch)))


def steps_in_epoch(value: object) -> int | float:
    """Check and return ``steps_per_epoch``, a number above 0."""
    steps = number("steps_per_epoch", value)
    if steps <= 0:
        raise StrategyError(f"steps_per_epoch={value!r} is out of range: give a number above 0")
    return steps


def _parse_text(name: str, text: str) -> Span | None:
    """Return the length of a text with a unit, such as ``"2ep"``; None for any other text."""
    match = _TEXT.fullmatch(text.strip())
    return Span(number(name, match[1]), _UNITS[match[2][:2]]) if match else None


def _parse_number(name: str, value: object, bare: Unit, low: int) -> Span:
    try:
        amount = number(name, value)
    except StrategyError:
        if isinstance(value, int | float) and not isinstance(value, bool):
            raise  # infinite, NaN or too large: the message below would print its digits, which may be too many
        raise StrategyError(f"{name}={value!r} is no length of training: {_remedy(bare, low)}") from None
    if isinstance(amount, int) or amount == 0:
        return Span(int(amount), bare)
    if amount < 1:
        return Span(amount, "of training")
    raise StrategyError(f"{name}={value!r} is ambiguous: {_remedy(bare, low)}")


def _remedy(bare: Unit, low: int) -> str:
    steps = " steps as '500 steps'," if bare != "steps" else ""
    return (
        f"give a whole number of {bare} (at least {low}),{steps} epochs as '2ep', or a fraction of training in (0, 1)"
    )
