"""Files with a text on each line."""

from pathlib import Path

from datasets import Dataset, DatasetInfo, Features, Value

from hf_strategies.finetune.tables.file import read_text

__all__ = ["is_lines", "read_lines"]


def read_lines(flag: str, path: Path, encoding: str | None = None) -> Dataset:
    """Return a row for each line, with the column ``text``; an empty line is an empty text."""
    text = read_text(flag, path, encoding).replace("\r\n", "\n").replace("\r", "\n").removesuffix("\n")
    features = Features({"text": Value("string")})
    lines = text.split("\n") if text else []
    return Dataset.from_dict({"text": lines}, info=DatasetInfo(features=features, builder_name="text"))


def is_lines(rows: Dataset) -> bool:
    """Return whether the rows are the lines of a file."""
    return bool(rows.builder_name == "text")
