"""Reading of a label column: a name, a number or a list of names for each example."""

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

from datasets import ClassLabel, Value

from hf_strategies.errors import StrategyError

__all__ = ["LabelColumn", "class_names", "read_name_lists", "read_names", "read_numbers"]


class LabelColumn(NamedTuple):
    """A column of labels of a split as it was loaded, with the ``feature`` that `datasets` gives it.

    ``separator`` stands between the names of several labels in one text.
    """

    name: str
    split: str
    values: list[Any]
    feature: Any
    separator: str = "|"

    @property
    def holds_lists(self) -> bool:
        """Whether each value is a list."""
        return hasattr(self.feature, "feature")

    @property
    def holds_fractions(self) -> bool:
        """Whether the values are numbers that need not be whole."""
        return isinstance(self.feature, Value) and self.feature.dtype.startswith(("float", "double", "decimal"))

    def refuse(self, row: int, what: str) -> StrategyError:
        """Return the error for the value of ``row``; ``what`` is the reason and the remedy."""
        return StrategyError(f"row {row} of the {self.split} split has {self.name!r} = {self.values[row]!r}: {what}")


def read_names(column: LabelColumn) -> list[str]:
    """Return the label of each row as a name; `StrategyError` for lists of labels."""
    if column.holds_lists:
        raise StrategyError(
            f"label_column={column.name!r} holds lists: give --problem_type multi_label_classification, or one label"
        )
    return [_name(column.feature, value) for value in column.values]


def read_numbers(column: LabelColumn) -> list[float]:
    """Return the label of each row as a finite number; `StrategyError` for any other value."""
    numbers = []
    for row, name in enumerate(_name(column.feature, value) for value in column.values):
        try:
            number = float(name)
        except ValueError:
            raise column.refuse(row, "regression needs numbers; give them, or another --problem_type") from None
        if not math.isfinite(number):
            raise column.refuse(row, "regression needs finite numbers: correct it or drop the row")
        numbers.append(number)
    return numbers


def read_name_lists(column: LabelColumn) -> list[list[str]]:
    """Return the labels of each row, from a list of names or a text with the column's separator; maybe none.

    Raises `StrategyError` for a missing list and for lists of values that are not names.
    """
    if not column.holds_lists:
        return [list(_split_names(_name(column.feature, value), column.separator)) for value in column.values]
    feature = column.feature.feature
    dtype = str(getattr(feature, "dtype", "lists"))
    if dtype.startswith(("float", "double", "bool", "lists", "list", "struct")):
        raise StrategyError(
            f"label_column={column.name!r} holds lists of {dtype}: give lists of the names of the labels that an"
            " example has"
        )
    return [_names_in(column, row, feature) for row in range(len(column.values))]


def class_names(column: LabelColumn) -> list[str]:
    """Return the names that a data set declares for the column's labels, in their order; [] if it declares none."""
    feature = column.feature.feature if column.holds_lists else column.feature
    return list(feature.names) if isinstance(feature, ClassLabel) else []


def _names_in(column: LabelColumn, row: int, feature: Any) -> list[str]:
    values = column.values[row]
    if values is None or None in values:
        raise column.refuse(row, "a label is missing: fill it, give [] for no label, or drop the row")
    return list(dict.fromkeys(_name(feature, value) for value in values))


def _name(feature: Any, value: Any) -> str:
    if isinstance(feature, ClassLabel) and isinstance(value, int):
        return str(feature.int2str(value))
    if isinstance(value, float) and value.is_integer():
        return str(int(value))  # a gap turns a column of whole numbers into one of fractions
    return "" if value is None else str(value)


def _split_names(text: str, separator: str) -> Iterator[str]:
    yield from dict.fromkeys(name.strip() for name in text.split(separator) if name.strip())
