"""The folder of an average: written whole or not at all, with what a final model has beside its weights."""

import os
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from hf_strategies.checkpoints.mean import write_mean
from hf_strategies.checkpoints.sources import STATE, Source
from hf_strategies.checkpoints.weights import BASES, Weights, check_same, part_folders, read_weights
from hf_strategies.errors import StrategyError

__all__ = ["WeightedMean", "check_output", "new_folder", "write_model"]

_NOT_COPIED = re.compile(
    r"_.*|.*\.(bin|pt|pth|safetensors|log|lock|tmp)|README\.md|latest|zero_to_fp32\.py|training_args\..*"
    r"|(all|train|eval|test)_results\.json|predictions\.jsonl|(training|lr_finder)\.\w+"
    rf"|{re.escape(STATE)}|checkpoint-is-incomplete\.txt"
)
"""Files that are no part of a model: the state and the results of a training. The weights are written anew."""


@dataclass(frozen=True)
class WeightedMean:
    """Sources with their shares, at least 0 and together 1, in the order of their age: the newest is the last."""

    sources: Sequence[Source]
    shares: Sequence[float]

    @classmethod
    def of(cls, sources: Sequence[Source], shares: Sequence[float] | None = None) -> "WeightedMean":
        """Return a mean with these ``shares``; without them the plain mean."""
        return cls(sources, shares or [1.0 / len(sources)] * len(sources))

    def weights(self) -> list[Weights]:
        """Return the weights of the sources; raises `StrategyError` unless they fit together."""
        found = [read_weights(source.folder) for source in self.sources]
        check_same(found)
        return found


def write_model(mean: WeightedMean, folder: Path) -> None:
    """Write the averaged weights into a folder, and beside them what the newest source has: configuration, tokenizer.

    Neither the state nor the results of a training are copied, nor the model card.
    """
    weights = mean.weights()
    _copy(weights[-1].folder, folder)
    write_mean(weights, mean.shares, folder)


def check_output(output: Path) -> None:
    """Raise `StrategyError` where a folder, or anything else, lies at a path already."""
    try:
        # An error for a name that is too long, or has a zero byte.
        _temporary(output).lstat()
    except FileNotFoundError:
        pass
    except (OSError, ValueError) as mistake:
        raise StrategyError(f"output={str(output)!r} is no path that can be written: give another one") from mistake
    if os.path.lexists(output):
        raise StrategyError(f"output={str(output)!r} exists: delete it, or give another --output")


@contextmanager
def new_folder(output: Path) -> Iterator[Path]:
    """Yield a folder beside ``output`` to write into; at the end, when all is on the disk, it gets its name.

    If the block raises an error, or is interrupted, nothing is left. A killed process leaves a folder whose name
    begins with an underscore, and the next call replaces it. Raises `StrategyError` where the disk cannot be written.
    """
    check_output(output)
    temporary = _temporary(output)
    try:
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        yield temporary
        for file in temporary.rglob("*"):
            _flush(file)
        temporary.rename(output)
        _flush(output.parent)
    except OSError as mistake:
        raise StrategyError(
            f"output={str(output)!r} cannot be written ({mistake.strerror or mistake}): give another --output"
        ) from mistake
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _temporary(output: Path) -> Path:
    return output.with_name(f"_{output.name}.tmp")


def _copy(source: Path, target: Path) -> None:
    indices = {f"{base}.safetensors.index.json" for base in BASES}
    for part in part_folders(source):
        place = target / part.relative_to(source)
        for file in sorted(part.iterdir()):
            if file.is_file() and (file.name in indices or not _NOT_COPIED.fullmatch(file.name)):
                place.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file, place / file.name)


def _flush(path: Path) -> None:
    """Wait until a file, or the list of files of a folder, is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
