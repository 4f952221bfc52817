"""Folders of models that cannot be loaded, by what is wrong with them: the changes to a folder that can."""

import json
import pickle
import struct
from collections.abc import Callable, Mapping
from typing import Any

Change = str | bytes | None | Callable[[bytes], bytes]
"""The new content of a file, None to delete it, or a function from the old content to the new one."""


def _config(**changes: Any) -> Callable[[bytes], bytes]:
    """Return a function that changes entries of a JSON file; None removes one."""

    def change(content: bytes) -> bytes:
        entries = {**json.loads(content), **changes}
        return json.dumps({key: value for key, value in entries.items() if value is not ...}).encode()

    return change


class _Code:
    """A pickle that would write a file when it is loaded."""

    def __reduce__(self) -> tuple[Any, ...]:
        return open, ("made_by_a_pickle", "w")


def _header(text: str) -> bytes:
    return struct.pack("<Q", len(text)) + text.encode()


_INDEX = json.dumps({"metadata": {}, "weight_map": {"classifier.weight": "model-00001-of-00002.safetensors"}})
_OUTSIDE = json.dumps({"metadata": {}, "weight_map": {"classifier.weight": "../../outside.safetensors"}})
_OWN_CODE = {"auto_map": {"AutoConfig": "code.Config", "AutoModelForSequenceClassification": "code.Model"}}
_WEIGHTS, _BIN = "model.safetensors", "pytorch_model.bin"

FOLDERS: Mapping[str, Mapping[str, Change]] = {
    "no config": {"config.json": None},
    "an empty config": {"config.json": ""},
    "half a config": {"config.json": lambda content: content[: len(content) // 2]},
    "a list for a config": {"config.json": "[]"},
    "null for a config": {"config.json": "null"},
    "a number for a config": {"config.json": "5"},
    "a config without entries": {"config.json": "{}"},
    "a config of brackets": {"config.json": "[" * 100_000},
    "a config of braces": {"config.json": '{"a":' * 100_000},
    "a config of null bytes": {"config.json": b"\x00" * 100},
    "a config in Latin-1": {"config.json": '{"model_type": "café"}'.encode("latin-1")},
    "an unknown type": {"config.json": _config(model_type="brt")},
    "no type": {"config.json": _config(model_type=...)},
    "a number for a type": {"config.json": _config(model_type=5)},
    "a list for a type": {"config.json": _config(model_type=["bert"])},
    "null for a type": {"config.json": _config(model_type=None)},
    "a type that clears the screen": {"config.json": _config(model_type="be\x1b[2Jrt")},
    "a text for a size": {"config.json": _config(hidden_size="wide")},
    "no size": {"config.json": _config(hidden_size=0)},
    "a negative size": {"config.json": _config(hidden_size=-16)},
    "a size that heads do not divide": {"config.json": _config(num_attention_heads=3)},
    "another size": {"config.json": _config(hidden_size=32, intermediate_size=64)},
    "more layers": {"config.json": _config(num_hidden_layers=4)},
    "an unknown activation": {"config.json": _config(hidden_act="relux")},
    "a text for the positions": {"config.json": _config(max_position_embeddings="many")},
    "no positions": {"config.json": _config(max_position_embeddings=0)},
    "a list for the labels": {"config.json": _config(id2label=["a", "b"])},
    "words for ids": {"config.json": _config(id2label={"first": "a", "second": "b"})},
    "code of its own": {
        "config.json": _config(model_type="own", **_OWN_CODE),
        "code.py": "open('made_by_code', 'w')",
    },
    "no tokenizer": {"tokenizer.json": None, "tokenizer_config.json": None, "vocab.txt": None},
    "an empty tokenizer": {"tokenizer.json": ""},
    "half a tokenizer": {"tokenizer.json": lambda content: content[: len(content) // 2]},
    "a tokenizer without entries": {"tokenizer.json": "{}"},
    "a list for a tokenizer": {"tokenizer.json": "[]"},
    "a tokenizer of brackets": {"tokenizer.json": "[" * 100_000},
    "half a tokenizer's config": {"tokenizer_config.json": '{"tokenizer_cl'},
    "a list for a tokenizer's config": {"tokenizer_config.json": "[]"},
    "no weights": {_WEIGHTS: None},
    "empty weights": {_WEIGHTS: b""},
    "half the weights": {_WEIGHTS: lambda content: content[: len(content) // 2]},
    "weights of null bytes": {_WEIGHTS: b"\x00" * 1000},
    "words for weights": {_WEIGHTS: "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 4\n"},
    "a header that is too long": {_WEIGHTS: struct.pack("<Q", 2**62) + b"{}"},
    "a header of brackets": {_WEIGHTS: _header("[" * 10_000)},
    "a header that points outside": {
        _WEIGHTS: _header('{"x": {"dtype": "F32", "shape": [4], "data_offsets": [0, 160000]}}'),
    },
    "other weights": {
        _WEIGHTS: _header('{"x": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}') + b"\x00" * 4
    },
    "a pickle with code": {_WEIGHTS: None, _BIN: pickle.dumps(_Code())},
    "words for a pickle": {_WEIGHTS: None, _BIN: "words"},
    "an empty pickle": {_WEIGHTS: None, _BIN: b""},
    "a part that is missing": {_WEIGHTS: None, f"{_WEIGHTS}.index.json": _INDEX},
    "a part that lies outside": {_WEIGHTS: None, f"{_WEIGHTS}.index.json": _OUTSIDE},
    "half an index": {_WEIGHTS: None, f"{_WEIGHTS}.index.json": _INDEX[:30]},
    "a list for an index": {_WEIGHTS: None, f"{_WEIGHTS}.index.json": "[]"},
}
"""The changes to the files of a folder that can be loaded."""
