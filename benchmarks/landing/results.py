"""The files of the results: a line for each cell, a task with a seed and a peak rate, and what its test rows add."""

import io
import json
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

RESULTS, ROWS = "landing.jsonl", "landing_rows"
_LARGEST = 14 * 2**20  # bytes of a file of rows

Cell = tuple[dict[str, Any], dict[str, np.ndarray]]


def done(folder: Path) -> set[tuple[str, int]]:
    """Return the tasks and seeds that have lines."""
    path = folder / RESULTS
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []
    return {(line["task"], line["seed"]) for line in lines}


def write(folder: Path, cells: Iterable[Cell]) -> None:
    """Append the cells' records, and their rows to the first file of rows that is not full."""
    paths = (folder / f"{ROWS}{number or ''}.npz" for number in range(100))
    path = next(path for path in paths if not path.exists() or path.stat().st_size < _LARGEST)
    for record, arrays in cells:
        with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as file:
            for name, array in packed(record, arrays).items():
                if f"{name}.npy" not in file.namelist():  # the labels are there once for all rates
                    buffer = io.BytesIO()
                    np.save(buffer, array)
                    file.writestr(f"{name}.npy", buffer.getvalue())
        with (folder / RESULTS).open("a", encoding="utf-8") as lines:
            lines.write(json.dumps(record, separators=(",", ":")) + "\n")


def packed(record: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the arrays of a cell by their names in the file: bits for an accuracy, else small numbers."""
    cell = f"{record['task']}/{record['seed']}"
    key = f"{cell}/{record['lr']:g}"
    if "right" in arrays:
        return {key: np.packbits(arrays["right"], axis=-1)}
    if "predictions" in arrays:
        return {key: arrays["predictions"].astype(np.float16), f"{cell}/labels": arrays["labels"]}
    return {f"{key}/{name}": array.astype(np.uint8) for name, array in arrays.items()}
