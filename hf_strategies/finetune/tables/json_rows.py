"""JSON files: a list of rows, a row on each line, or an object of columns."""

import json
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
from datasets import Dataset, DatasetInfo, Features, Value

from hf_strategies.finetune.tables.file import ReadingRules, TableFile

__all__ = ["read_json", "rows_of_json"]

Row = dict[str, Any]

_FORMS = "give a list of objects, one object on each line, or one object of columns"
_SCALARS = (str, int, float)  # a bool is an int


def read_json(file: TableFile, rules: ReadingRules) -> Dataset:
    """Read a json, jsonl or ndjson file.

    It holds a list of rows, a row on each line, or one object. Such an object holds columns, as lists or as pandas
    writes them, or its ``data`` is the list of rows; any other is a single row.

    A row is an object; where all rows are texts, they become the column ``text``. A key that a row lacks is a missing
    value, and so is NaN among texts. A column of texts and of other scalars becomes one of texts, each as it stands
    in the file.

    Raises `StrategyError`, with the number of the row, for another form, and for what JSON or a column cannot hold.
    """
    rows = _as_objects(file, rows_of_json(file, rules))
    if not rows:
        raise file.refuse("is empty: give at least one example")
    names = dict.fromkeys(name for row in rows for name in row)
    columns = {name: _column(file, name, [row.get(name) for row in rows]) for name in names}
    features = Features({name: feature for name, (_, feature) in columns.items()})
    table = pa.table({name: values for name, (values, _) in columns.items()})
    return Dataset(table, info=DatasetInfo(features=features, builder_name="json"))


def rows_of_json(file: TableFile, rules: ReadingRules) -> list[Any]:
    """Return the rows of a file as they stand in it, whatever their type."""
    text = file.read_text(rules.encoding).strip()
    if not text:
        return []
    # A .json file may have a row on each line, and a .jsonl file may be one list or object over several lines.
    forms = [_whole, _lines] if file.ending == ".json" else [_lines, _whole]
    mistakes = []
    for read in forms:
        try:
            return read(file, text)
        except _SyntaxError as mistake:
            mistakes.append(mistake)
    raise file.unreadable(max(mistakes, key=lambda mistake: mistake.row))


class _SyntaxError(ValueError):
    """Text that is no JSON, in the row with the number ``row``."""

    def __init__(self, message: str, row: int) -> None:
        super().__init__(message)
        self.row = row


def _parse(file: TableFile, text: str, where: str, row: int = 0) -> Any:
    try:
        return json.loads(text)
    except RecursionError as mistake:
        raise file.unreadable(f"{where} is nested too deeply") from mistake
    except ValueError as mistake:  # no JSON, or a number with more digits than Python reads
        raise _SyntaxError(f"{where}: {mistake}", row) from mistake


def _lines(file: TableFile, text: str) -> list[Any]:
    filled = [(number, line) for number, line in enumerate(text.split("\n"), start=1) if line.strip()]
    return [_parse(file, line, f"row {row} (line {number})", row) for row, (number, line) in enumerate(filled)]


def _whole(file: TableFile, text: str) -> list[Any]:
    return _rows_of_value(file, _parse(file, text, "row 0"))


def _rows_of_value(file: TableFile, value: Any) -> list[Any]:
    if isinstance(value, list):
        return value
    if not isinstance(value, dict):
        raise file.refuse(f"holds {_kind(value)}: {_FORMS}")
    if isinstance(value.get("data"), list) and not isinstance(value.get("columns"), list):
        return list(value["data"])
    if value.keys() in ({"columns", "index", "data"}, {"columns", "data"}):  # pandas' orient="split"
        return [dict(zip(value["columns"], cells, strict=False)) for cells in value["data"]]
    if value and all(isinstance(column, dict) for column in value.values()):  # pandas' default
        keys = dict.fromkeys(key for column in value.values() for key in column)
        value = {name: [column.get(key) for key in keys] for name, column in value.items()}
    if not value or not all(isinstance(column, list) for column in value.values()):
        return [value] if value else []
    lengths = {name: len(column) for name, column in value.items()}
    if len(set(lengths.values())) > 1:
        raise file.refuse(f"is an object of columns of different lengths, {lengths}: give each as many values")
    return [dict(zip(value, cells, strict=True)) for cells in zip(*value.values(), strict=True)]


def _as_objects(file: TableFile, rows: Sequence[Any]) -> list[Row]:
    if rows and all(isinstance(row, str) for row in rows):
        return [{"text": row} for row in rows]
    for number, row in enumerate(rows):
        if not isinstance(row, dict):
            raise file.refuse(f"has {_kind(row)} for row {number}: {_FORMS}")
    return list(rows)


def _kind(value: Any) -> str:
    names = {list: "a list", dict: "an object", str: "a text", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")


def _as_text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value) if value == value else None  # NaN, which pandas has for a missing text


def _column(file: TableFile, name: str, values: list[Any]) -> tuple[pa.Array, Any]:
    """Return a column with its feature."""
    try:
        array = pa.array(values, from_pandas=False)
        return array, Features.from_arrow_schema(pa.schema([(name, array.type)]))[name]
    except (pa.ArrowException, ValueError, OverflowError):
        pass
    kinds = {type(value) for value in values if value is not None}
    if str in kinds and kinds <= {*_SCALARS, bool}:
        values = [_as_text(value) for value in values]
    try:
        if kinds <= {*_SCALARS, bool}:
            return pa.array(values, pa.string() if str in kinds else None), Value("string")
        mixed = Dataset.from_dict({name: values}, on_mixed_types="use_json")
        return mixed.data.column(name).combine_chunks(), mixed.features[name]
    except (pa.ArrowException, ValueError, TypeError, OverflowError, RecursionError) as mistake:
        raise file.refuse(
            f"has in {name!r} what no column can hold ({mistake}): give values of one type, and text that is Unicode"
        ) from mistake
