"""A copy of the best weights in CPU memory."""

import os
from collections.abc import Iterator

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from hf_strategies.errors import StrategyError

__all__ = ["BestWeights"]


class BestWeights:
    """Keep a copy of a model's weights in CPU memory and put it back later.

    What is copied: all buffers and the parameters that require a gradient when this is made or later, each once
    when tied. Cost: that many bytes of CPU memory, and one copy of them at each `keep`. Parameters that stay
    frozen cannot have changed and are left alone. The optimizer's state is not kept.

    For whole models on one device or replicated (DDP); not for sharded ones (FSDP, DeepSpeed ZeRO-3).

    >>> model = nn.Linear(2, 1)
    >>> best = BestWeights(model)
    >>> best.keep()
    >>> before = model.weight.clone()
    >>> _ = nn.init.zeros_(model.weight)
    >>> best.restore()
    >>> bool((model.weight == before).all())
    True
    """

    def __init__(self, model: nn.Module) -> None:
        self._model = model
        # One that is frozen only for a while, as by GradualUnfreezing, may change after it was kept.
        self._trainable = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
        self._kept: dict[str, Tensor] = {}

    @property
    def is_kept(self) -> bool:
        """Whether there is a copy to restore."""
        return bool(self._kept)

    @torch.no_grad()
    def keep(self) -> None:
        """Copy the weights as they are now, in place of an earlier copy."""
        for name, tensor in self._tensors():
            kept = self._kept.get(name)
            if kept is not None and kept.shape == tensor.shape:  # a buffer may have grown
                kept.copy_(tensor)
            else:
                self._kept[name] = tensor.detach().to("cpu", copy=True, memory_format=torch.contiguous_format)

    @torch.no_grad()
    def restore(self) -> None:
        """Put the kept weights back into the model, in place; raises `StrategyError` when none are kept."""
        if not self._kept:
            raise StrategyError("no weights are kept: call keep() before restore()")
        for name, tensor in self._tensors():
            if name in self._kept:
                tensor.copy_(self._kept[name])

    def save(self, path: str | os.PathLike[str], note: dict[str, str] | None = None) -> None:
        """Write the kept weights to a safetensors file with a note, whole or not at all."""
        unfinished = f"{os.fspath(path)}.tmp"
        save_file(self._kept, unfinished, metadata=note)
        os.replace(unfinished, path)

    @staticmethod
    def note_of(path: str | os.PathLike[str]) -> dict[str, str]:
        """Read the note of a file that `save` wrote."""
        with safe_open(path, framework="pt") as file:
            return dict(file.metadata() or {})

    def load(self, path: str | os.PathLike[str]) -> None:
        """Read kept weights from a file that `save` wrote; raises `StrategyError` if they fit another model."""
        loaded = load_file(path)
        own = {name: tuple(tensor.shape) for name, tensor in self._tensors()}
        theirs = {name: tuple(tensor.shape) for name, tensor in loaded.items()}
        for name in sorted(own.keys() | theirs.keys()):
            if own.get(name) != theirs.get(name):
                raise StrategyError(
                    f"{os.fspath(path)!r} is of another model: {name} is {theirs.get(name, 'missing')} there and"
                    f" {own.get(name, 'missing')} here"
                )
        self._kept = loaded

    def _tensors(self) -> Iterator[tuple[str, Tensor]]:
        for name, parameter in self._model.named_parameters():
            if parameter.requires_grad or name in self._trainable or name in self._kept:
                yield name, parameter
        yield from self._model.named_buffers()
