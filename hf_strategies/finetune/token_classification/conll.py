"""CoNLL files: one word per line with its tag in another column, a blank line between sentences; CoNLL-U as well."""

import io
import re
from collections.abc import Sequence
from functools import partial
from itertools import chain, groupby
from pathlib import Path
from typing import NamedTuple

from datasets import Dataset

from hf_strategies.errors import StrategyError
from hf_strategies.finetune.command_line import notify
from hf_strategies.finetune.tables.file import ReadingRules, TableFile, read_text
from hf_strategies.finetune.tables.lists import parse_list
from hf_strategies.finetune.tables.read import ENDINGS, Reader
from hf_strategies.finetune.token_classification.conll_columns import (
    ConllColumns,
    choose_columns,
    counts_words,
    is_number_of_a_word,
    names_of_columns,
)

__all__ = ["CONLL_ENDINGS", "conll_readers", "read_conll", "tsv_reader"]

CONLL_ENDINGS = (".conll", ".conllu", ".txt", ".bio", ".iob", ".iob2", ".bmes", ".bioes")
"""The endings of CoNLL files."""

_DOCUMENT = "-DOCSTART-"
_WORD_HEADERS = {"word", "words", "token", "tokens", "form"}
_TAG_HEADERS = {"tag", "tags", "label", "labels", "ner", "ner_tag", "ner_tags", "pos", "upos"}


class _Line(NamedTuple):
    number: int
    columns: list[str]
    text: str

    @property
    def has_hash(self) -> bool:
        """Whether the line begins as a comment does."""
        return self.text.startswith("#")


def conll_readers(
    tokens_column: str | None = None, tags_column: str | None = None, encoding: str | None = None
) -> dict[str, Reader]:
    """Return the reader for each ending of a CoNLL file, for `load_data`; the arguments are those of `read_conll`."""
    read = partial(read_conll, tokens_column=tokens_column, tags_column=tags_column, encoding=encoding)
    return dict.fromkeys(CONLL_ENDINGS, read)


def tsv_reader(
    tokens_column: str | None = None, tags_column: str | None = None, encoding: str | None = None
) -> dict[str, Reader]:
    """Return the reader of .tsv files, in which many CoNLL data sets come; the arguments are those of `read_conll`.

    A file with an empty line between other lines, or with a comment in the first one, has a word on each line. Any
    other, and one with a list in its second line, is a table with lists of words and of tags.
    """

    def read(flag: str, path: Path) -> Dataset:
        text = read_text(flag, path, encoding).replace("\r\n", "\n").strip("\n")
        if _is_conll(text):
            return read_conll(flag, path, tokens_column=tokens_column, tags_column=tags_column, encoding=encoding)
        return ENDINGS[".tsv"](TableFile(flag, path), ReadingRules(encoding))

    return {".tsv": read}


def read_conll(
    flag: str,
    path: Path,
    *,
    tokens_column: str | None = None,
    tags_column: str | None = None,
    encoding: str | None = None,
) -> Dataset:
    """Read the words and the tags of a file, a row for each sentence.

    ``tokens_column`` and ``tags_column`` are the numbers of columns in the file, from 1, or their names in CoNLL-U
    (FORM, UPOS and so on) or in a line ``# global.columns = ...``. Unset, they are the first and the last column; in
    a ``.conllu`` file FORM and UPOS. The columns of the result have the names that are given, else ``tokens`` and
    ``tags``. With a single column there are no tags; a test file may lack them.

    The columns of a line are separated by tabs if it has one, else by spaces; each line has the same number of
    columns. Left out are ``-DOCSTART-`` lines and comments (see `_without_comments`). Where the first column counts
    the words, lines for several words (``1-2``) and for words that are not in the text (``3.1``) are left out too.
    A first line that names the columns is left out, too, and so is a language before each word (``en:``), as in
    WikiANN's files. Errors name ``flag``.

    Raises `StrategyError`, with the number of the line, for another number of columns and for a missing word; for a
    column that does not exist; for a first column that holds no words, unless ``tokens_column`` is given; and for a
    file that is not in the ``encoding`` (unset: UTF-8).
    """
    file, may_hide_tags = f"{flag}={str(path)!r}", flag == "test_file"
    lines = _lines(read_text(flag, path, encoding))
    words = [line for line in lines if line.columns and not line.has_hash and line.columns[0] != _DOCUMENT]
    width = len(words[0].columns) if words else 2
    is_conllu = TableFile(flag, path).ending == ".conllu"
    names = names_of_columns(is_conllu, [line.text for line in lines if line.has_hash])
    sentences = _sentences(lines, width, file)
    first_column = [[line.columns[0] for line in sentence if not line.has_hash] for sentence in sentences]
    first_column = [sentence for sentence in first_column if sentence]
    chosen = choose_columns(file, first_column, width, names, tokens_column, tags_column, may_lack_tags=may_hide_tags)
    if counts_words(first_column) or names[:1] == ("ID",):
        sentences = _numbered_words(sentences, file)
    elif names:
        sentences = [[line for line in sentence if not line.has_hash] for sentence in sentences]
    else:
        sentences = _without_comments(sentences, chosen, file)
    sentences = _without_header(sentences, chosen, file)
    rows = _rows(sentences, chosen, tokens_column or "tokens", tags_column or "tags", file)
    return _without_hidden(rows, tags_column or "tags") if may_hide_tags and names else rows


def _is_conll(text: str) -> bool:
    second = text.split("\n", 2)[1:2]
    if any(parse_list(cell.strip('" ')) is not None for line in second for cell in line.split("\t")):
        return False
    return text.startswith(("# ", "#\t")) or re.search(r"\n[ \t]*\n", text) is not None


def _lines(text: str) -> list[_Line]:
    lines = io.StringIO(text, newline=None)
    return [_Line(number, _split_line(line), line) for number, line in enumerate(lines, start=1)]


def _split_line(line: str) -> list[str]:
    # Not str.split(): a token may contain, or be, a space other than " ".
    line = line.rstrip(" \t\r\n")
    parts = line.split("\t") if "\t" in line else line.split(" ")
    columns = [part.strip(" ") for part in parts]
    return columns if "\t" in line else [part for part in columns if part]


def _sentences(lines: Sequence[_Line], width: int, file: str) -> list[list[_Line]]:
    """Return the lines of each sentence, without the comments before it that have another number of columns."""
    sentences = []
    for has_words, group in groupby(lines, key=lambda line: bool(line.columns) and line.columns[0] != _DOCUMENT):
        sentence: list[_Line] = []
        for line in group if has_words else ():
            if len(line.columns) == width:
                sentence.append(line)
            elif sentence or not line.has_hash:
                raise StrategyError(
                    f"{file}, line {line.number}: {len(line.columns)} columns where the first line has {width}: give"
                    " each token on a line of its own, its tag last, and a blank line after each sentence"
                )
        sentences.append(sentence)
    return [sentence for sentence in sentences if sentence]


def _numbered_words(sentences: list[list[_Line]], file: str) -> list[list[_Line]]:
    """Return the lines of single words in the text, in a file whose first column numbers them."""
    words = []
    for sentence in sentences:
        lines = [line for line in sentence if not line.has_hash]
        try:
            words.append([line for line in lines if is_number_of_a_word(line.columns[0])])
        except ValueError as value:
            raise StrategyError(
                f"{file}: {str(value)!r} in the column ID is no number of a word: number the words of each sentence"
            ) from value
    return words


def _without_comments(sentences: list[list[_Line]], chosen: ConllColumns, file: str) -> list[list[_Line]]:
    """Leave out the comments that have as many columns as a word, such as ``# 7`` in a file of words and tags.

    A line that begins with ``#`` is such a comment if no other line has its tag, and if either ``#`` stands alone at
    the beginning of a sentence or the tag has a digit. So hashtags and the word ``#`` stay.
    """
    if chosen.tags is None:
        return sentences
    tags = {line.columns[chosen.tags] for sentence in sentences for line in sentence if not line.has_hash}
    comments = {
        line.number: line.text.strip()
        for sentence in sentences
        for line in sentence
        if line.has_hash and _is_comment(line.columns, line.columns[chosen.tags], tags, opens=line is sentence[0])
    }
    if comments:
        number, text = next(iter(comments.items()))
        notify(
            f"{file}: {len(comments)} lines such as {text!r:.60} (line {number}) are taken for comments, because no"
            " other line has their tag."
        )
    return [[line for line in sentence if line.number not in comments] for sentence in sentences]


def _is_comment(columns: Sequence[str], tag: str, tags: set[str], *, opens: bool) -> bool:
    if tag in tags or tag == "#":
        return False
    return (opens and columns[0] == "#") or any(character.isdigit() for character in tag)


def _without_header(sentences: list[list[_Line]], chosen: ConllColumns, file: str) -> list[list[_Line]]:
    """Leave out a first line that names its columns, such as ``Word Tag``."""
    line = next((line for sentence in sentences for line in sentence), None)
    if line is None or chosen.tags is None:
        return sentences
    names = line.columns[chosen.tokens].casefold(), line.columns[chosen.tags].casefold()
    if names[0] not in _WORD_HEADERS or names[1] not in _TAG_HEADERS:
        return sentences
    notify(f"{file}: line {line.number}, {line.text.strip()!r:.60}, is taken for a header and is left out.")
    rest = [[other for other in sentence if other is not line] for sentence in sentences]
    return [sentence for sentence in rest if sentence]


def _without_hidden(rows: Dataset, tags: str) -> Dataset:
    """Leave out a column of tags that are all ``_``, CoNLL-U's mark of what is not known."""
    is_hidden = tags in rows.column_names and set(chain(*rows[tags])) == {"_"}
    return rows.remove_columns(tags) if is_hidden else rows


def _without_language(sentences: list[list[str]], file: str) -> list[list[str]]:
    """Leave out the code of a language before the words, such as ``en:``, if each word of several has the same."""
    words = list(chain(*sentences))
    match = re.match("[a-z]{2,3}(-[a-z]+)*:", words[0]) if len(words) > 1 else None
    if match is None or not all(word.startswith(match[0]) and len(word) > len(match[0]) for word in words):
        return sentences
    notify(f"{file}: each word begins with {match[0]!r}, which is taken for its language and is left out.")
    return [[word.removeprefix(match[0]) for word in sentence] for sentence in sentences]


def _rows(sentences: list[list[_Line]], chosen: ConllColumns, tokens: str, tags: str, file: str) -> Dataset:
    kept = [[line for line in sentence if line.columns[chosen.tokens] != _DOCUMENT] for sentence in sentences]
    kept = [sentence for sentence in kept if sentence]
    for line in (line for sentence in kept for line in sentence if not line.columns[chosen.tokens]):
        raise StrategyError(f"{file}, line {line.number}: there is no token before the tab: fill it or drop the line")
    words = [[line.columns[chosen.tokens] for line in sentence] for sentence in kept]
    data = {tokens: _without_language(words, file)}
    if chosen.tags is not None:
        data[tags] = [[line.columns[chosen.tags] for line in sentence] for sentence in kept]
    return Dataset.from_dict(data)
