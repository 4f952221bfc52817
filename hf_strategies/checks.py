"""Reading of values that users give as text or number."""

import math

from hf_strategies.errors import StrategyError

__all__ = ["number"]


def number(name: str, value: object) -> int | float:
    """Read a number that may have come as text, because flags and YAML leave ``1e-5`` a string.

    ``name`` is the argument's name, for the message. Raises `StrategyError` for what is no finite number.

    >>> number("gamma", "1e-1")
    0.1
    >>> number("step_size", "30")
    30
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise StrategyError(f"{name}={value!r} is not a number: give one, such as {name}=0.1")
    if isinstance(value, str):
        try:
            return int(value)
        except ValueError:
            value = _float(name, value)
    if not math.isfinite(value):
        raise StrategyError(f"{name}={value!r} is not finite: give an ordinary number")
    return value


def _float(name: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise StrategyError(f"{name}={text!r} is not a number: give one, such as {name}=0.1") from None
