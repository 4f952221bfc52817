"""The weights in a folder, as safetensors: where each tensor lies, and whether several folders have the same ones."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from hf_strategies.errors import StrategyError, first_line
from hf_strategies.files import read_json

__all__ = ["BASES", "Entry", "Weights", "check_same", "part_folders", "read_weights"]

BASES = ("model", "adapter_model")
"""The beginnings of the names of files with weights: a whole model, or the adapters of PEFT."""

_PLAIN_NAME = re.compile(r"[^/\\\0]+\.safetensors")

Key = tuple[str, str, str]
"""A tensor: the folder within the checkpoint, one of `BASES`, and its name."""


@dataclass(frozen=True)
class Entry:
    """A tensor in a file: its type, as safetensors names it, and its shape."""

    file: Path
    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Weights:
    """The tensors of a folder. ``files`` has the tensors of each file by its path within the folder."""

    folder: Path
    entries: Mapping[Key, Entry]
    files: Mapping[Path, Sequence[Key]]

    @cached_property
    def is_adapter(self) -> bool:
        """Whether these are the weights of an adapter alone."""
        return all(base == "adapter_model" for _, base, _ in self.entries)

    def load(self, key: Key) -> torch.Tensor:
        """Return a tensor. Its file is opened for it alone, so that no page of another one stays in memory."""
        with _opened(self.entries[key].file) as file:
            tensor: torch.Tensor = file.get_tensor(key[2])
        return tensor

    def metadata(self, file: Path) -> dict[str, str]:
        """Return the metadata of one of the ``files``."""
        with _opened(self.folder / file) as opened:
            return dict(opened.metadata() or {})


def read_weights(folder: Path) -> Weights:
    """Return the weights of a folder, of which no tensor is loaded yet.

    Raises `StrategyError` where there is no safetensors file, with the way to one, and for a file that is damaged.
    """
    files: dict[Path, list[Key]] = {}
    entries: dict[Key, Entry] = {}
    for part, base, file in _weight_files(folder):
        with _opened(file) as opened:
            names = list(opened.keys())
            found = {(part, base, name): _entry(file, opened.get_slice(name)) for name in names}
        files[file.relative_to(folder)] = list(found)
        entries |= found
    if not entries:
        raise StrategyError(_no_weights(folder))
    return Weights(folder, entries, files)


def check_same(weights: Sequence[Weights]) -> None:
    """Raise `StrategyError` unless all folders have the same tensors, of the same shapes and types, and one model."""
    newest = weights[-1]
    for other in weights[:-1]:
        if other.is_adapter != newest.is_adapter:
            adapter, whole = (other, newest) if other.is_adapter else (newest, other)
            raise StrategyError(
                f"{adapter.folder} has an adapter and {whole.folder} a whole model: average one kind, or merge the"
                " adapter first (merge_and_unload)"
            )
        for one, two in ((other, newest), (newest, other)):
            if lacking := sorted(one.entries.keys() - two.entries.keys()):
                more = f", nor {len(lacking) - 1} others" if len(lacking) > 1 else ""
                raise StrategyError(
                    f"{two.folder} has no weight {lacking[0][2]!r}{more}, which {one.folder} has: average checkpoints"
                    " of one model"
                )
        _check_entries(other, newest)
        _check_configs(other.folder, newest.folder)


def part_folders(folder: Path) -> list[Path]:
    """Return a folder and those of its folders that belong to the model in it.

    These are the parts of a sentence-transformers model, which its ``modules.json`` names, and further adapters.
    """
    modules = read_json(folder / "modules.json")
    named = [row.get("path") for row in modules if isinstance(row, dict)] if isinstance(modules, list) else []
    parts = [folder / name for name in named if isinstance(name, str) and re.fullmatch(r"\w[\w.-]*", name)]
    if (folder / "adapter_config.json").is_file():
        parts += sorted(file.parent for file in folder.glob("*/adapter_config.json"))
    return [folder, *(part for part in dict.fromkeys(parts) if part.is_dir() and not part.name.startswith("_"))]


def _weight_files(folder: Path) -> Iterator[tuple[str, str, Path]]:
    """Yield the part of the folder, one of `BASES` and the path of each file with weights."""
    for part in part_folders(folder):
        for base in BASES:
            index, single = part / f"{base}.safetensors.index.json", part / f"{base}.safetensors"
            if index.is_file():
                yield from ((_within(part, folder), base, file) for file in _shards(index))
            elif single.is_file():
                yield _within(part, folder), base, single


def _within(part: Path, folder: Path) -> str:
    return "" if part == folder else part.name


def _shards(index: Path) -> list[Path]:
    content = read_json(index)
    names = content.get("weight_map") if isinstance(content, dict) else None
    if not isinstance(names, dict) or not all(
        isinstance(name, str) and _PLAIN_NAME.fullmatch(name) for name in names.values()
    ):
        raise StrategyError(f"{index} names no files of weights: delete the checkpoint, or ask for others")
    return [index.parent / name for name in sorted(set(names.values()))]


def _opened(file: Path) -> Any:
    try:
        return safe_open(file, framework="pt")
    except (SafetensorError, OSError) as mistake:
        raise StrategyError(
            f"{file} is damaged or cannot be read ({first_line(mistake)}): delete the checkpoint, or ask for others"
        ) from mistake


def _entry(file: Path, view: Any) -> Entry:
    return Entry(file, str(view.get_dtype()), tuple(view.get_shape()))


def _check_entries(one: Weights, two: Weights) -> None:
    for key, entry in one.entries.items():
        other = two.entries[key]
        if (entry.shape, entry.dtype) != (other.shape, other.dtype):
            was, now = (f"{each.dtype} {' x '.join(map(str, each.shape))}" for each in (entry, other))
            raise StrategyError(
                f"{key[2]!r} is {was} in {one.folder} and {now} in {two.folder}: average checkpoints of one model"
            )


_SAME_ENTRIES = {
    "config.json": ("model_type", "architectures", "id2label"),
    "adapter_config.json": ("peft_type", "base_model_name_or_path", "r", "lora_alpha", "use_rslora"),
}
"""What has to be equal in the files of a configuration, because the weights alone do not show it."""


def _check_configs(one: Path, two: Path) -> None:
    for name, entries in _SAME_ENTRIES.items():
        first, second = read_json(one / name), read_json(two / name)
        if not isinstance(first, dict) or not isinstance(second, dict):
            continue
        for entry in entries:
            if first.get(entry) != second.get(entry):
                raise StrategyError(
                    f"{one / name} has {entry}={json.dumps(first.get(entry))} and {two / name}"
                    f" {json.dumps(second.get(entry))}: average models of one configuration"
                )


def _no_weights(folder: Path) -> str:
    """Return the message for a folder without safetensors files, with the way to some."""
    if any(folder.glob("pytorch_model_fsdp*/.metadata")):
        (state, *_) = sorted(folder.glob("pytorch_model_fsdp*"))
        return f"{folder} has weights in the shards of FSDP: run accelerate merge-weights {state} {folder} first"
    if (folder / "latest").is_file():
        return (
            f"{folder} has weights in the shards of DeepSpeed: run python {folder / 'zero_to_fp32.py'} {folder}"
            f" {folder} --safe_serialization first"
        )
    if any(folder.glob("*.bin")):
        return (
            f"{folder} has weights in a .bin file, which may hold code: load it where you trust it, and save it again"
            " with save_pretrained, which writes safetensors"
        )
    return (
        f"{folder} has no model.safetensors and no adapter_model.safetensors: give the folder of a run that saved one"
    )
