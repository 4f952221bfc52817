"""What the labels of multiple-choice data mean: one meaning for all rows of all splits."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from hf_strategies.errors import StrategyError
from hf_strategies.finetune.command_line import notify
from hf_strategies.finetune.multiple_choice.columns import Choice

__all__ = ["label_indices"]

_Row = tuple[Choice, str]
"""A row and the name of its split."""

# With this many rows, at least one label is the index of the first or of the last ending in any real data set.
_ENOUGH_ROWS = 8


def label_indices(splits: Mapping[str, Sequence[Choice]]) -> dict[str, list[int]]:
    """Return the index of the right ending of each row, all of which have a label, by split.

    A label is an entry of ``choices.label``, if there are such entries; else a letter, an index or the text of an
    ending. Its meaning is the same for all rows. If there are few labels, and they may be indices from 0 or from 1,
    they are taken for indices from 0.

    Raises `StrategyError` if no meaning fits all rows, and if several meanings fit that make other endings right.
    """
    rows = [(row, split) for split, choices in splits.items() for row in choices]
    meanings = {name: [meaning(row) for row, _ in rows] for name, meaning in _MEANINGS.items()}
    fitting = {name: cast(list[int], indices) for name, indices in meanings.items() if None not in indices}
    if not fitting:
        best = min(meanings.values(), key=lambda indices: indices.count(None))
        raise _fits_none(*rows[best.index(None)])
    indices = iter(_chosen(fitting, rows))
    return {split: [next(indices) for _ in choices] for split, choices in splits.items()}


def _chosen(fitting: dict[str, list[int]], rows: Sequence[_Row]) -> list[int]:
    """Return the indices by the meaning that all labels have, out of those that fit."""
    if "name" in fitting:
        return fitting["name"]
    if {"index from 0", "index from 1"} <= set(fitting):
        if len(rows) >= _ENOUGH_ROWS:
            raise StrategyError(
                f"the labels may be indices from 0 or from 1, for of {len(rows)} labels none is 0 and none is the"
                " number of the endings: write letters from A instead"
            )
        notify("The labels are taken for indices from 0, though none is 0: write letters from A if they are from 1.")
        del fitting["index from 1"]
    (first, indices), *others = fitting.items()
    for name, other in others:
        for (row, split), one, another in zip(rows, indices, other, strict=True):
            if one != another:
                raise StrategyError(
                    f"label {row.label!r} (row {row.row} of the {split} split) may be the {first} or the {name} of an"
                    " ending: write letters from A instead"
                )
    if first == "index from 1":
        notify("The labels are taken for indices from 1, for none is 0 and some are the number of the endings.")
    return indices


def _fits_none(row: Choice, split: str) -> StrategyError:
    last = len(row.endings) - 1
    names = f"one of {', '.join(map(repr, row.names))}, " if row.names else ""
    return StrategyError(
        f"label {row.label!r} (row {row.row} of the {split} split) is none of its endings: give {names}an index from"
        f" 0 to {last}, a letter from A to {chr(ord('A') + min(last, 25))}, or the text of the ending, and the same"
        " in all rows"
    )


def _number(label: Any) -> int | None:
    if isinstance(label, float) and label.is_integer():
        return int(label)
    # A column of whole numbers with gaps becomes one of fractions, which a table writes as 1.0.
    match = None if isinstance(label, bool) else re.fullmatch(r"([0-9]{1,9})(\.0)?", str(label).strip())
    return int(match[1]) if match else None


def _text(label: Any) -> str:
    number = _number(label)
    return str(label).strip() if number is None or isinstance(label, str) else str(number)


def _in_range(index: int | None, row: Choice) -> int | None:
    return index if index is not None and 0 <= index < len(row.endings) else None


def _by_name(row: Choice) -> int | None:
    name = _text(row.label)
    return _in_range(row.names.index(name) if row.names.count(name) == 1 else None, row)


def _from_0(row: Choice) -> int | None:
    return _in_range(_number(row.label), row)


def _from_1(row: Choice) -> int | None:
    number = _number(row.label)
    return _in_range(None if number is None else number - 1, row)


def _by_letter(row: Choice) -> int | None:
    match = re.fullmatch(r"\(?([A-Z])[).:]?", _text(row.label))
    return _in_range(ord(match[1]) - ord("A") if match else None, row)


def _by_small_letter(row: Choice) -> int | None:
    letter = _text(row.label)
    is_text = letter in row.endings  # such as "a" among the words "a" and "the"
    return None if is_text or not re.fullmatch("[a-z]", letter) else _in_range(ord(letter) - ord("a"), row)


def _by_text(row: Choice) -> int | None:
    endings = [ending.strip() for ending in row.endings]
    text = row.label.strip() if isinstance(row.label, str) else None
    return endings.index(text) if text is not None and endings.count(text) == 1 else None


_MEANINGS: dict[str, Callable[[Choice], int | None]] = {
    "name": _by_name,
    "index from 0": _from_0,
    "letter": _by_letter,
    "small letter": _by_small_letter,
    "text": _by_text,
    "index from 1": _from_1,
}
