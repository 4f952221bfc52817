"""The files with a run's metrics, and its model card: how damaged files are read, and how the card is written."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from huggingface_hub import ModelCard
from transformers import TrainingArguments

from hf_strategies.files import read_json, replacing
from hf_strategies.finetune.command_line import notify

__all__ = ["card_folder", "read_results"]

_CARD = "README.md"


def read_results(folder: Path) -> dict[str, Any]:
    """Return the metrics of ``all_results.json``; if it cannot be read, those of the files of the splits.

    Another program may have left half a file. The result is empty if there is no such file.
    """
    file = folder / "all_results.json"
    if not file.exists():
        return {}
    if (metrics := _metrics(file)) is not None:
        return metrics
    notify(f"{str(file)!r} cannot be read: it is made again from the results of the splits")
    splits = (_metrics(folder / f"{split}_results.json") for split in ("train", "eval", "test"))
    return {name: value for metrics in splits for name, value in (metrics or {}).items()}


@contextmanager
def card_folder(args: TrainingArguments) -> Iterator[None]:
    """Let the Trainer write its model card into a temporary folder; at the end the card is moved to its place.

    The Trainer reads an earlier card, whose tags it keeps. One that cannot be read is left out, and replaced.
    """
    place = Path(str(args.output_dir))
    folder, before = place / "_card", args.output_dir
    if folder.is_file():
        folder.unlink()
    folder.mkdir(parents=True, exist_ok=True)
    try:
        if _is_card(place / _CARD):
            shutil.copyfile(place / _CARD, folder / _CARD)
        args.output_dir = str(folder)
        yield
        with replacing(place / _CARD) as file:
            (folder / _CARD).replace(file)
    finally:
        args.output_dir = before
        shutil.rmtree(folder, ignore_errors=True)


def _is_card(file: Path) -> bool:
    if not file.is_file():
        return False
    try:
        ModelCard.load(file)
    except Exception:  # PyYAML and huggingface_hub raise errors of many types for a text that is no card
        return False
    return True


def _metrics(file: Path) -> dict[str, Any] | None:
    metrics = read_json(file)
    return metrics if isinstance(metrics, dict) else None
