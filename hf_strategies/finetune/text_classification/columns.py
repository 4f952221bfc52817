"""Reading of label columns: a name, a number or several names for each example."""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from datasets import ClassLabel, Dataset, List, Value

from hf_strategies.errors import StrategyError
from hf_strategies.finetune.tables.lists import parse_list
from hf_strategies.finetune.tables.separated import is_untyped

__all__ = [
    "NAN",
    "NUMBER",
    "WHOLE",
    "LabelColumn",
    "class_names",
    "is_blank",
    "label_columns",
    "plain",
    "read_name_lists",
    "read_names",
    "read_numbers",
]

WHOLE = re.compile(r"[-+]?(0|[1-9][0-9]*)")
"""A whole number as text, without leading zeros."""

NUMBER = re.compile(r"[-+]?((0|[1-9][0-9]*)(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]+)?")
"""A number as text, without leading zeros."""

NAN = {"nan", "NaN"}
"""What pandas and numpy write for a missing text."""

_SWITCHES = {"0": 0, "1": 1, "0.0": 0, "1.0": 1, "false": 0, "true": 1}


class LabelColumn(NamedTuple):
    """A column of labels of a split, with the ``feature`` that `datasets` gives it.

    ``separator`` stands between the names of several labels in one text. ``untyped`` is whether the file knows only
    texts, so that ``"1.5"`` may be a number. ``rows`` are the numbers of the rows in the split, where some are left
    out.
    """

    name: str
    split: str
    values: list[Any]
    feature: Any
    separator: str = "|"
    untyped: bool = False
    rows: Sequence[int] = ()

    @property
    def holds_lists(self) -> bool:
        """Whether each value is a list."""
        return hasattr(self.feature, "feature")

    @property
    def holds_fractions(self) -> bool:
        """Whether the values are numbers that need not be whole."""
        if self.untyped:
            texts = [text.strip() for text in self.values if not is_blank(text) and text.strip() not in NAN]
            are_numbers = bool(texts) and all(map(NUMBER.fullmatch, texts))
            return are_numbers and not all(map(WHOLE.fullmatch, texts))
        return isinstance(self.feature, Value) and self.feature.dtype.startswith(("float", "double", "decimal"))

    @property
    def entry(self) -> Any:
        """The feature of one label: of an entry of a list, or of the value itself."""
        return self.feature.feature if self.holds_lists else self.feature

    def select(self, rows: Sequence[int]) -> "LabelColumn":
        """Return the column with only these rows."""
        return self._replace(values=[self.values[row] for row in rows], rows=rows)

    def refuse(self, place: int, what: str) -> StrategyError:
        """Return the error for a value; ``what`` is the reason and the remedy."""
        row = self.rows[place] if self.rows else place
        return StrategyError(
            f"row {row} of the {self.split} split has {self.name!r} = {self.values[place]!r}: {what}"
        )


def label_columns(
    raw: Mapping[str, Dataset], names: Sequence[str], separator: str, *, may_be_lists: bool
) -> dict[str, LabelColumn]:
    """Return the labels of each split that has all columns ``names``, with lists in whatever form they are given.

    Several columns of zeros and ones become lists of the names of those columns that are one. Lists of zeros and
    ones, all equally long, become lists of the places of the ones. With ``may_be_lists``, texts that are all written
    lists become lists. The training set decides which form it is, for all splits.

    Raises `StrategyError`, with the number of the row, for a value that is not of this form.
    """
    present = {split: rows for split, rows in raw.items() if set(names) <= set(rows.column_names)}
    if len(names) > 1:
        return {split: _switched_on(rows, split, names) for split, rows in present.items()}
    columns = {split: _single_column(rows, split, names[0], separator) for split, rows in present.items()}
    deciding = [columns["train"]] if "train" in columns else list(columns.values())
    if may_be_lists and deciding and all(map(_holds_written_lists, deciding)):
        columns = {split: _parsed(column) for split, column in columns.items()}
        deciding = [columns[column.split] for column in deciding]
    widths = {_one_hot_width(column) for column in deciding}
    if deciding and len(widths) == 1 and (width := widths.pop()):
        columns = {split: _places_of_ones(column, width) for split, column in columns.items()}
    return columns


def read_names(column: LabelColumn) -> list[str]:
    """Return the label of each row as a name; `StrategyError` for lists of labels."""
    if column.holds_lists:
        raise StrategyError(
            f"label_column={column.name!r} holds lists: give --problem_type multi_label_classification, or one label"
        )
    return [_name(column, place, value) for place, value in enumerate(column.values)]


def read_numbers(column: LabelColumn) -> list[float]:
    """Return the label of each row as a finite number; `StrategyError` for any other value."""
    numbers = []
    for place, value in enumerate(column.values):
        try:
            number = float(_name(column, place, value))
        except ValueError:
            raise column.refuse(place, "regression needs numbers; give them, or another --problem_type") from None
        if not math.isfinite(number):
            raise column.refuse(place, "regression needs finite numbers: correct it or drop the row")
        numbers.append(number)
    return numbers


def read_name_lists(column: LabelColumn) -> list[list[str]]:
    """Return the labels of each row, from a list of names or a text with the column's separator; maybe none.

    Raises `StrategyError` for a missing list and for lists of values that are not names.
    """
    if not column.holds_lists:
        return [_split_names(column, place) for place in range(len(column.values))]
    dtype = str(getattr(column.entry, "dtype", "lists"))
    if dtype.startswith(("float", "double", "bool", "lists", "list", "struct")):
        raise StrategyError(
            f"label_column={column.name!r} holds lists of {dtype}: give lists of the names of the labels that an"
            " example has, or lists of zeros and ones that are all equally long"
        )
    return [_names_in(column, place) for place in range(len(column.values))]


def class_names(column: LabelColumn) -> list[str]:
    """Return the names that a data set declares for the column's labels, in their order; [] if it declares none."""
    return list(column.entry.names) if isinstance(column.entry, ClassLabel) else []


def _single_column(rows: Dataset, split: str, name: str, separator: str) -> LabelColumn:
    return LabelColumn(name, split, rows[name][:], rows.features[name], separator, is_untyped(rows))


def _switched_on(rows: Dataset, split: str, names: Sequence[str]) -> LabelColumn:
    """Return the places in ``names`` of the columns that are one in each row; None where one of them is missing."""
    switches = []
    for name in names:
        column = LabelColumn(name, split, rows[name][:], rows.features[name])
        switches.append([_switch(column, place) for place in range(len(rows))])
    values = [
        None if None in row else [place for place, is_on in enumerate(row) if is_on]
        for row in zip(*switches, strict=True)
    ]
    return LabelColumn(", ".join(names), split, values, List(ClassLabel(names=list(names))))


def _switch(column: LabelColumn, place: int) -> int | None:
    """Return a value that is zero or one; None for a missing one, which some data sets mark with -1."""
    value = column.values[place]
    text = str(value).strip().lower()
    if value is None or text in ("", "-1", "-1.0", "nan"):
        return None
    if text not in _SWITCHES:
        raise column.refuse(place, "of several label columns each holds 0 or 1: correct it, or name one column")
    return _SWITCHES[text]


def _holds_written_lists(column: LabelColumn) -> bool:
    """Return whether the texts are written lists: all are in brackets, or at least one is a list of names.

    A text in brackets that cannot be read as a list is then an error.
    """
    if not isinstance(column.feature, Value) or column.feature.dtype not in ("string", "large_string"):
        return False
    texts = [value.strip() for value in column.values if not is_blank(value)]
    lists = [parse_list(text) for text in texts]
    has_names = any(isinstance(entry, str) for entries in lists for entry in entries or ())
    return has_names or (bool(texts) and all(text[0] == "[" and text[-1] == "]" for text in texts))


def _parsed(column: LabelColumn) -> LabelColumn:
    """Return the column with the lists that its texts write."""
    values: list[list[Any] | None] = []
    for place, text in enumerate(column.values):
        entries = None if is_blank(text) else parse_list(str(text))
        if entries is None and not is_blank(text):
            others = "" if str(text).strip().startswith("[") else "the other labels are lists: "
            raise column.refuse(
                place,
                f"{others}write it as ['a', 'b'], and [] for no label, or give --problem_type"
                " single_label_classification if each text is one label",
            )
        values.append(entries)
    kinds = {type(entry) for entries in values for entry in entries or () if entry is not None}
    dtype = {int: "int64", float: "float64", bool: "bool"}.get(next(iter(kinds), str), "string")
    if len(kinds) > 1:
        dtype = "float64" if kinds == {int, float} else "string"
    return column._replace(values=values, feature=List(Value(dtype)), untyped=False)


def _one_hot_width(column: LabelColumn) -> int:
    """Return the length of the lists of a column of zeros and ones, at least 2; 0 for any other column."""
    if not column.holds_lists or not isinstance(column.entry, Value):
        return 0
    lists = [value for value in column.values if not _is_hidden_list(value)]
    if not lists:
        return 0
    width = len(lists[0])
    return width if width > 1 and all(_is_hot(entries, width) for entries in lists) else 0


def _is_hot(entries: list[Any], width: int) -> bool:
    return len(entries) == width and all(not isinstance(entry, str) and entry in (0, 1) for entry in entries)


def _is_hidden_list(entries: list[Any] | None) -> bool:
    """Return whether a list is missing, or has only -1, by which data sets mark hidden labels."""
    return entries is None or (bool(entries) and all(entry == -1 for entry in entries))


def _places_of_ones(column: LabelColumn, width: int) -> LabelColumn:
    values: list[list[int] | None] = []
    for place, entries in enumerate(column.values):
        if _is_hidden_list(entries):
            values.append(None)
        elif _is_hot(entries, width):
            values.append([index for index, entry in enumerate(entries) if entry])
        else:
            raise column.refuse(place, f"the other labels are lists of {width} zeros and ones: give as many")
    return column._replace(values=values, feature=List(ClassLabel(num_classes=width)))


def _names_in(column: LabelColumn, place: int) -> list[str]:
    values = column.values[place]
    if None in values:
        raise column.refuse(place, "a label is missing: fill it, give [] for no label, or drop the row")
    return list(dict.fromkeys(_name(column, place, value) for value in values))


def _name(column: LabelColumn, place: int, value: Any) -> str:
    feature = column.entry
    if isinstance(feature, ClassLabel) and isinstance(value, int):
        if not 0 <= value < feature.num_classes:
            raise column.refuse(place, f"the data set names {feature.num_classes} classes, from 0 on: correct it")
        return str(feature.int2str(value))
    if isinstance(value, float):
        return plain(value)  # a gap turns a column of whole numbers into one of fractions
    if isinstance(value, list | dict | bytes):
        raise column.refuse(place, "a label is a text or a number: give one")
    return "" if value is None else str(value)


def _split_names(column: LabelColumn, place: int) -> list[str]:
    text = _name(column, place, column.values[place]).strip()
    if text.startswith("[") and text.endswith("]"):
        raise column.refuse(place, f"write it as ['a', 'b'], or as a{column.separator}b")
    return list(dict.fromkeys(name.strip() for name in text.split(column.separator) if name.strip()))


def plain(value: Any) -> str:
    """Return a label as text, without blanks around it; a whole number has no point."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value).strip()


def is_blank(value: Any) -> bool:
    """Return whether a label is missing, or has no letters or signs."""
    return value is None or (isinstance(value, str) and not value.strip())
