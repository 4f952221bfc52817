"""The test set as it stands in the user's file, for the predictions: an id, a date, the texts themselves."""

import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from datasets import Dataset, DatasetDict

__all__ = ["ROW", "GivenRows"]

ROW = "row"
"""The column of the number of the row in its file, which data have until their splits are made."""


@dataclass(frozen=True)
class GivenRows:
    """The rows of the user's file that are predicted, with all of their columns.

    ``rows`` are all rows of the file, and ``numbers`` those that are predicted, in their order. ``truth`` are the
    columns that hold what is to be predicted.
    """

    rows: Dataset
    numbers: Sequence[int]
    truth: Collection[str] = ()

    @classmethod
    def of(cls, raw: DatasetDict, splits: DatasetDict, truth: Collection[str]) -> "GivenRows | None":
        """Return the rows of the test set in ``splits``, as they stand in ``raw``; None if there is no test set.

        A test set that ``raw`` does not have is a fold of the training set.
        """
        if "test" not in splits:
            return None
        return cls(raw["test" if "test" in raw else "train"], splits["test"][ROW][:], truth)

    def lines(self, made: Iterable[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
        """Yield each row with what the recipe has ``made`` of it, as JSON has them.

        Where both have an entry of the same name, a column of the truth gives way to the truth as the recipe has
        read it, and any other column gets ``given_`` in front.

        >>> rows = Dataset.from_dict({"id": ["a", "b"], "label": [0, 1], "prediction": [1, 2]})
        >>> given = GivenRows(rows, [1], truth={"label"})
        >>> list(given.lines([{"label": "good", "prediction": "bad"}]))
        [{'id': 'b', 'given_prediction': 2, 'label': 'good', 'prediction': 'bad'}]
        """
        rows = self.rows.select(list(self.numbers)) if self.rows.column_names else [{}] * len(self.numbers)
        for row, line in zip(rows, made, strict=True):
            kept = {name: _plain(value) for name, value in row.items() if name not in self.truth or name not in line}
            yield {**{f"given_{name}" if name in line else name: value for name, value in kept.items()}, **line}


def _plain(value: Any) -> Any:
    """Return a value as JSON has it: what JSON lacks, such as a date, as text, and NaN as null."""
    if isinstance(value, dict):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if value is None or isinstance(value, (str, int, float)) else str(value)
