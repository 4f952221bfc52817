"""Reading of numbers and switches as users give them."""

import math
from numbers import Integral, Real

from hf_strategies.errors import StrategyError

__all__ = ["number", "switch", "within"]


def number(name: str, value: object) -> int | float:
    """Read a number that may have come as text, because flags and YAML leave ``1e-5`` a string.

    ``name`` is the argument's name, for the message. Numbers of other kinds, such as numpy's, become plain ones.
    Raises `StrategyError` for what is no finite number, or too large for a float.

    >>> number("gamma", "1e-1")
    0.1
    >>> number("step_size", "30")
    30
    """
    if isinstance(value, bool) or not isinstance(value, int | float | Integral | Real | str):
        raise StrategyError(f"{name}={value!r} is not a number: give one, such as {name}=0.1")
    try:
        read = _of_text(name, value) if isinstance(value, str) else _plain(value)
        finite = math.isfinite(read)
    except OverflowError:
        # Its digits are not shown: there are hundreds, or more than Python is willing to print.
        raise StrategyError(f"{name} is a number of over 300 digits: give an ordinary number") from None
    if not finite:
        raise StrategyError(f"{name}={value!r} is not finite: give an ordinary number")
    return read


def within(name: str, value: object, low: float, high: float, *, above_low: bool = False) -> float:
    """Read a number in [``low``, ``high``], or in (``low``, ``high``] with ``above_low``.

    Raises `StrategyError` for what is no number and for one outside these bounds.

    >>> within("gamma", "0.5", 0.0, 1.0)
    0.5
    """
    given = float(number(name, value))
    if low <= given <= high and not (above_low and given == low):
        return given
    if high == math.inf:
        bounds = f"{'above' if above_low else 'of at least'} {low:g}"
    else:
        bounds = f"in {'(' if above_low else '['}{low:g}, {high:g}]"
    raise StrategyError(f"{name}={value!r} is out of range: give a number {bounds}")


def switch(name: str, value: object) -> bool:
    """Check that a value is True or False, because a text such as "no" would count as true."""
    if not isinstance(value, bool):
        raise StrategyError(f"{name}={value!r} is neither True nor False: give one of them")
    return value


def _plain(value: int | float | Integral | Real) -> int | float:
    return int(value) if isinstance(value, int | Integral) else float(value)


def _of_text(name: str, text: str) -> int | float:
    try:
        return int(text)
    except ValueError:
        return _float(name, text)


def _float(name: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise StrategyError(f"{name}={text!r} is not a number: give one, such as {name}=0.1") from None
