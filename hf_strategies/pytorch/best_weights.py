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
from hf_strategies.pytorch.shards import OptimizerPieces, Piece, bare, pieces, refuse_unknown_placements, settle

__all__ = ["BestWeights"]


class BestWeights:
    """Keep a copy of a model's weights in CPU memory and put it back later.

    What is copied: all buffers and the parameters that require a gradient when this is made or later, each once
    when tied. Parameters that stay frozen cannot have changed and are left alone: of a model with LoRA adapters
    only these are copied. Of sharded weights (FSDP 2, DeepSpeed ZeRO-3, tensor parallelism) each process copies
    its own shard, under any ZeRO its share of the fp32 master weights too; so every process has to call `keep`
    and `restore` at the same steps, though they do not communicate.

    Cost: that many bytes of CPU memory per process, and one copy of them at each `keep`. From a GPU the copy does
    not hold up the training; it goes to pinned memory, of which torch takes the next power of two per tensor.
    ``optimizer`` adds its state to what is kept: with Adam, twice the trainable weights once more. Under DeepSpeed
    without ZeRO in fp16, whose master weights are not kept, restore at the end of training only.

    Args:
        model: the model, wrapped or not; with `torch.compile` too.
        optimizer: keep and restore its state in step with the weights, to train on from there; None for not.

    Raises `StrategyError` under FSDP 1 and where parameters or optimizer state are on NVMe.

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
        refuse_unknown_placements(model)
        self._model = model
        self._optimizer = None if optimizer is None else OptimizerPieces(optimizer)
        # One that is frozen only for a while, as by GradualUnfreezing, may change after it was kept.
        self._trainable = {bare(name) for name, parameter in model.named_parameters() if parameter.requires_grad}
        self._kept: dict[str, Tensor] = {}
        self._copying: set[torch.device] = set()  # from where copies may be under way

    @property
    def is_kept(self) -> bool:
        """Whether there is a copy to restore."""
        return bool(self._kept)

    @property
    def has_optimizer(self) -> bool:
        """Whether an optimizer's state is kept too."""
        return self._optimizer is not None

    @torch.no_grad()
    def keep(self) -> None:
        """Copy the weights as they are now, in place of an earlier copy."""
        before, self._kept = self._kept, {}
        for piece in self.pieces(before):
            tensor, kept = piece.tensor, before.get(piece.name)
            if kept is None or kept.shape != tensor.shape or kept.dtype != tensor.dtype:
                kept = _room_for(tensor)  # a buffer may have grown
            kept.copy_(tensor, non_blocking=tensor.is_cuda)
            if tensor.is_cuda:
                self._copying.add(tensor.device)
            self._kept[piece.name] = kept

    @torch.no_grad()
    def restore(self) -> None:
        """Put the kept weights back into the model, in place; raises `StrategyError` when none are kept."""
        if not self._kept:
            raise StrategyError("no weights are kept: call keep() before restore()")
        self._wait()
        if self._optimizer:
            self._optimizer.forget_others({name for name in self._kept if name.startswith(OptimizerPieces.prefix)})
        for piece in self.pieces(self._kept):
            if piece.name in self._kept:
                piece.put(self._kept[piece.name])

    def drop(self) -> None:
        """Free the copy."""
        self._wait()
        self._kept = {}

    def save(
        self,
        path: str | os.PathLike[str],
        note: dict[str, str] | None = None,
        which: Callable[[Piece], bool] = lambda _: True,
    ) -> None:
        """Write the kept weights, or ``which`` of them, to a safetensors file with a note, whole or not at all."""
        self._wait()
        chosen = {piece.name: self._kept[piece.name] for piece in self.pieces(self._kept) if which(piece)}
        unfinished = f"{os.fspath(path)}.tmp"
        save_file(chosen, unfinished, metadata=note)
        os.replace(unfinished, path)

    @staticmethod
    def note_of(path: str | os.PathLike[str]) -> dict[str, str]:
        """Read the note of a file that `save` wrote."""
        with safe_open(path, framework="pt") as file:
            return dict(file.metadata() or {})

    def load(self, *paths: str | os.PathLike[str]) -> None:
        """Read kept weights from what `save` wrote; raises `StrategyError` if they fit another model."""
        loaded = {name: tensor for path in paths for name, tensor in load_file(path).items()}
        own = {piece.name: tuple(piece.tensor.shape) for piece in self.pieces()}
        theirs = {name: tuple(tensor.shape) for name, tensor in loaded.items()}
        for name in sorted(own.keys() | theirs.keys()):
            # The optimizer may have made first steps of some parameters since then.
            if own.get(name) != theirs.get(name) and not (name.startswith("optimizer.") and name not in theirs):
                raise StrategyError(
                    f"{os.fspath(paths[0])!r} is of another model: {name} is {theirs.get(name, 'missing')} there and"
                    f" {own.get(name, 'missing')} here"
                )
        self._kept = loaded

    def layout(self) -> tuple[set[str], str]:
        """Tell where this process's copy belongs.

        Returns the kinds of its parts, out of ``{"common", "own"}`` (the same in every process; this one's share),
        and a fingerprint of how the shares are cut.
        """
        found = [(piece.name, piece.placement) for piece in self.pieces(self._kept)]
        kinds = {"own" if placement else "common" for _, placement in found}
        cut = sorted(pair for pair in found if not pair[0].startswith(OptimizerPieces.prefix))
        return kinds, hashlib.sha256(repr(cut).encode()).hexdigest()

    def pieces(self, kept: Iterable[str] = ()) -> Iterator[Piece]:
        """Yield what there is to keep now, with the names in ``kept`` even where they are frozen."""
        settle(self._model)

        def wanted(name: str, parameter: nn.Parameter) -> bool:
            return parameter.requires_grad or name in self._trainable or name in kept

        yield from pieces(self._model, wanted)
        if self._optimizer:
            yield from self._optimizer.pieces()

    def _wait(self) -> None:
        for device in self._copying:
            torch.cuda.synchronize(device)
        self._copying.clear()


def _room_for(tensor: Tensor) -> Tensor:
    # Pinned memory is what makes a copy from the GPU go on by itself.
    return torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=tensor.is_cuda)
