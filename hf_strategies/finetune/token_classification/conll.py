"""CoNLL files: one token per line with its tag in the last column, a blank line between sentences."""

from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

from datasets import Dataset

from hf_strategies.errors import StrategyError

__all__ = ["CONLL_READERS", "read_conll"]

_Line = tuple[int, list[str]]


def read_conll(flag: str, path: Path) -> Dataset:
    """Read the columns ``tokens`` (the first of the file) and ``tags`` (its last), a row for each sentence.

    The columns of a line are separated by tabs if it has one, else by spaces; each line has the same number of
    columns. With a single column there are no tags. Left out are ``-DOCSTART-`` lines and comments: lines that begin
    with ``#`` before the first token of a sentence and have another number of columns than a token. Errors name
    ``flag``.

    Raises `StrategyError`, with the number of the line, for another number of columns and for a missing token; and
    for a file that is not UTF-8.
    """
    try:
        with path.open(encoding="utf-8-sig") as file:
            lines = list(enumerate(file, start=1))
    except UnicodeDecodeError as mistake:
        raise StrategyError(f"{flag}={str(path)!r} is not readable as UTF-8 ({mistake}): convert it") from mistake
    rows = [(number, _split_line(line)) for number, line in lines]
    width = next((len(columns) for _, columns in rows if columns and not _is_comment(columns)), 2)
    sentences = [
        _tokens_of_sentence(sentence, width, f"{flag}={str(path)!r}")
        for has_words, sentence in groupby(rows, key=lambda row: bool(row[1]) and row[1][0] != "-DOCSTART-")
        if has_words
    ]
    sentences = [sentence for sentence in sentences if sentence]
    data = {"tokens": [[columns[0] for columns in sentence] for sentence in sentences]}
    if width > 1:
        data["tags"] = [[columns[-1] for columns in sentence] for sentence in sentences]
    return Dataset.from_dict(data)


CONLL_READERS = dict.fromkeys((".conll", ".txt", ".bio", ".iob2"), read_conll)
"""The reader for each ending of a CoNLL file, for `load_data`."""


def _split_line(line: str) -> list[str]:
    # Not str.split(): a token may contain, or be, a space other than " ".
    line = line.rstrip(" \t\r\n")
    parts = line.split("\t") if "\t" in line else line.split(" ")
    columns = [part.strip(" ") for part in parts]
    return columns if "\t" in line else [part for part in columns if part]


def _is_comment(columns: list[str]) -> bool:
    return columns[0].startswith("#") or columns[0] == "-DOCSTART-"


def _tokens_of_sentence(sentence: Iterator[_Line], width: int, file: str) -> list[list[str]]:
    """Return the columns of each token of a sentence, without the comments before it."""
    tokens: list[list[str]] = []
    for number, columns in sentence:
        if not tokens and columns[0].startswith("#") and len(columns) != width:
            continue
        if len(columns) != width:
            raise StrategyError(
                f"{file}, line {number}: {len(columns)} columns where the first line has {width}: give each token on"
                " a line of its own, its tag last, and a blank line after each sentence"
            )
        if not columns[0]:
            raise StrategyError(f"{file}, line {number}: there is no token before the tab: fill it or drop the line")
        tokens.append(columns)
    return tokens
