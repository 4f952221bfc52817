"""Tables of text: csv and tsv files, whose cells are read as they stand in the file."""

import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

import pyarrow as pa
from datasets import Dataset, DatasetInfo

from hf_strategies.finetune.command_line import notify
from hf_strategies.finetune.tables.file import ReadingRules, TableFile

__all__ = ["is_untyped", "read_separated", "table_of_texts"]

_SEPARATORS = ",;\t|"
_SAMPLED = 20  # rows in which a separator is looked for
_EXCEL_SEPARATOR = re.compile(r"sep=(.)\r?\n")
_LARGEST_FIELD = 2**31 - 1

Record = tuple[int, list[str]]
"""The number of a line, from 1 on, and the cells of the row that begins there."""


def read_separated(file: TableFile, rules: ReadingRules) -> Dataset:
    """Read a csv or tsv file; each cell is text as it stands in the file, and an empty cell is missing.

    In a csv file, text in double quotes may hold the separator and line ends, and ``""`` stands for a quote. In a tsv
    file a quote is a letter like any other. The separator of a csv file is the one of ``, ; | tab`` that its first
    line has, unless the rules name it; that of a tsv file is the tab. Where a blank follows each separator of
    the first line of a csv file, blanks after separators are left out in all lines. Empty lines are left out.

    Raises `StrategyError`, with the numbers of the row and of the line, for a row with more or fewer cells than the
    header, and as `table_of_texts` does.
    """
    text = file.read_text(rules.encoding)
    quoted = file.ending == ".csv"
    first_line = 1
    if quoted and (named := _EXCEL_SEPARATOR.match(text)):
        text, first_line = text[named.end() :], 2
        rules = ReadingRules(rules.encoding, rules.separator or named[1], rules.column_names)
    separator = rules.separator or (_sniff(text, rules.column_names) if quoted else "\t")
    records = _without_empty_lines(_records(file, text, separator, quoted=quoted, first_line=first_line))
    if not quoted:
        _warn_of_quoted_cells(file, records)
    return table_of_texts(file, records, rules.column_names, separator)


def table_of_texts(
    file: TableFile, records: Sequence[Record], column_names: Sequence[str] | None, separator: str = ""
) -> Dataset:
    """Return the rows of a table of texts, whose first record is the header unless there are ``column_names``.

    An empty cell is missing. Left out are columns without a name that are empty, and a first column without a name
    (or with pandas' name for one, ``Unnamed: 0``) that numbers the rows. `is_untyped` is true of the result.

    Raises `StrategyError` for a row with more or fewer cells than there are columns, for a name that two columns
    have, and for no row at all.
    """
    if column_names is not None:
        _check_names(file, records, column_names)
    names = list(column_names) if column_names else [name.strip() for name in (records[0][1] if records else ())]
    rows = records if column_names else records[1:]
    if not rows:
        raise file.refuse("is empty: give at least one example")
    _check_widths(file, rows, names, "column_names" if column_names else "the header", separator)
    columns = dict(_named_columns(file, names, [cells for _, cells in rows]))
    arrays = {name: pa.array([cell or None for cell in cells], pa.string()) for name, cells in columns.items()}
    return Dataset(pa.table(arrays), info=DatasetInfo(builder_name="csv"))


def is_untyped(rows: Dataset) -> bool:
    """Return whether all columns are texts because their file knows no other type."""
    return bool(rows.builder_name == "csv")


def _records(file: TableFile, text: str, separator: str, *, quoted: bool, first_line: int = 1) -> Iterator[Record]:
    reader = _reader(text, separator, quoted=quoted, spaced=quoted and _is_spaced(text, separator))
    while True:
        line = reader.line_num + first_line
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as mistake:
            remedy = 'close each quote, and write a quote within quotes as ""'
            raise file.unreadable(f"the row that begins in line {line}: {mistake}", remedy) from mistake
        yield line, cells


def _is_spaced(text: str, separator: str) -> bool:
    """Return whether a blank follows each separator of the first line: otherwise quotes after it would be letters."""
    reader = _reader(text, separator, quoted=True, strict=False)
    cells: list[str] = next((row for row in reader if row), [])
    return len(cells) > 1 and all(cell.startswith(" ") for cell in cells[1:])


def _reader(text: str, separator: str, *, quoted: bool, strict: bool = True, spaced: bool = False) -> Any:
    csv.field_size_limit(_LARGEST_FIELD)  # the default of 128 KiB refuses long documents
    lines = io.StringIO(text, newline="")
    if quoted:
        return csv.reader(lines, delimiter=separator, strict=strict, skipinitialspace=spaced)
    return csv.reader(lines, delimiter=separator, quoting=csv.QUOTE_NONE)


def _sniff(text: str, names: Sequence[str] | None) -> str:
    """Return the separator in the first line; of several, one that gives the first rows equal numbers of cells."""
    ranked = []
    for separator in _SEPARATORS:
        cells = [len(row) for row in islice(_reader(text, separator, quoted=True, strict=False), _SAMPLED) if row]
        if cells and (cells[0] == len(names) if names else cells[0] > 1):
            ranked.append((len(set(cells)) == 1, cells[0], -_SEPARATORS.index(separator)))
    return _SEPARATORS[-max(ranked)[2]] if ranked else ","


def _without_empty_lines(records: Iterable[Record]) -> list[Record]:
    """Leave out the empty lines of a table; those of a table with one column are empty cells, but for the last."""
    kept = list(records)
    while kept and not "".join(kept[-1][1]).strip():
        kept.pop()
    if kept and len(kept[0][1]) == 1:
        return [(line, cells or [""]) for line, cells in kept]
    return [(line, cells) for line, cells in kept if cells and (len(cells) > 1 or cells[0].strip())]


def _warn_of_quoted_cells(file: TableFile, records: Sequence[Record]) -> None:
    """Print a line if a program seems to have put cells in quotes because they hold a quote."""
    doubled = re.compile(r'"(?:[^"]|"")*""(?:[^"]|"")*"')
    count = sum(1 for _, cells in records for cell in cells if doubled.fullmatch(cell))
    if count:
        notify(
            f"{file.flag}={str(file.path)!r}: {count} cells are in quotes and have doubled quotes in them, which are"
            " read as they stand, for in a .tsv file a quote is a letter. If they are marks of a table, end the name"
            " in .csv"
        )


def _check_names(file: TableFile, records: Sequence[Record], column_names: Sequence[str]) -> None:
    if not records:
        return
    line, cells = records[0]
    if [cell.strip().casefold() for cell in cells] == [name.casefold() for name in column_names]:
        raise file.refuse(f"has the column_names {list(column_names)} in line {line}: leave out --column_names")
    notify(
        f"{file.flag}={str(file.path)!r} is read without a header, because of column_names: its first row is"
        f" {str(cells)[:80]}"
    )


def _check_widths(file: TableFile, rows: Sequence[Record], names: Sequence[str], what: str, separator: str) -> None:
    for row, (line, cells) in enumerate(rows):
        if len(cells) == len(names):
            continue
        remedies = {
            ".csv": f", put text that holds {separator!r} in double quotes, or name another --separator",
            ".tsv": ", or end the name in .csv if its double quotes hold text with tabs or line ends together",
        }
        has = f"{len(cells)} field{'s' * (len(cells) != 1)}"
        remedy = f"give each row as many{remedies.get(file.ending, '')}"
        raise file.refuse(f"has {has} in row {row} (line {line}) and {len(names)} in {what}: {remedy}")


def _named_columns(
    file: TableFile, names: Sequence[str], rows: Sequence[Sequence[str]]
) -> Iterator[tuple[str, Sequence[str]]]:
    if len(set(named := [name for name in names if name])) < len(named):
        twice = next(name for name in named if named.count(name) > 1)
        raise file.refuse(f"has two columns {twice!r}: rename one, or give --column_names if there is no header")
    for place, (name, cells) in enumerate(zip(names, zip(*rows, strict=True), strict=True)):
        nameless = name in ("", f"Unnamed: {place}")
        if nameless and (not any(cells) or (place == 0 and len(names) > 1 and _numbers_rows(cells))):
            continue
        yield name or f"Unnamed: {place}", cells


def _numbers_rows(cells: Sequence[str]) -> bool:
    return len(set(cells)) == len(cells) and all(re.fullmatch("[0-9]+", cell) for cell in cells)
