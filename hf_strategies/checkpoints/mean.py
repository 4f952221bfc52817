"""The weighted mean of several folders' weights, computed and written tensor by tensor.

At no time more than a few tensors are in memory: the mean in float32, and one source at a time.
"""

import json
import math
import struct
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import torch

from hf_strategies.checkpoints.weights import Entry, Key, Weights
from hf_strategies.errors import StrategyError

__all__ = ["mean_tensor", "write_mean"]

_BYTES = {
    **dict.fromkeys(("F64", "I64", "U64", "C64"), 8),
    **dict.fromkeys(("F32", "I32", "U32"), 4),
    **dict.fromkeys(("F16", "BF16", "I16", "U16"), 2),
    **dict.fromkeys(("F8_E4M3", "F8_E5M2", "I8", "U8", "BOOL"), 1),
}
"""The bytes of a number of each type of safetensors that torch can compute with."""

_QUANTISED = {"I8", "U8"}
_INTEGERS = {name for name in _BYTES if name[0] in "IU"} | {"BOOL"}
_WIDE = {"F64", "C64"}  # these are averaged in their own type


def write_mean(sources: Sequence[Weights], shares: Sequence[float], target: Path) -> None:
    """Write the weighted mean of ``sources`` to the folder ``target``, in files as those of the last source.

    ``shares`` are at least 0 and sum to 1. The mean is computed in float32, in float64 for weights of that type, and
    written in the type of the sources. Weights that all sources have alike stay as they are, bit by bit. Integers
    and truth values are those of the last source, the newest one; statistics that a model keeps in float, as a batch
    norm does, are averaged as weights are. Raises `StrategyError` for weights that are not
    finite, and for quantised ones that differ.
    """
    newest = sources[-1]
    for file, keys in newest.files.items():
        entries = {key: newest.entries[key] for key in _in_order(keys, newest.entries)}
        (target / file).parent.mkdir(parents=True, exist_ok=True)
        tensors = (mean_tensor(sources, shares, key) for key in entries)
        _write_file(target / file, newest.metadata(file), entries, tensors)


def mean_tensor(sources: Sequence[Weights], shares: Sequence[float], key: Key) -> torch.Tensor:
    """Return the weighted mean of one tensor, in the type of the sources; see `write_mean`."""
    dtype = sources[-1].entries[key].dtype
    if dtype in _INTEGERS:
        return _integers(sources, key)
    mean, total, own = torch.zeros(()), 0.0, torch.float32
    for source, share in zip(sources, shares, strict=True):
        if share > 0.0:
            weights, total = source.load(key), total + share
            own = weights.dtype
            wide = own if dtype in _WIDE else torch.float32
            # The form of a running mean: a weight that all sources have alike is left exactly as it is.
            mean = weights.to(wide, copy=True) if total == share else mean.lerp_(weights.to(wide), share / total)
    return mean.to(own) if _is_finite(mean) else _equal_or_refused(sources, key)


def _is_finite(tensor: torch.Tensor) -> bool:
    """Whether all entries are finite; `torch.isfinite` would take as much memory again as the tensor has."""
    real = torch.view_as_real(tensor) if tensor.is_complex() else tensor
    return real.numel() == 0 or all(math.isfinite(bound) for bound in torch.aminmax(real))


def _integers(sources: Sequence[Weights], key: Key) -> torch.Tensor:
    """Return the integers or truth values of the newest source; weights that are quantised have to be all alike."""
    newest = sources[-1].load(key)
    is_quantised = sources[-1].entries[key].dtype in _QUANTISED
    if is_quantised and not all(torch.equal(source.load(key), newest) for source in sources[:-1]):
        raise StrategyError(f"{key[2]!r} is quantised, and differs between the sources: save the weights dequantised")
    return newest


def _equal_or_refused(sources: Sequence[Weights], key: Key) -> torch.Tensor:
    """Return a tensor with infinite entries, such as a mask, if all sources have the same."""
    newest = sources[-1].load(key)
    for source in sources:
        if not torch.equal(source.load(key), newest):
            raise StrategyError(
                f"{key[2]!r} has values that are not finite in {source.folder} or another source: the run has"
                " diverged, average checkpoints from before that"
            )
    return newest


def _in_order(keys: Sequence[Key], entries: Mapping[Key, Entry]) -> list[Key]:
    """Return the tensors of a file in the order in which safetensors writes them: the widest numbers first."""
    return sorted(keys, key=lambda key: (-_bytes_of_number(key, entries[key]), key[2]))


def _bytes_of_number(key: Key, entry: Entry) -> int:
    if entry.dtype not in _BYTES:
        raise StrategyError(f"{key[2]!r} in {entry.file} has the type {entry.dtype}, which cannot be averaged")
    return _BYTES[entry.dtype]


def _write_file(
    file: Path, metadata: Mapping[str, str], entries: Mapping[Key, Entry], tensors: Iterator[torch.Tensor]
) -> None:
    """Write a safetensors file: the length of its header, the header in JSON, and the tensors one after the other.

    safetensors itself writes only what lies in memory as a whole.
    """
    header: dict[str, object] = {"__metadata__": dict(metadata)} if metadata else {}
    end = 0
    for key, entry in entries.items():
        begin, end = end, end + math.prod(entry.shape) * _bytes_of_number(key, entry)
        header[key[2]] = {"dtype": entry.dtype, "shape": list(entry.shape), "data_offsets": [begin, end]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with file.open("wb") as out:
        out.write(struct.pack("<Q", len(text)) + text)
        for tensor in tensors:
            out.write(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().data)
