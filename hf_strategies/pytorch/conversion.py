"""Weights in the type, and at the place, in which their average is kept; converted a chunk at a time."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from hf_strategies.pytorch.shards import Piece

__all__ = ["Conversion", "Part"]

# Elements whose type or place is changed at once, so that a copy of all weights never exists: on a CPU 4 MB, which
# stay in its cache, and 16 MB from a GPU; on a GPU 128 MB, for few launches.
_CHUNK_ON_CPU, _CHUNK_TO_CPU, _CHUNK_ON_GPU = 1 << 20, 1 << 22, 1 << 25


@dataclass(frozen=True)
class Part:
    """A part of a piece: the values from ``begin`` to ``end``, in their order in memory, or all of them."""

    name: str
    whole: Tensor
    begin: int = 0
    end: int | None = None

    def of(self, tensor: Tensor) -> Tensor:
        """Return this part of a tensor of the same shape as the piece."""
        return tensor if self.end is None else tensor.view(-1)[self.begin : self.end]


class Conversion:
    """Converts weights to float32, or to float64 if they are of that type, and moves them to where averages are.

    With ``in_cpu_memory``, averages are in CPU memory; else each is on the device of its weights.
    """

    def __init__(self, in_cpu_memory: bool) -> None:
        self._in_cpu_memory = in_cpu_memory
        self._memory: dict[torch.dtype, Tensor] = {}  # CPU memory for the copies of a chunk, by their type

    def chunks(self, pieces: Iterable[Piece]) -> Iterator[list[tuple[Part, Tensor]]]:
        """Read each piece once, and yield its parts with their converted values, which hold until the next chunk.

        The parts of a chunk are of one type and on one device.
        """
        chunks: dict[tuple[torch.device, torch.dtype], list[Part]] = {}
        sizes: dict[tuple[torch.device, torch.dtype], int] = {}
        for piece in pieces:
            tensor = piece.tensor  # DeepSpeed copies offloaded master weights to the device when they are read
            kind, limit = (tensor.device, tensor.dtype), self._chunk_size(tensor)
            splits = self._changes(tensor) and tensor.is_contiguous()
            for part in _parts(piece.name, tensor, limit if splits else tensor.numel()):
                size = part.of(tensor).numel()
                if kind in chunks and sizes[kind] + size > limit:
                    yield self._converted(chunks.pop(kind))
                    sizes[kind] = 0
                chunks.setdefault(kind, []).append(part)
                sizes[kind] = sizes.get(kind, 0) + size
        for chunk in chunks.values():
            yield self._converted(chunk)

    def empty(self, tensor: Tensor) -> Tensor:
        """Return new memory for the average of ``tensor``."""
        return torch.empty_like(tensor, dtype=_type_of(tensor), device=self.device_of(tensor))

    def device_of(self, tensor: Tensor) -> torch.device:
        """Return where the average of ``tensor`` is."""
        return torch.device("cpu") if self._in_cpu_memory else tensor.device

    def _converted(self, chunk: list[Part]) -> list[tuple[Part, Tensor]]:
        tensors = [part.of(part.whole) for part in chunk]
        if not self._changes(tensors[0]):
            return list(zip(chunk, tensors, strict=True))
        sizes = [tensor.numel() for tensor in tensors]
        copies = torch.split(self._scratch(sum(sizes), tensors[0]), sizes)
        news = [each.view_as(tensor) for each, tensor in zip(copies, tensors, strict=True)]
        torch._foreach_copy_(news, tensors)
        return list(zip(chunk, news, strict=True))

    def _scratch(self, size: int, of: Tensor) -> Tensor:
        """Return memory for copies; on a CPU the same each time, because fresh memory costs more than the average."""
        kind, device = _type_of(of), self.device_of(of)
        if device.type != "cpu":
            return torch.empty(size, dtype=kind, device=device)
        memory = self._memory.get(kind)
        if memory is None or memory.numel() < size:
            memory = self._memory[kind] = torch.empty(size, dtype=kind, pin_memory=of.is_cuda)
        return memory[:size]

    def _chunk_size(self, tensor: Tensor) -> int:
        if tensor.device.type != "cpu":
            return _CHUNK_TO_CPU if self._in_cpu_memory else _CHUNK_ON_GPU
        return _CHUNK_ON_CPU if self._changes(tensor) else _CHUNK_ON_GPU

    def _changes(self, tensor: Tensor) -> bool:
        """Whether the type or the place changes."""
        return tensor.dtype != _type_of(tensor) or tensor.device != self.device_of(tensor)


def _type_of(tensor: Tensor) -> torch.dtype:
    """Return the type of the average of ``tensor``."""
    return torch.promote_types(tensor.dtype, torch.float32)


def _parts(name: str, tensor: Tensor, size: int) -> Iterator[Part]:
    """Split a piece into parts of at most ``size`` values."""
    if tensor.numel() <= size:
        yield Part(name, tensor)
        return
    for begin in range(0, tensor.numel(), size):
        yield Part(name, tensor, begin, min(begin + size, tensor.numel()))
