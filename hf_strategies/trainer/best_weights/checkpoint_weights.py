"""The weights in a checkpoint that transformers has written."""

import json
from collections.abc import Iterator
from pathlib import Path

import torch
from safetensors import safe_open
from torch import nn
from transformers.utils import SAFE_WEIGHTS_INDEX_NAME, SAFE_WEIGHTS_NAME

from hf_strategies.pytorch.best_weights import BestWeights
from hf_strategies.pytorch.shards import Piece, uncompiled_name

__all__ = ["CheckpointWeights"]


class CheckpointWeights:
    """The tensors in the safetensors files of a checkpoint: one file, or several files with an index.

    They are read one at a time, so that the memory for a single tensor is enough.
    """

    def __init__(self, folder: Path) -> None:
        self._files = _files_by_name(folder)

    def holds(self, model: nn.Module, weights: BestWeights) -> bool:
        """Whether the checkpoint holds all of the model's ``weights``, unsharded, in the same shapes and types.

        Buffers that are not in the `state_dict` are ignored, because they are constants. If ``weights`` include the
        state of an optimizer, the result is False.
        """
        if weights.has_optimizer:
            return False
        return all(not piece.placement and name is not None for name, piece in self._named_pieces(model, weights))

    @torch.no_grad()
    def read_into(self, model: nn.Module, weights: BestWeights) -> None:
        """Copy the ``weights`` that the checkpoint holds into the model, in place."""
        for name, piece in self._named_pieces(model, weights):
            if name is not None:
                with safe_open(self._files[name], framework="pt") as file:
                    piece.put(file.get_tensor(name))

    def _named_pieces(self, model: nn.Module, weights: BestWeights) -> Iterator[tuple[str | None, Piece]]:
        """Yield each sharded piece and each piece of the `state_dict`, with its name in the checkpoint.

        Tied weights are saved under one of their names. The name is None if the checkpoint lacks the piece.
        """
        tied_names = _tied_names(model)
        persistent = {uncompiled_name(name) for name in model.state_dict(keep_vars=True)}
        for piece in weights.pieces():
            names = tied_names.get(piece.name, [piece.name])
            if piece.placement or persistent & set(names):
                yield next((name for name in names if self._fits(name, piece)), None), piece

    def _fits(self, name: str, piece: Piece) -> bool:
        """Whether the checkpoint has a tensor of this name, with the shape and type of ``piece``."""
        if name not in self._files:
            return False
        with safe_open(self._files[name], framework="pt") as file:
            saved = file.get_tensor(name)  # a memory map: no data are read yet
            return bool(saved.shape == piece.tensor.shape and saved.dtype == piece.tensor.dtype)


def _files_by_name(folder: Path) -> dict[str, Path]:
    """Return the file of each tensor, by the tensor's name; an empty dict if there is no safetensors file."""
    whole, index = folder / SAFE_WEIGHTS_NAME, folder / SAFE_WEIGHTS_INDEX_NAME
    if whole.is_file():
        with safe_open(whole, framework="pt") as file:
            return dict.fromkeys(file.keys(), whole)
    if index.is_file():
        file_of = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
        return {name: folder / file for name, file in file_of.items()}
    return {}


def _tied_names(model: nn.Module) -> dict[str, list[str]]:
    """Return, for each name of a parameter or buffer, all names of the same tensor."""
    names: dict[int, list[str]] = {}
    for name, tensor in (
        *model.named_parameters(remove_duplicate=False),
        *model.named_buffers(remove_duplicate=False),
    ):
        names.setdefault(id(tensor), []).append(uncompiled_name(name))
    return {name: group for group in names.values() for name in group}
