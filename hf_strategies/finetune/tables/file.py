"""A data file as the user named it: its ending, its bytes, its text, and the errors that name it."""

import bz2
import codecs
import gzip
import lzma
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, NamedTuple

from hf_strategies.errors import StrategyError
from hf_strategies.finetune.command_line import notify

__all__ = ["COMPRESSED", "ReadingRules", "TableFile", "read_text"]

COMPRESSED: dict[str, Callable[..., IO[Any]]] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
"""What opens a file of each ending that stands for a compression: ``train.csv.gz`` is a compressed ``train.csv``."""

_BYTE_ORDER_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",  # before UTF-16's, which begins with the same two bytes
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


@dataclass(frozen=True)
class ReadingRules:
    """The flags on how to read files; each is None if the flag is not given.

    ``encoding`` is that of text, ``separator`` the character between two columns of a csv or tsv file, and
    ``column_names`` name the columns of a table without a header.
    """

    encoding: str | None = None
    separator: str | None = None
    column_names: Sequence[str] | None = None


class TableFile(NamedTuple):
    """A file, with the ``flag`` that named it for error messages."""

    flag: str
    path: Path

    @property
    def ending(self) -> str:
        """The ending for the kind of the content, in lower case, without the ending of a compression."""
        return self.endings[0]

    @property
    def endings(self) -> tuple[str, str]:
        """The ending for the kind of the content, and the ending of the compression ("" for none)."""
        outer = self.path.suffix.lower()
        return (Path(self.path.stem).suffix.lower(), outer) if outer in COMPRESSED else (outer, "")

    def refuse(self, what: str) -> StrategyError:
        """Return the error for this file; ``what`` is the rest of the sentence, with the remedy."""
        return StrategyError(f"{self.flag}={str(self.path)!r} {what}")

    def unreadable(self, mistake: object, remedy: str = "") -> StrategyError:
        """Return the error for content that is not of the file's kind."""
        return self.refuse(f"is not readable as {self.ending[1:]}: {mistake}{remedy and f': {remedy}'}")

    def read_bytes(self) -> bytes:
        """Return the content, decompressed; `StrategyError` where that fails."""
        opened = COMPRESSED.get(self.endings[1], open)
        try:
            with opened(self.path, "rb") as file:
                content: bytes = file.read()
                return content
        except (OSError, EOFError, zlib.error, lzma.LZMAError) as mistake:
            raise self.refuse(f"cannot be read ({mistake}): give a whole file that can") from mistake

    def read_text(self, encoding: str | None = None) -> str:
        """Return the text, without a byte order mark and with its line ends as they are.

        Without an ``encoding`` it is UTF-8, or what a byte order mark says. Raises `StrategyError` for bytes that
        are not in the encoding, and for NUL characters, which no text has.
        """
        content = self.read_bytes()
        marked = next((name for mark, name in _BYTE_ORDER_MARKS.items() if content.startswith(mark)), None)
        try:
            text = content.decode(encoding or marked or "utf-8")
        except UnicodeError as mistake:
            name = "UTF-8" if encoding in (None, "utf-8") else encoding
            remedy = f"convert it, or give --encoding {_likely(content)}"
            raise self.refuse(f"is not readable as {name} ({mistake}): {remedy}") from mistake
        if "\0" in text:
            raise self.refuse("has NUL characters: give a text file, or its --encoding, such as utf-16")
        if encoding is not None:
            self._warn_of_utf8(content, text, encoding)
        return text.removeprefix("\ufeff")

    def _warn_of_utf8(self, content: bytes, text: str, encoding: str) -> None:
        """Print a line if the bytes make another text in UTF-8: by chance that happens to almost no file."""
        try:
            differs = content.decode("utf-8") != text and b"\0" not in content  # which UTF-16 has
        except UnicodeError:
            return
        if differs:
            notify(f"{self.flag}={str(self.path)!r} is valid UTF-8 and is read as {encoding}: leave out --encoding?")


def read_text(flag: str, path: Path, encoding: str | None = None) -> str:
    """Return the text of a file, as `TableFile.read_text` does."""
    return TableFile(flag, path).read_text(encoding)


def _likely(content: bytes) -> str:
    """Return the encoding to propose for bytes that are no UTF-8: Windows' own if it alone has letters for all."""
    if any(0x80 <= byte <= 0x9F for byte in content):
        try:
            content.decode("cp1252")
        except UnicodeError:
            return "latin-1"
        return "cp1252"
    return "latin-1"
