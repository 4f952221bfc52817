"""The files that hold the best weights: one for what all processes share, and one per process for its own."""

import hashlib
import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from accelerate.state import PartialState
from accelerate.utils import gather_object

from hf_strategies.pytorch.best_weights import BestWeights
from hf_strategies.trainer.distributed import from_rank_zero

__all__ = ["everywhere", "file_names", "fingerprint", "move_files", "read_files", "write_files"]


def fingerprint(log_history: list[dict[str, Any]]) -> str:
    """Tell a run, up to this step, from all others: its losses are in the log."""
    return hashlib.sha256(json.dumps(log_history, sort_keys=True).encode()).hexdigest()


def everywhere(here: bool) -> bool:
    """Whether something holds in all processes; every process has to call this."""
    return all(gather_object([here]))


def file_names(weights: BestWeights, name: str) -> dict[str, str]:
    """The files that this process's part of the weights is in, by kind of the part.

    >>> from torch import nn
    >>> file_names(BestWeights(nn.Linear(2, 1)), "best_weights")
    {'common': 'best_weights.safetensors'}
    """
    process = PartialState()
    own = f"{name}-rank{process.process_index}of{process.num_processes}.safetensors"
    names = {"common": f"{name}.safetensors", "own": own}
    return {kind: names[kind] for kind in sorted(weights.layout()[0])}


def write_files(
    weights: BestWeights, folder: Path, name: str, log_history: list[dict[str, Any]], is_main: bool
) -> None:
    """Write this process's own part, and the one in common if ``is_main``.

    A note tells whose they are, by the log of the run so far. The log has timings, which differ between processes;
    in a checkpoint it is the first one's.
    """
    folder.mkdir(parents=True, exist_ok=True)
    log = from_rank_zero(fingerprint(log_history))
    note = {"log": log, "entries": str(len(log_history)), "layout": weights.layout()[1]}
    common = {key: note[key] for key in ("log", "entries")}
    for kind, file in _written(weights, name, is_main).items():
        if kind == "own":
            weights.save(folder / file, note, lambda piece: bool(piece.placement))
        else:
            weights.save(folder / file, common, lambda piece: not piece.placement)


def move_files(weights: BestWeights, source: Path, target: Path, name: str, is_main: bool) -> None:
    """Move what this process has written from one folder to another; the last one removes the first folder."""
    for file in _written(weights, name, is_main).values():
        os.replace(source / file, target / file)
    for folder in (source, source.parent):
        with suppress(OSError):  # not empty yet
            folder.rmdir()


def read_files(weights: BestWeights, folder: Path, name: str, log_history: list[dict[str, Any]]) -> bool:
    """Read what `write_files` wrote, in all processes or, if the files of any are missing or another's, in none.

    Those of a run whose log began otherwise are another's. Another number of processes has other files, and another
    way of sharding another layout. Every process has to call this. Raises `StrategyError` if they fit another model.
    """
    files = {kind: folder / file for kind, file in file_names(weights, name).items()}
    layout = {"common": None, "own": weights.layout()[1]}
    found = all(file.is_file() and _is_of(file, log_history, layout[kind]) for kind, file in files.items())
    if not everywhere(found):
        return False
    weights.load(*files.values())
    return True


def _written(weights: BestWeights, name: str, is_main: bool) -> dict[str, str]:
    return {kind: file for kind, file in file_names(weights, name).items() if kind == "own" or is_main}


def _is_of(file: Path, log_history: list[dict[str, Any]], layout: str | None) -> bool:
    note = BestWeights.note_of(file)
    entries = int(note.get("entries", -1))
    of_run = 0 <= entries <= len(log_history) and note.get("log") == fingerprint(log_history[:entries])
    return of_run and note.get("layout") == layout
