"""Registration of averages that users write; their names are valid wherever an average is read."""

from collections.abc import Callable, Mapping
from keyword import iskeyword
from typing import Any

from hf_strategies.averaging.averages import AVERAGES, AverageRow
from hf_strategies.averaging.parameters import Length, Number, Parameter
from hf_strategies.errors import StrategyError

__all__ = ["register_average"]

_UPDATES = (*range(1, 101), 1_000, 10_000, 100_000)


def register_average(
    name: str,
    function: Callable[..., float],
    parameters: Mapping[str, Parameter | float] | None = None,
    *,
    summary: str,
    source: str = "user",
) -> None:
    """Add an average of the weights, which can then be used like the built-in ones.

    ``function(n, **parameters)`` returns the coefficient c_n of the newest weights at the n-th averaged update,
    n = 1, 2, ...: the average becomes ``average + c_n * (weights - average)``. It is exactly 1.0 at n = 1, and in
    [0, 1] everywhere. ``parameters`` maps names to defaults, or to rows (`Number`, `Length`) with bounds and a help
    text; a length reaches the function as a number of updates, or as a fraction, in (0, 1), of the n updates.
    ``summary`` is one line that describes the average, ``source`` is where it comes from.

    Raises `StrategyError`, and adds nothing, for a name that is taken or is no identifier, and when the function
    breaks one of these laws. It is tried with the defaults of its parameters, 1 where there is none, and with the
    lengths 10 and 0.5.

    Example::

        register_average("slow", lambda n, share: max(share, 1 / n), {"share": 0.01}, summary="mean, then ema")
        WeightAveraging("slow(share=0.001)")
    """
    _check_name(name)
    if not isinstance(summary, str) or not summary.strip():
        raise StrategyError(f"summary={summary!r} of average {name!r} is no text: say in a line what it averages")
    row = AverageRow(
        name, function, {key: _row(key, value) for key, value in (parameters or {}).items()}, summary, source
    )
    _check_laws(row)
    AVERAGES[name] = row


def _check_name(name: object) -> None:
    # ASCII, because Python's parser changes other letters into a normal form, which the table would not have.
    if not isinstance(name, str) or not name.isidentifier() or not name.isascii() or iskeyword(name):
        raise StrategyError(f"name={name!r} is no name for an average: give letters, digits and _")
    if name in AVERAGES:
        raise StrategyError(f"name={name!r} is taken: choose another name for the average")


def _row(key: str, value: Any) -> Parameter:
    if not isinstance(key, str) or not key.isidentifier() or iskeyword(key) or key == "n":
        raise StrategyError(f"parameters[{key!r}] is no name for a parameter: give letters, digits and _")
    if isinstance(value, Number | Length):
        return value
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise StrategyError(
            f"parameters[{key!r}]={value!r} is no default: give a number, or a row such as Number(...)"
        )
    return Number(float(value), "a number")


def _check_laws(row: AverageRow) -> None:
    """Raise `StrategyError` unless the coefficients obey the laws of `register_average`."""
    for length in (10, 0.5):
        values = {key: _trial_value(each, length) for key, each in row.parameters.items()}
        for n in _UPDATES:
            coefficient = _coefficient(row, n, values)
            if n == 1 and coefficient != 1.0:
                raise _law_error(row, n, coefficient, "is not exactly 1.0", "let the average begin with the weights")


def _trial_value(parameter: Parameter, length: int | float) -> Any:
    if isinstance(parameter, Length):
        return length
    return 1.0 if parameter.default is ... else parameter.default


def _coefficient(row: AverageRow, n: int, values: Mapping[str, Any]) -> float:
    try:
        coefficient = row.function(n, **values)
        same = coefficient == row.function(n, **values)
    except StrategyError:
        raise
    except Exception as error:
        raise StrategyError(
            f"average {row.name!r} fails when it is computed: {error!r}: mend its function"
        ) from error
    if type(coefficient) is not float or not 0.0 <= coefficient <= 1.0:
        raise _law_error(
            row, n, coefficient, "is no Python float in [0, 1]", "return the share of the newest weights"
        )
    if not same:
        raise _law_error(row, n, coefficient, "is another one when asked again", "use nothing but the arguments")
    return coefficient


def _law_error(row: AverageRow, n: int, value: object, problem: str, remedy: str) -> StrategyError:
    return StrategyError(
        f"average {row.name!r} breaks a law: its coefficient {value!r} at update {n} {problem}: {remedy}"
    )
