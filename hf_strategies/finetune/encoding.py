"""Tokenization: in parallel, and kept between runs."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import datasets
from datasets import Dataset, DatasetDict
from datasets.fingerprint import Hasher
from transformers import PreTrainedTokenizerBase

__all__ = ["Batch", "encode_splits", "tokenizer_state"]

Batch = dict[str, list[Any]]
"""Some rows of a data set: the values of each column."""

_FEWEST_ROWS = 1000  # for more than one process: starting one takes longer than encoding fewer rows


def encode_splits(
    splits: Mapping[str, Dataset],
    encode: Callable[[Batch], Batch],
    *,
    key: object,
    workers: int | None = None,
) -> DatasetDict:
    """Put each batch of rows of each split through ``encode``, whose columns take the place of the rows' own.

    ``key`` is all that the result depends on beside the rows, such as `tokenizer_state` and the maximal length: what
    was encoded once, of the same rows with the same key, is read from the cache of ``datasets``
    (``$HF_DATASETS_CACHE``). ``workers`` processes share the work; a fast tokenizer uses all cores without.
    """
    return DatasetDict({split: _encode(rows, encode, key, workers, split) for split, rows in splits.items()})


def tokenizer_state(tokenizer: PreTrainedTokenizerBase) -> str:
    """Return a text that is the same for tokenizers that do the same."""
    backend: Any = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        return str(Hasher.hash(tokenizer))
    backend.no_truncation()  # settings of an earlier call, which each call makes anew
    backend.no_padding()
    return str(backend.to_str())


def _encode(rows: Dataset, encode: Callable[[Batch], Batch], key: object, workers: int | None, split: str) -> Dataset:
    fingerprint = Hasher.hash((rows._fingerprint, key))
    file = Path(datasets.config.HF_DATASETS_CACHE, "hf_strategies", f"{fingerprint}.arrow")
    file.parent.mkdir(parents=True, exist_ok=True)
    return rows.map(
        encode,
        batched=True,
        remove_columns=rows.column_names,
        num_proc=workers if workers and workers > 1 and len(rows) >= _FEWEST_ROWS else None,
        cache_file_name=str(file),
        new_fingerprint=fingerprint,
        desc=f"tokenize {split}",
    )
