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

__all__ = ["SavedModel"]


class SavedModel:
    """The safetensors of a folder, in one file or in several with an index, read one tensor at a time."""

    def __init__(self, folder: Path) -> None:
        self._files = _files_by_name(folder)

    def holds(self, model: nn.Module, weights: BestWeights) -> bool:
        """Whether all of ``weights`` of the model is here, unsharded and with nothing besides, bit for bit.

        Buffers that are in no `state_dict` are not asked for: they are constants.
        """
        if weights.has_optimizer:
            return False
        return all(not piece.placement and name is not None for name, piece in self._named(model, weights))

    @torch.no_grad()
    def read_into(self, model: nn.Module, weights: BestWeights) -> None:
        """Copy what `holds` found into the model, in place."""
        for name, piece in self._named(model, weights):
            if name is not None:
                with safe_open(self._files[name], framework="pt") as file:
                    piece.put(file.get_tensor(name))

    def _named(self, model: nn.Module, weights: BestWeights) -> Iterator[tuple[str | None, Piece]]:
        """Each persistent piece, or share, with its name here, any of those of tied weights; None if it is not."""
        groups = _tied_names(model)
        persistent = {uncompiled_name(name) for name in model.state_dict(keep_vars=True)}
        for piece in weights.pieces():
            group = groups.get(piece.name, [piece.name])
            if piece.placement or persistent & set(group):
                yield next((name for name in group if self._fits(name, piece)), None), piece

    def _fits(self, name: str, piece: Piece) -> bool:
        if name not in self._files:
            return False
        with safe_open(self._files[name], framework="pt") as file:
            saved = file.get_tensor(name)  # mapped, not read
            return bool(saved.shape == piece.tensor.shape and saved.dtype == piece.tensor.dtype)


def _files_by_name(folder: Path) -> dict[str, Path]:
    whole, index = folder / SAFE_WEIGHTS_NAME, folder / SAFE_WEIGHTS_INDEX_NAME
    if whole.is_file():
        with safe_open(whole, framework="pt") as file:
            return dict.fromkeys(file.keys(), whole)
    if index.is_file():
        found = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
        return {name: folder / file for name, file in found.items()}
    return {}


def _tied_names(model: nn.Module) -> dict[str, list[str]]:
    """All names of the tensor that has a name, for each name."""
    names: dict[int, list[str]] = {}
    for name, tensor in (
        *model.named_parameters(remove_duplicate=False),
        *model.named_buffers(remove_duplicate=False),
    ):
        names.setdefault(id(tensor), []).append(uncompiled_name(name))
    return {name: group for group in names.values() for name in group}
