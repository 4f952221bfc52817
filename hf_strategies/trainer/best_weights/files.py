"""The files of the best weights.

`write_files` and `read_files` use a file for what all processes share and one per process for its shards;
`CheckpointWeights` reads a checkpoint that transformers has written.
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

import torch
from accelerate.state import PartialState
from accelerate.utils import gather_object
from safetensors import SafetensorError, safe_open
from torch import nn
from transformers.utils import SAFE_WEIGHTS_INDEX_NAME, SAFE_WEIGHTS_NAME

from hf_strategies.errors import StrategyError
from hf_strategies.pytorch.best_weights import BestWeights
from hf_strategies.pytorch.shards import Piece, uncompiled_name
from hf_strategies.trainer.distributed import from_rank_zero

__all__ = [
    "CheckpointWeights",
    "DamagedFolders",
    "SavedWeights",
    "everywhere",
    "file_names",
    "fingerprint",
    "move_files",
    "read_files",
    "write_files",
]


def fingerprint(log_history: list[dict[str, Any]]) -> str:
    """Return a hash of the log so far, which identifies the run: the log contains its losses."""
    return hashlib.sha256(json.dumps(log_history, sort_keys=True).encode()).hexdigest()


def everywhere(here: bool) -> bool:
    """Whether ``here`` is true on every process; every process has to call this."""
    return all(gather_object([here]))


class SavedWeights(Protocol):
    """Weights that are written to files and read again: `BestWeights` and `AveragedWeights`."""

    def save(
        self, path: str | os.PathLike[str], note: dict[str, str] | None = None, which: Callable[[Piece], bool] = ...
    ) -> None: ...
    def load(self, *paths: str | os.PathLike[str]) -> None: ...
    def layout(self) -> tuple[set[str], str]: ...


class DamagedFolders:
    """The folders with damaged files of best weights, gathered for the message that reports them."""

    def __init__(self) -> None:
        self.folders: list[Path] = []

    def catch(self, folder: Path, read: Callable[[], bool]) -> bool:
        """Return the result of ``read``, which reads files in ``folder``; False if one of them is damaged."""
        try:
            return read()
        except StrategyError:
            raise
        except (OSError, ValueError, LookupError, TypeError, SafetensorError):
            self.folders.append(folder)
            return False


def file_names(weights: SavedWeights, name: str) -> dict[str, str]:
    """Return the names of this process's files, by the kind of weights in them: ``"common"`` or ``"own"``.

    ``name`` is the common beginning of the names. A process without shards has no file of its own.

    >>> from torch import nn
    >>> file_names(BestWeights(nn.Linear(2, 1)), "best_weights")
    {'common': 'best_weights.safetensors'}
    """
    process = PartialState()
    own = f"{name}-rank{process.process_index}of{process.num_processes}.safetensors"
    names = {"common": f"{name}.safetensors", "own": own}
    return {kind: names[kind] for kind in sorted(weights.layout()[0])}


def write_files(
    weights: SavedWeights, folder: Path, name: str, log_history: list[dict[str, Any]], is_main: bool
) -> None:
    """Write this process's own file, and the common file if ``is_main``.

    A note in each file identifies the run by the fingerprint of its log so far. The log contains timings, which
    differ between processes. All processes take the fingerprint of the first process, whose log a checkpoint holds.
    """
    folder.mkdir(parents=True, exist_ok=True)
    log = from_rank_zero(fingerprint(log_history))
    note = {"log": log, "entries": str(len(log_history)), "layout": weights.layout()[1]}
    common = {key: note[key] for key in ("log", "entries")}
    for kind, file in _written_files(weights, name, is_main).items():
        if kind == "own":
            weights.save(folder / file, note, lambda piece: bool(piece.placement))
        else:
            weights.save(folder / file, common, lambda piece: not piece.placement)


def move_files(weights: SavedWeights, source: Path, target: Path, name: str, is_main: bool) -> None:
    """Move the files that this process has written to ``target``; the last process removes the ``source`` folder."""
    for file in _written_files(weights, name, is_main).values():
        os.replace(source / file, target / file)
    for folder in (source, source.parent):
        with suppress(OSError):  # the folder still holds files of other processes
            folder.rmdir()


def read_files(
    weights: SavedWeights, folder: Path, name: str, log_history: list[dict[str, Any]], damaged: DamagedFolders
) -> bool:
    """Read the files that `write_files` wrote into ``weights``; return whether they were read.

    If a file of any process is missing, damaged or belongs to another run, no process reads any. A file belongs to
    another run if the log in its note is not how ``log_history`` begins, or if its weights were sharded in another
    way. Every process has to call this.

    Raises `StrategyError` if the files belong to another model.
    """
    files = {kind: folder / file for kind, file in file_names(weights, name).items()}
    layout = {"common": None, "own": weights.layout()[1]}

    def are_of_run() -> bool:
        return all(file.is_file() and _is_of_run(file, log_history, layout[kind]) for kind, file in files.items())

    def load() -> bool:
        weights.load(*files.values())
        return True

    return everywhere(damaged.catch(folder, are_of_run)) and everywhere(damaged.catch(folder, load))


def _written_files(weights: SavedWeights, name: str, is_main: bool) -> dict[str, str]:
    """Return the names of the files that this process writes, by kind."""
    return {kind: file for kind, file in file_names(weights, name).items() if kind == "own" or is_main}


def _is_of_run(file: Path, log_history: list[dict[str, Any]], layout: str | None) -> bool:
    note = BestWeights.note_of(file)
    entries = int(note.get("entries", -1))
    same_log = 0 <= entries <= len(log_history) and note.get("log") == fingerprint(log_history[:entries])
    return same_log and note.get("layout") == layout


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
