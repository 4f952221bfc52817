"""Tokenization, in parallel and cached between runs, and the columns of lists that it gives."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import tokenizers
import transformers
from datasets import Dataset, DatasetDict, concatenate_datasets
from datasets.fingerprint import Hasher
from transformers import PreTrainedTokenizerBase

from hf_strategies import __version__
from hf_strategies.finetune.cached_folder import complete_files, new_folder
from hf_strategies.finetune.command_line import notify

__all__ = ["IGNORED_LABEL", "Batch", "encode_splits", "flatten_lists", "list_column", "tokenizer_state"]

Batch = dict[str, list[Any]]
"""Some rows of a data set: the values of each column."""

IGNORED_LABEL = -100
"""The label of a token that does not count in the loss, as in torch's `cross_entropy` and in transformers."""

_MIN_ROWS = 1000  # to use several processes: starting one takes longer than encoding fewer rows

# The settings that change a tokenizer's result, and that are neither in its file nor among the arguments that it was
# made with. The side of padding is left out, because rows are not padded when they are encoded.
_SETTINGS = ("model_input_names", "split_special_tokens", "truncation_side", "special_tokens_map")

# The same tokenizer may encode differently in another release.
_RELEASES = (__version__, transformers.__version__, tokenizers.__version__)


def encode_splits(
    splits: Mapping[str, Dataset],
    encode: Callable[[Batch], Batch],
    *,
    key: object,
    workers: int | None = None,
) -> DatasetDict:
    """Apply ``encode`` to each batch of rows of each split; the columns that it returns replace the rows' own.

    ``key`` is everything that the result depends on beside the rows, such as `tokenizer_state` and the maximal
    length. The result is kept in ``$HF_DATASETS_CACHE`` and read from there when the same rows are encoded with the
    same key again. A damaged copy is made anew. If the copy cannot be written, the result stays in memory. Both are
    reported in one line. ``workers`` processes share the work; a fast tokenizer uses all cores without them.
    """
    results = {split: _encode(rows, encode, key, workers, split) for split, rows in splits.items()}
    for fault in dict.fromkeys(fault for _, fault in results.values() if fault):
        notify(fault)
    return DatasetDict({split: rows for split, (rows, _) in results.items()})


def tokenizer_state(tokenizer: PreTrainedTokenizerBase) -> str:
    """Return a text that is the same for two tokenizers only if they encode in the same way."""
    kind = type(tokenizer)
    settings = {name: getattr(tokenizer, name, None) for name in _SETTINGS}
    made_with = getattr(tokenizer, "init_kwargs", None)
    described = json.dumps([kind.__module__, kind.__qualname__, settings, made_with], sort_keys=True, default=repr)
    return str(Hasher.hash((described, _vocabulary_and_rules(tokenizer))))


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


def _vocabulary_and_rules(tokenizer: PreTrainedTokenizerBase) -> str:
    backend: Any = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        return str(Hasher.hash(tokenizer))
    backend.no_truncation()  # these two are settings of the last call, and each call sets them anew
    backend.no_padding()
    return str(backend.to_str())


def _encode(
    rows: Dataset,
    encode: Callable[[Batch], Batch],
    key: object,
    workers: int | None,
    split: str,
) -> tuple[Dataset, str | None]:
    """Return the encoded rows and, if they cannot be cached, a message, which is the same for all splits."""
    fingerprint = Hasher.hash((rows._fingerprint, key, _RELEASES))
    folder = Path(datasets.config.HF_DATASETS_CACHE, "hf_strategies", f"tokens-{fingerprint}")
    options = {
        "batched": True,
        "remove_columns": rows.column_names,
        "num_proc": workers if workers and workers > 1 and len(rows) >= _MIN_ROWS else None,
        "new_fingerprint": fingerprint,
        "desc": f"tokenize {split}",
    }
    cached = _read(folder, fingerprint)
    fault = None
    if cached is None:
        try:
            with new_folder(folder) as temporary:
                rows.map(encode, cache_file_name=str(temporary / "rows.arrow"), **options)
            cached = _read(folder, fingerprint)
        except OSError as mistake:
            fault = (
                f"The tokens stay in memory and are made anew in each run, because they cannot be kept in"
                f" {folder.parent} ({mistake.strerror or mistake}): set HF_DATASETS_CACHE to a folder that can be"
                " written and has room."
            )
    return (rows.map(encode, keep_in_memory=True, **options) if cached is None else cached), fault


def _read(folder: Path, fingerprint: str) -> Dataset | None:
    files = complete_files(folder)
    if files is None:
        return None
    # Several workers leave a file each.
    rows = concatenate_datasets([Dataset.from_file(str(file)) for file in files])
    rows._fingerprint = fingerprint
    return rows
