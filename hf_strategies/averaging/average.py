"""An average of the weights as users write it, such as ``ema(over='1ep')``, and its plan for one training."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hf_strategies.averaging.averages import AVERAGES, AverageRow
from hf_strategies.averaging.parameters import Length, Parameter
from hf_strategies.errors import StrategyError, did_you_mean
from hf_strategies.lengths import Span, steps_in_epoch
from hf_strategies.syntax import WrittenCall, syntax_tree, with_quotes, written_call
from hf_strategies.values import number

__all__ = ["Average", "AveragePlan", "signature"]

_EXAMPLE = '"ema(over=\'1ep\')" or "tail(over=0.5)"'
_LONG_EPOCH = 10**9  # steps, so that any part of an epoch is a step


@dataclass(frozen=True)
class Average:
    """An average of the weights: a row of `AVERAGES` with the values of its parameters, lengths not yet in updates.

    >>> str(Average.read("ema(over='1 epoch')")), str(Average.read("polynomial"))
    ("ema(over='1ep')", 'polynomial(power=3)')
    """

    row: AverageRow
    parameters: Mapping[str, Any]

    @classmethod
    def read(cls, value: object) -> "Average":
        """Read an average from its text; an `Average` is returned as it is.

        A text is the name of a row with values by name, ``ema(decay=0.999)``; the name alone takes the defaults. A
        length is given as in the rest of the package, with quotes around units: 500, ``'500 steps'``, ``'2ep'``, or a
        fraction such as 0.5, which is one of the averaged updates that are done. Raises `StrategyError` for a text
        that cannot be read, for an unknown name, for a parameter that is missing, unknown or out of range, and for an
        average that needs snapshots.
        """
        if isinstance(value, Average):
            return value
        if not isinstance(value, str) or not value.strip():
            raise StrategyError(f"average={value!r} is no average: write one such as {_EXAMPLE}")
        tree = syntax_tree(value)
        written = None if tree is None else written_call("average", tree)
        if written is None:
            quoted = with_quotes(value)
            remedy = f"a length with a unit needs quotes: {quoted}" if quoted else f"write one such as {_EXAMPLE}"
            raise StrategyError(f"average={value!r} cannot be read: {remedy}")
        return _average(written)

    def __str__(self) -> str:
        """The text that `read` takes, with every parameter that is set."""
        values = [f"{key}={_text(value)}" for key, value in self.parameters.items() if value is not None]
        return f"{self.row.name}({', '.join(values)})" if values else self.row.name

    def plan(self, *, total_steps: int, steps_per_epoch: float | None = None) -> "AveragePlan":
        """Return the average for one training, with its lengths in updates.

        ``total_steps`` is the planned number of updates, ``steps_per_epoch`` the number in an epoch; None when it is
        not known. A length may exceed the training: the average is then of all its updates. Raises `StrategyError`
        for a length in epochs when ``steps_per_epoch`` is None.

        >>> plan = Average.read("tail(over='1ep')").plan(total_steps=100, steps_per_epoch=3)
        >>> plan.slots, plan.coefficients(5), plan.read(5)
        (2, (0.2, 0.5), 0)
        """
        total = number("total_steps", total_steps)
        if not isinstance(total, int) or total < 1:
            raise StrategyError(f"total_steps={total_steps!r} is no number of steps: give an integer of at least 1")
        epoch = None if steps_per_epoch is None else steps_in_epoch(steps_per_epoch)
        rows = self.row.parameters
        values = {key: _resolved(key, rows[key], value, total, epoch) for key, value in self.parameters.items()}
        return AveragePlan(self, values)


@dataclass(frozen=True)
class AveragePlan:
    """An average for one training: which running averages are kept, and how each takes in the newest weights.

    ``values`` are the parameters with lengths in updates, or as fractions, in (0, 1), of the updates that are done.
    """

    average: Average
    values: Mapping[str, Any]

    @property
    def slots(self) -> int:
        """The number of running averages that are kept."""
        return self.average.row.slots

    def coefficients(self, n: int) -> tuple[float, ...]:
        """Return one coefficient c for each slot at the n-th averaged update, n = 1, 2, ...

        A slot becomes ``slot + c * (w_n - slot)`` with the newest weights w_n: 1.0 restarts it from them, 0.0 leaves
        it as it is. Raises `StrategyError` for n below 1.
        """
        _check_count(n)
        result = self.average.row.function(n, **self.values)
        return result if isinstance(result, tuple) else (result,)

    def read(self, n: int) -> int:
        """Return the index of the slot that is the average after n updates, n = 1, 2, ..."""
        _check_count(n)
        return self.average.row.slot(n, **self.values) if self.average.row.slot else 0


def signature(row: AverageRow) -> str:
    """Write an average with its parameters and their defaults.

    >>> signature(AVERAGES["tail"]), signature(AVERAGES["polynomial"]), signature(AVERAGES["ema"])
    ('tail(over)', 'polynomial(power=3)', 'ema(over=None, decay=None)')
    """
    shown = [key if each.default is ... else f"{key}={_text(each.default)}" for key, each in row.parameters.items()]
    return f"{row.name}({', '.join(shown)})"


def _average(written: WrittenCall) -> Average:
    if written.name not in AVERAGES:
        raise StrategyError(f"average: there is no average {written.name!r}: {did_you_mean(written.name, AVERAGES)}")
    row = AVERAGES[written.name]
    if row.snapshots:
        raise StrategyError(
            f"average: {row.name} needs the checkpoints of its whole window: average them after training, with"
            f" hf-strategies average RUN_DIR --{row.name}; tail(over=0.5) is the same for a linear curve"
        )
    if written.positional:
        name = next(iter(row.parameters), "name")
        raise StrategyError(
            f"average: {row.name} takes its values by name: write {row.name}({name}={written.positional[0]!r})"
        )
    given = written.bound([*row.parameters], signature(row))
    values = {key: _value(row, key, given) for key in row.parameters}
    average = Average(row, values)
    average.plan(total_steps=1, steps_per_epoch=_LONG_EPOCH).coefficients(
        1
    )  # raises if the values do not fit together
    return average


def _value(row: AverageRow, key: str, given: Mapping[str, Any]) -> Any:
    parameter = row.parameters[key]
    value = given.get(key, parameter.default)
    if value is ...:
        raise StrategyError(f"average: {row.name} needs {key}, {parameter.help}: {signature(row)}")
    return parameter.read(key, value)


def _resolved(key: str, parameter: Parameter, value: Any, total_steps: int, steps_per_epoch: float | None) -> Any:
    if isinstance(parameter, Length) and isinstance(value, Span):
        return parameter.resolve(key, value, total_steps, steps_per_epoch)
    return value


def _text(value: object) -> str:
    """Write a value so that reading it returns the same: a whole number without its point."""
    return repr(int(value)) if isinstance(value, float) and value == int(value) else repr(value)


def _check_count(n: int) -> None:
    if n < 1:
        raise StrategyError(f"n={n!r} counts the averaged updates: give at least 1")
