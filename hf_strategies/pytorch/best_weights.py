"""A copy of the best weights in CPU memory."""

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from hf_strategies.errors import StrategyError
from hf_strategies.pytorch.shards import (
    OptimizerPieces,
    Piece,
    drop_gathered,
    pieces,
    refuse_unknown_placements,
    uncompiled_name,
)

__all__ = ["BestWeights"]

_CHECKED = (torch.float16, torch.bfloat16, torch.float32, torch.float64)  # the types that have NaN and a norm


class BestWeights:
    """Keep a copy of a model's weights in CPU memory, and restore it later.

    The copy holds all buffers, and the parameters that require a gradient now or when `keep` is called; tied weights
    are copied once. Parameters that stay frozen are not copied, because they cannot change: for a model with LoRA
    adapters, only the adapters are copied. If the weights are sharded (FSDP 2, DeepSpeed ZeRO-3, tensor parallelism),
    each process copies its own shard; under any ZeRO, also its share of the fp32 master weights. Every process
    therefore has to call `keep` and `restore` at the same steps, although the processes do not communicate.

    Cost: the size of the copied tensors in CPU memory per process, and the time of one copy at each `keep`. The copy
    from a GPU does not block the training; it uses pinned memory, where torch rounds the size of each tensor up to a
    power of two. With ``optimizer``, its state is copied too: for Adam, twice the size of the trainable weights.
    Under DeepSpeed in fp16 without ZeRO the master weights are not copied, so restore only at the end of training.

    Args:
        model: the model, wrapped or not, compiled with `torch.compile` or not.
        optimizer: the optimizer whose state is kept and restored together with the weights, so that training can go
            on from there; None keeps the weights alone.

    Raises `StrategyError` for a model that is no module, under FSDP 1, and if parameters or the optimizer's state are
    on NVMe.

    >>> model = nn.Linear(2, 1)
    >>> best = BestWeights(model)
    >>> best.keep()
    >>> before = model.weight.clone()
    >>> _ = nn.init.zeros_(model.weight)
    >>> best.restore()
    >>> bool((model.weight == before).all())
    True
    """

    def __init__(self, model: nn.Module, optimizer: Any = None) -> None:
        if not isinstance(model, nn.Module):
            raise StrategyError(
                f"best weights of a {type(model).__name__} cannot be kept, because it is no torch.nn.Module: set"
                " restore_best_weights=False, or give the module inside it"
            )
        refuse_unknown_placements(model)
        self._model = model
        self._optimizer = None if optimizer is None else OptimizerPieces(optimizer)
        # A parameter that is frozen for a while, as by GradualUnfreezing, may change after it was copied.
        self._trainable = {
            uncompiled_name(name) for name, parameter in model.named_parameters() if parameter.requires_grad
        }
        self._copies: dict[str, Tensor] = {}
        self._copying: set[torch.device] = set()  # the devices from which a copy may not be finished

    @property
    def is_kept(self) -> bool:
        """Whether there is a copy to restore."""
        return bool(self._copies)

    @property
    def has_optimizer(self) -> bool:
        """Whether the optimizer's state is kept too."""
        return self._optimizer is not None

    @torch.no_grad()
    def keep(self) -> None:
        """Copy the present weights; the copy replaces an earlier one."""
        earlier, self._copies = self._copies, {}
        for piece in self.pieces(earlier):
            tensor, copy = piece.tensor, earlier.get(piece.name)
            if copy is None or copy.shape != tensor.shape or copy.dtype != tensor.dtype:
                copy = _allocate_copy(tensor)  # the shape of a buffer may change
            copy.copy_(tensor, non_blocking=tensor.is_cuda)
            if tensor.is_cuda:
                self._copying.add(tensor.device)
            self._copies[piece.name] = copy

    @torch.no_grad()
    def restore(self) -> None:
        """Write the copy into the model, in place; raises `StrategyError` when there is no copy."""
        if not self._copies:
            raise StrategyError("no weights are kept: call keep() before restore()")
        self._wait()
        if self._optimizer:
            self._optimizer.forget_others({name for name in self._copies if name.startswith(OptimizerPieces.prefix)})
        for piece in self.pieces(self._copies):
            if piece.name in self._copies:
                piece.put(self._copies[piece.name])

    @torch.no_grad()
    def is_finite(self) -> bool:
        """Whether the present weights of this process hold neither NaN nor infinity.

        In a buffer, infinity is allowed, because masks consist of it. The state of the optimizer does not count.
        Cost: one pass over the weights, and one message from each device.
        """
        buffers = {uncompiled_name(name) for name, _ in self._model.named_buffers()}
        checks: dict[torch.device, list[Tensor]] = {}
        for piece in self.pieces(self._copies):
            tensor = piece.tensor
            if piece.name.startswith(OptimizerPieces.prefix) or tensor.dtype not in _CHECKED or not tensor.numel():
                continue
            # The largest magnitude is NaN if any value is, and needs no tensor of the same size.
            largest = torch.linalg.vector_norm(tensor, torch.inf)
            fine = ~torch.isnan(largest) if piece.name in buffers else torch.isfinite(largest)
            checks.setdefault(tensor.device, []).append(fine)
        return all(bool(torch.stack(each).all()) for each in checks.values())

    def drop(self) -> None:
        """Free the copy."""
        self._wait()
        self._copies = {}

    def save(
        self,
        path: str | os.PathLike[str],
        note: dict[str, str] | None = None,
        which: Callable[[Piece], bool] = lambda _: True,
    ) -> None:
        """Write the copy to a safetensors file, with ``note`` as its metadata.

        ``which`` selects the pieces to write. An interrupted write leaves no incomplete file under ``path``.
        """
        self._wait()
        # The optimizer may have state by now of parameters whose first update came after the copy.
        kept = [piece for piece in self.pieces(self._copies) if piece.name in self._copies]
        chosen = {piece.name: self._copies[piece.name] for piece in kept if which(piece)}
        unfinished = f"{os.fspath(path)}.tmp"
        save_file(chosen, unfinished, metadata=note)
        os.replace(unfinished, path)

    @staticmethod
    def note_of(path: str | os.PathLike[str]) -> dict[str, str]:
        """Return the note of a file that `save` wrote."""
        with safe_open(path, framework="pt") as file:
            return dict(file.metadata() or {})

    def load(self, *paths: str | os.PathLike[str]) -> None:
        """Read the copy from files that `save` wrote; raises `StrategyError` if they are of another model."""
        loaded = {name: tensor for path in paths for name, tensor in load_file(path).items()}
        expected = {piece.name: tuple(piece.tensor.shape) for piece in self.pieces()}
        saved = {name: tuple(tensor.shape) for name, tensor in loaded.items()}
        for name in sorted(expected.keys() | saved.keys()):
            # The files may lack the state of parameters whose first update came later.
            state_is_newer = name.startswith(OptimizerPieces.prefix) and name not in saved
            if expected.get(name) != saved.get(name) and not state_is_newer:
                raise StrategyError(
                    f"{os.fspath(paths[0])!r} is of another model: {name} is {saved.get(name, 'missing')} there and"
                    f" {expected.get(name, 'missing')} here"
                )
        self._copies = loaded

    def layout(self) -> tuple[set[str], str]:
        """Return the kinds of pieces in this process's copy, and a fingerprint of how the weights are sharded.

        The kinds are ``"common"``, for a piece that is the same in every process, and ``"own"``, for a shard.
        """
        placements = [(piece.name, piece.placement) for piece in self.pieces(self._copies)]
        kinds = {"own" if placement else "common" for _, placement in placements}
        of_weights = sorted(pair for pair in placements if not pair[0].startswith(OptimizerPieces.prefix))
        return kinds, hashlib.sha256(repr(of_weights).encode()).hexdigest()

    def pieces(self, names: Iterable[str] = ()) -> Iterator[Piece]:
        """Yield the pieces to copy; parameters with one of ``names`` are included even if they are frozen now."""
        drop_gathered(self._model)

        def wanted(name: str, parameter: nn.Parameter) -> bool:
            return parameter.requires_grad or name in self._trainable or name in names

        yield from pieces(self._model, wanted)
        if self._optimizer:
            yield from self._optimizer.pieces()

    def _wait(self) -> None:
        """Wait until the copies from all devices are finished."""
        for device in self._copying:
            torch.cuda.synchronize(device)
        self._copying.clear()


def _allocate_copy(tensor: Tensor) -> Tensor:
    """Return an empty tensor in CPU memory, of the same shape and dtype."""
    # Only into pinned memory can a copy from the GPU go on while the training continues.
    return torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=tensor.is_cuda)
