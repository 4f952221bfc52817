"""Checks of the numbers and switches that users give."""

import math
from numbers import Integral, Real

from hf_strategies.errors import StrategyError

__all__ = ["is_number", "number", "switch", "within"]

# An int beyond it may be too large for a float.
_LARGEST_INT = 10**300


def number(name: str, value: object) -> int | float:
    """Return ``value`` as an int or a float; it may be text, because flags and YAML leave ``1e-5`` a string.

    ``name`` is the argument's name, for the message. A number of another type, such as numpy's, becomes an int or
    a float too. Raises `StrategyError` if ``value`` is not a number, not finite, or too large for a float.

    >>> number("gamma", "1e-1")
    0.1
    >>> number("step_size", "30")
    30
    """
    if isinstance(value, bool) or not isinstance(value, int | float | Integral | Real | str):
        raise StrategyError(f"{name}={value!r} is not a number: give one, such as {name}=0.1")
    try:
        result = _parse(name, value) if isinstance(value, str) else _int_or_float(value)
        finite = math.isfinite(result)
    except OverflowError:
        # The message leaves the digits out: there are hundreds, or more than Python agrees to print.
        raise StrategyError(f"{name} is a number of over 300 digits: give an ordinary number") from None
    if not finite:
        raise StrategyError(f"{name}={value!r} is not finite: give an ordinary number")
    return result


def within(name: str, value: object, low: float, high: float, *, above_low: bool = False) -> float:
    """Return ``value`` as a float in [``low``, ``high``], or in (``low``, ``high``] with ``above_low``.

    Raises `StrategyError` if ``value`` is not a number, or outside these bounds.

    >>> within("gamma", "0.5", 0.0, 1.0)
    0.5
    """
    result = float(number(name, value))
    if low <= result <= high and not (above_low and result == low):
        return result
    if high == math.inf:
        bounds = f"{'above' if above_low else 'of at least'} {low:g}"
    else:
        bounds = f"in {'(' if above_low else '['}{low:g}, {high:g}]"
    raise StrategyError(f"{name}={value!r} is out of range: give a number {bounds}")


def is_number(value: object) -> bool:
    """Return whether a value of a file is a number that a float can hold, NaN and infinities among them.

    >>> is_number(2), is_number(float("nan")), is_number(True), is_number("2"), is_number(10**400)
    (True, True, False, False, False)
    """
    if isinstance(value, float):
        return True
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < _LARGEST_INT


def switch(name: str, value: object) -> bool:
    """Return ``value`` if it is True or False; refuse the rest, because a text such as "no" would count as true."""
    if not isinstance(value, bool):
        raise StrategyError(f"{name}={value!r} is neither True nor False: give one of them")
    return value


def _int_or_float(value: int | float | Integral | Real) -> int | float:
    return int(value) if isinstance(value, int | Integral) else float(value)


def _parse(name: str, text: str) -> int | float:
    try:
        return int(text)
    except ValueError:
        return _parse_float(name, text)


def _parse_float(name: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise StrategyError(f"{name}={text!r} is not a number: give one, such as {name}=0.1") from None
