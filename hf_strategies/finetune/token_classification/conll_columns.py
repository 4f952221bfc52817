"""Which columns of a CoNLL file hold the words and the tags."""

import re
from collections.abc import Sequence
from itertools import chain
from typing import NamedTuple

from hf_strategies.errors import StrategyError, did_you_mean
from hf_strategies.finetune.token_classification.schemes import has_entities

__all__ = ["ConllColumns", "choose_columns", "counts_words", "is_number_of_a_word", "names_of_columns"]

_CONLLU = ("ID", "FORM", "LEMMA", "UPOS", "XPOS", "FEATS", "HEAD", "DEPREL", "DEPS", "MISC")
_HEADER = re.compile(r"#\s*global\.columns\s*=(.*)")
_NUMBER = re.compile(r"[0-9]{1,9}")
_OTHER_NUMBER = re.compile(r"[0-9]+[-.][0-9]+")  # several words (1-2), or a word that is not in the text (3.1)


class ConllColumns(NamedTuple):
    """The places of two columns, from 0; a file without tags has no ``tags``."""

    tokens: int
    tags: int | None


def names_of_columns(is_conllu: bool, comments: Sequence[str]) -> tuple[str, ...]:
    """Return the names of the columns of a file, from its header or, in a ``.conllu`` file, by CoNLL-U; else none.

    ``comments`` are the lines of the file that begin with ``#``.

    >>> names_of_columns(False, ["# text = Go!", "# global.columns = ID FORM NER"])
    ('ID', 'FORM', 'NER')
    """
    header = next((match for match in map(_HEADER.match, comments) if match), None)
    if header:
        return tuple(header[1].split())
    return _CONLLU if is_conllu else ()


def is_number_of_a_word(value: str) -> bool:
    """Return whether an entry of a column of numbers is that of one word in the text.

    Others are those of several words (``1-2``) and of a word that is not in the text (``3.1``). Raises `ValueError`
    for what is no such number.
    """
    if _OTHER_NUMBER.fullmatch(value):
        return False
    if not _NUMBER.fullmatch(value):
        raise ValueError(value)
    return True


def counts_words(first_column: Sequence[Sequence[str]]) -> bool:
    """Return whether the first column of a file, given by sentence, numbers the words of each sentence.

    The numbers begin at 0 or 1, or go on from the sentence before.

    >>> counts_words([["1-2", "1", "2", "3", "3.1"], ["1"]]), counts_words([["1", "2"], ["7"]])
    (True, False)
    """
    last, longest = -1, 0
    for sentence in first_column:
        words = [value for value in sentence if not _OTHER_NUMBER.fullmatch(value)]
        if not words or not all(map(_NUMBER.fullmatch, words)):
            return False
        start = int(words[0])
        if start not in (0, 1, last + 1) or [int(word) for word in words] != list(range(start, start + len(words))):
            return False
        last, longest = start + len(words) - 1, max(longest, len(words))
    return longest > 1


def choose_columns(
    file: str,
    first_column: Sequence[Sequence[str]],
    width: int,
    names: Sequence[str],
    tokens_column: str | None,
    tags_column: str | None,
    *,
    may_lack_tags: bool = False,
) -> ConllColumns:
    """Return the columns that the two flags name; where they are unset, the first (or FORM) and the last (or UPOS).

    ``names`` are those of `names_of_columns`; errors name ``file``. Raises `StrategyError` for a column that does not
    exist, for two equal ones, and, where ``tokens_column`` is unset, for a first column that holds no words. With
    ``may_lack_tags`` a file with fewer columns than ``tags_column`` says is one without tags.
    """
    if names and len(names) != width:
        raise StrategyError(f"{file}: a line has {width} columns where {' '.join(names)} are {len(names)}")
    tokens = _place("tokens_column", tokens_column, {"tokens": 0}, width, names, file)
    if tokens is None:
        _refuse_first_column(file, first_column, width, names)
        tokens = _named("FORM", names, otherwise=1 if names[:1] == ("ID",) and width > 1 else 0)
    if may_lack_tags and _NUMBER.fullmatch(tags_column or "") and int(str(tags_column)) > width:
        return ConllColumns(tokens, None)
    tags = _place("tags_column", tags_column, {"tags": width - 1}, width, names, file)
    if tags is None:
        tags = _named("UPOS", names, otherwise=width - 1)
        return ConllColumns(tokens, None if tags == tokens else tags)
    if tags == tokens:
        raise StrategyError(f"{file}: tokens_column and tags_column are both column {tags + 1}: give two columns")
    return ConllColumns(tokens, tags)


def _place(
    flag: str, given: str | None, defaults: dict[str, int], width: int, names: Sequence[str], file: str
) -> int | None:
    """Return the place of the column with this number or name, None if it is unset."""
    if given is None:
        return None
    if _NUMBER.fullmatch(given):
        if not 1 <= int(given) <= width:
            raise StrategyError(f"{flag}={given!r} is no column of {file}, which has {width}: give 1 to {width}")
        return int(given) - 1
    place = _named(given, names, otherwise=defaults.get(given, -1))
    if place < 0:
        known = did_you_mean(given, names) if names else "it has no names"
        raise StrategyError(f"{flag}={given!r} is no column of {file}: {known}; or give its number, 1 to {width}")
    return place


def _named(name: str, names: Sequence[str], *, otherwise: int) -> int:
    return next((place for place, known in enumerate(names) if known.upper() == name.upper()), otherwise)


def _refuse_first_column(file: str, first_column: Sequence[Sequence[str]], width: int, names: Sequence[str]) -> None:
    """Raise `StrategyError` if the first column numbers the words, has tags, or one value in each sentence."""
    if names or width < 2 or not any(first_column):
        return
    if counts_words(first_column):
        what = "counts the words of each sentence (1, 2, 3)"
    elif _repeats(first_column):
        what = f"is the same in all lines of a sentence ({first_column[0][0]!r})"
    elif has_entities(list(chain(*first_column))):
        what = f"holds the tags of entities ({first_column[0][0]!r})"
    else:
        return
    conllu = "; a file in CoNLL-U's form has to end in .conllu" if width == len(_CONLLU) else ""
    raise StrategyError(
        f"{file}: its first column {what}, and so holds no words: give --tokens_column with the number of the column"
        " of the words (such as 2; 1 if they are words all the same), and --tags_column with that of the"
        f" tags{conllu}"
    )


def _repeats(first_column: Sequence[Sequence[str]]) -> bool:
    lines, sentences = sum(map(len, first_column)), len(first_column)
    return lines >= 2 * sentences > 4 and all(len(set(sentence)) == 1 for sentence in first_column)
