"""The columns of a test set that a recipe does not use, for the predictions: an id, a source, a date."""

import math
from collections.abc import Collection, Iterator, Sequence
from typing import Any

from datasets import Dataset

__all__ = ["given_columns"]


def given_columns(rows: Dataset | None, numbers: Sequence[int], names: Collection[str]) -> Iterator[dict[str, Any]]:
    """Yield for each row that is predicted its other columns, as JSON has them.

    ``rows`` are the rows as they stand in the file, and ``numbers`` those that are predicted. A
    column with one of the ``names`` that the predictions have themselves gets ``given_`` in front.

    >>> rows = Dataset.from_dict({"id": ["a", "b"], "prediction": [1, 2]})
    >>> list(given_columns(rows, [1], names={"prediction"}))
    [{'id': 'b', 'given_prediction': 2}]
    """
    if rows is None or not rows.column_names:
        yield from ({} for _ in numbers)
        return
    for row in rows.select(list(numbers)):
        yield {f"given_{name}" if name in names else name: _plain(value) for name, value in row.items()}


def _plain(value: Any) -> Any:
    """Return a value as JSON has it: what JSON lacks, such as a date, as text, and NaN as null."""
    if isinstance(value, dict):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if value is None or isinstance(value, (str, int, float)) else str(value)
