"""Excel files, whose cells are read as texts like those of a csv file."""

import datetime
import io
import zipfile
from importlib.util import find_spec
from typing import Any

from datasets import Dataset

from hf_strategies.finetune.command_line import notify
from hf_strategies.finetune.tables.file import ReadingRules, TableFile
from hf_strategies.finetune.tables.separated import Record, table_of_texts

__all__ = ["read_excel"]


def read_excel(file: TableFile, rules: ReadingRules) -> Dataset:
    """Read the first sheet of an Excel file; the rules on rows and columns are those of `table_of_texts`.

    A number becomes the shortest text that stands for it, ``7`` and not ``7.0``, and a date its ISO form. Rows
    without any value are left out.
    """
    if find_spec("openpyxl") is None:
        raise file.refuse(
            "is an Excel file, which needs openpyxl: pip install 'hf-strategies[excel]', or save as csv"
        )
    import pandas

    content = file.read_bytes()
    try:
        sheets = pandas.read_excel(
            io.BytesIO(content), sheet_name=None, header=None, dtype=object, na_filter=False, engine="openpyxl"
        )
    except (ValueError, KeyError, OSError, zipfile.BadZipFile) as mistake:
        raise file.unreadable(mistake) from mistake
    name, frame = next(iter(sheets.items()))
    if len(sheets) > 1:
        notify(f"{file.flag}={str(file.path)!r} has {len(sheets)} sheets: only the first, {name!r}, is read.")
    return table_of_texts(file, records_of_cells(frame.to_numpy().tolist()), rules.column_names)


def records_of_cells(rows: list[list[Any]]) -> list[Record]:
    """Return the rows of a sheet, numbered from 1 on, with a text for each cell; rows without any value are left out.

    >>> records_of_cells([["text", "stars"], ["", None], ["007", 2.0]])
    [(1, ['text', 'stars']), (3, ['007', '2'])]
    """
    records = [(number, [_text(cell) for cell in row]) for number, row in enumerate(rows, start=1)]
    return [(number, cells) for number, cells in records if any(cells)]


def _text(cell: Any) -> str:
    if cell is None or cell != cell:  # NaN alone differs from itself
        return ""
    if isinstance(cell, bool):
        return str(cell).upper()
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    if isinstance(cell, datetime.datetime) and cell.time() == datetime.time():
        return str(cell.date())
    return str(cell)
