"""Labels that may mean several things: none at all or a class, a number or a name, one label or several."""

import math
import re
import shlex
from collections import Counter
from collections.abc import Mapping
from typing import Any

from datasets import ClassLabel

from hf_strategies.errors import StrategyError
from hf_strategies.finetune.text_classification.columns import (
    NAN,
    NUMBER,
    WHOLE,
    LabelColumn,
    class_names,
    is_blank,
    plain,
)

__all__ = ["check_joined", "check_numbers", "check_separator", "dash_is_none", "minus_one_is_none", "missing_rows"]

_SEPARATORS = "|,;"
_NUMBERS_WITH_COMMAS = re.compile(r"[-+]?[0-9]+(,[0-9]+)*")


def minus_one_is_none(columns: Mapping[str, LabelColumn], *, named_kind: bool) -> bool:
    """Return whether -1 stands for "no label" in a column of classes, as in data sets with hidden labels.

    It does unless the training set has -1 as one of its classes, all of which are whole numbers, as in -1 and 1.
    Beside 0, 1, 2 and so on it does as well. Beside 0 and 1 alone it may be either: then it is a class if the user
    has named the kind of labels, and else a `StrategyError` is raised.
    """
    deciding = [columns["train"]] if "train" in columns else list(columns.values())
    names = {plain(value) for column in deciding for value in column.values if not is_blank(value)}
    others = names - {"-1"}
    if "-1" not in names or not all(map(WHOLE.fullmatch, others)) or class_names(deciding[0]):
        return True
    if others == {"0", "1"} and not named_kind:
        raise StrategyError(
            f"label_column={deciding[0].name!r} has -1 beside 0 and 1, as a class or for no label: give"
            " --problem_type single_label_classification if it is a class, else empty these labels or drop their rows"
        )
    return len(others) > 2 and others == set(map(str, range(len(others))))


def dash_is_none(columns: Mapping[str, LabelColumn]) -> bool:
    """Return whether ``-`` stands for "no label" in a column of names, as in SNLI's files.

    It does beside at least two labels that are words. Beside ``+`` or other signs it is a class.
    """
    deciding = [columns["train"]] if "train" in columns else list(columns.values())
    names = {plain(value) for column in deciding for value in column.values if not is_blank(value)}
    others = names - {"-"}
    return len(others) > 1 and all(any(map(str.isalnum, name)) for name in others)


def missing_rows(
    column: LabelColumn, *, none: bool, is_number: bool, may_be_empty: bool, dash: bool = False
) -> set[int]:
    """Return the numbers of the rows without a label.

    These are None, an empty text unless ``may_be_empty``, and NaN, or the text of it, unless ``is_number``. With
    ``none``, and where the data set names its classes, -1 and a list of nothing else are no label either; with
    ``dash`` neither is ``-``.
    """
    hidden: set[Any] = {-1, "-1", "-1.0"} if none or isinstance(column.entry, ClassLabel) else set()
    hidden |= {"-"} if dash else set()
    hidden |= set() if is_number else NAN

    def is_missing(value: Any) -> bool:
        if isinstance(value, list):
            return bool(value) and all(isinstance(entry, int | str) and entry in hidden for entry in value)
        if isinstance(value, dict):
            return False  # an error, which the reader of the labels raises
        if isinstance(value, float) and math.isnan(value):
            return not is_number
        return (value is None and not (may_be_empty and column.untyped)) or (
            value is not None and (value in hidden or (is_blank(value) and not may_be_empty))
        )

    return {row for row, value in enumerate(column.values) if is_missing(value)}


def check_numbers(column: LabelColumn) -> None:
    """Raise `StrategyError` for texts of which it is not clear whether they are numbers.

    These are numbers with commas, which may be decimal commas or stand between several labels; and a few other texts
    among fractions, which would make a class of each fraction.
    """
    texts = {
        place: value.strip()
        for place, value in enumerate(column.values)
        if isinstance(value, str) and not is_blank(value) and value.strip() not in NAN
    }
    remedy = "or --problem_type single_label_classification if each is a class"
    commas = [place for place, text in texts.items() if "," in text]
    if commas and all(map(_NUMBERS_WITH_COMMAS.fullmatch, texts.values())):
        raise column.refuse(
            commas[0],
            "write a decimal point if it is a number, or give --problem_type multi_label_classification"
            f" --label_separator , if it is several labels, {remedy}",
        )
    others = [place for place, text in texts.items() if not NUMBER.fullmatch(text)]
    has_fractions = any(NUMBER.fullmatch(text) and not WHOLE.fullmatch(text) for text in texts.values())
    if has_fractions and 0 < len(others) < len(texts) / 2:
        raise column.refuse(others[0], f"most labels are numbers: correct it, empty it for no label, {remedy}")


def check_joined(column: LabelColumn) -> None:
    """Raise `StrategyError` for names that seem to be several labels in one text, such as ``joy|love``.

    They do where the texts have more combinations than parts, where every part of at least half of those that have
    the sign stands in another label too, or where two or more have a part that is a label by itself. So
    ``Arts, Crafts`` beside ``Sport`` is one name, and so is ``yes, mostly`` beside ``yes``.
    """
    places = reversed(list(enumerate(column.values)))
    texts = {value.strip(): place for place, value in places if isinstance(value, str)}  # the first place of each
    for sign in _SEPARATORS:
        parts = {text: {part.strip() for part in text.split(sign)} for text in texts}
        if not (joined := _joined_texts(parts)):
            continue
        separator = "" if sign == column.separator else f" --label_separator {shlex.quote(sign)}"
        raise column.refuse(
            min(texts[text] for text in joined),
            f"{len(texts)} different labels are made of {len(set().union(*parts.values()))} parts with {sign!r}"
            f" between: give --problem_type multi_label_classification{separator} if each part is a label, or"
            " --problem_type single_label_classification if each whole text is one",
        )


def _joined_texts(parts: Mapping[str, set[str]]) -> list[str]:
    """Return the texts that seem to be several labels; ``parts`` are those of all texts (see `check_joined`)."""
    counts = Counter(part for each in parts.values() for part in each)
    joined = [text for text, each in parts.items() if len(each) > 1]
    combined = [text for text in joined if all(counts[part] > 1 for part in parts[text])]
    with_label = [text for text in joined if not parts[text].isdisjoint(parts)]
    if joined and (len(parts) > len(counts) or 2 * len(combined) >= len(joined) or len(with_label) > 1):
        return combined or joined
    return []


def check_separator(column: LabelColumn) -> None:
    """Raise `StrategyError` if no label has the default separator, but some have another sign that may be one."""
    if column.holds_lists:
        return
    texts = {place: value for place, value in enumerate(column.values) if isinstance(value, str)}
    if any(column.separator in text for text in texts.values()):
        return
    for place, text in texts.items():
        for sign in ",;":
            if sign in text:
                raise column.refuse(
                    place,
                    f"no label has {column.separator!r}, which separates several labels: give --label_separator"
                    f" {sign!r} if these are several, or --label_separator {column.separator!r} if they are one",
                )
