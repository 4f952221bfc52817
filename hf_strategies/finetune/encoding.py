"""Tokenization, in parallel and cached between runs, and the columns of lists that it gives."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import datasets
import numpy as np
from datasets import Dataset, DatasetDict
from datasets.fingerprint import Hasher
from transformers import PreTrainedTokenizerBase

__all__ = ["IGNORED_LABEL", "Batch", "encode_splits", "flatten_lists", "list_column", "tokenizer_state"]

Batch = dict[str, list[Any]]
"""Some rows of a data set: the values of each column."""

IGNORED_LABEL = -100
"""The label of a token that does not count in the loss, as in torch's `cross_entropy` and in transformers."""

_MIN_ROWS = 1000  # to use several processes: starting one takes longer than encoding fewer rows


def encode_splits(
    splits: Mapping[str, Dataset],
    encode: Callable[[Batch], Batch],
    *,
    key: object,
    workers: int | None = None,
) -> DatasetDict:
    """Apply ``encode`` to each batch of rows of each split; the columns that it returns replace the rows' own.

    ``key`` is everything that the result depends on beside the rows, such as `tokenizer_state` and the maximal
    length. The result is cached by ``datasets`` (in ``$HF_DATASETS_CACHE``) and read from there when the same rows
    are encoded with the same key again. ``workers`` processes share the work; a fast tokenizer uses all cores
    without them.
    """
    return DatasetDict({split: _encode(rows, encode, key, workers, split) for split, rows in splits.items()})


def tokenizer_state(tokenizer: PreTrainedTokenizerBase) -> str:
    """Return a text that is the same for two tokenizers if they encode in the same way."""
    backend: Any = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        return str(Hasher.hash(tokenizer))
    backend.no_truncation()  # these two are settings of the last call, and each call sets them anew
    backend.no_padding()
    return str(backend.to_str())


def list_column(rows: Dataset, column: str) -> Any:
    """Return a column of lists as one ``pyarrow.ListArray``, which is much faster to read than Python lists.

    >>> list_column(Dataset.from_dict({"input_ids": [[7, 8], [9]]}), "input_ids").value_lengths().to_pylist()
    [2, 1]
    """
    return rows.with_format("arrow", columns=[column])[:].column(column).combine_chunks()


def flatten_lists(rows: Dataset, column: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the values of a column of lists in one array, and the length of each row's list.

    >>> values, lengths = flatten_lists(Dataset.from_dict({"input_ids": [[7, 8], [9]]}), "input_ids")
    >>> values.tolist(), lengths.tolist()
    ([7, 8, 9], [2, 1])
    """
    lists = list_column(rows, column)
    return lists.flatten().to_numpy(zero_copy_only=False), lists.value_lengths().to_numpy(zero_copy_only=False)


def _encode(rows: Dataset, encode: Callable[[Batch], Batch], key: object, workers: int | None, split: str) -> Dataset:
    fingerprint = Hasher.hash((rows._fingerprint, key))
    file = Path(datasets.config.HF_DATASETS_CACHE, "hf_strategies", f"{fingerprint}.arrow")
    file.parent.mkdir(parents=True, exist_ok=True)
    return rows.map(
        encode,
        batched=True,
        remove_columns=rows.column_names,
        num_proc=workers if workers and workers > 1 and len(rows) >= _MIN_ROWS else None,
        cache_file_name=str(file),
        new_fingerprint=fingerprint,
        desc=f"tokenize {split}",
    )
