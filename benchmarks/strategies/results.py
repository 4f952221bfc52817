"""The records of the benchmark of strategies: one line of CSV for each run, appended when it ends."""

import csv
import io
import os
import platform
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple


class Key(NamedTuple):
    """What tells a run from all others."""

    task: str
    seed: int
    strategy: str
    lr: float
    layers: int = 3
    scale: int = 1


@dataclass(frozen=True)
class Record:
    """What a run came to.

    ``steps`` are optimizer steps made, ``best_step`` that of the best evaluation; the metrics are in points (0 to
    100) and of the weights that the strategy ends with. Of a schedule that runs to its end these are the last, and
    ``validation_best`` and ``test_best`` are those of its best evaluation. ``seconds`` of one CPU core are for
    training and its evaluations.
    """

    key: Key
    steps: int
    best_step: int
    validation: float
    test: float
    validation_best: float | None
    test_best: float | None
    seconds: float


COLUMNS = (
    *Key._fields,
    *("steps", "best_step", "validation", "test", "validation_best", "test_best", "seconds", "machine"),
)


def append(path: Path, record: Record) -> None:
    """Append a record in one write, so that two processes may append to one file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    if not path.is_file() or path.stat().st_size == 0:
        writer.writerow(COLUMNS)
    elif not path.read_bytes().endswith(b"\n"):
        text.write("\n")  # a line that an interrupted run left half written is ended, and read as nothing
    metrics = (record.validation, record.test, record.validation_best, record.test_best)
    written = ["" if value is None else f"{value:.3f}" for value in metrics]
    writer.writerow([*record.key, record.steps, record.best_step, *written, f"{record.seconds:.1f}", machine()])
    with path.open("a", encoding="utf-8") as file:
        file.write(text.getvalue())
        file.flush()
        os.fsync(file.fileno())


def read(path: Path) -> list[Record]:
    """Read all whole records; of two of the same run the first counts."""
    records: dict[Key, Record] = {}
    for row in _rows(path):
        record = _record(row)
        records.setdefault(record.key, record)
    return list(records.values())


def machines(path: Path) -> list[str]:
    """Return what the runs were made on."""
    return sorted({row["machine"] for row in _rows(path)})


def _rows(path: Path) -> Iterator[dict[str, str]]:
    """Yield the lines that are whole, by column. Line by line, for a torn one may hold a quote that never ends."""
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else ():
        try:
            values = next(csv.reader([line], strict=True), [])
        except csv.Error:
            continue
        if len(values) == len(COLUMNS) and tuple(values) != COLUMNS:
            yield dict(zip(COLUMNS, values, strict=True))


def unfinished(keys: Iterable[Key], path: Path) -> list[Key]:
    """Return the keys that have no record yet, in their order."""
    done = {record.key for record in read(path)}
    return [key for key in keys if key not in done]


def machine(threads: str = "1 thread a run") -> str:
    """Return the processor, its cores, how many ``threads`` were used, and the versions that matter."""
    from importlib.metadata import version

    return (
        f"{_processor()}, {os.cpu_count()} cores, {threads}; Python {platform.python_version()},"
        f" torch {version('torch')}, transformers {version('transformers')}"
    )


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _record(row: dict[str, str]) -> Record:
    key = Key(row["task"], int(row["seed"]), row["strategy"], float(row["lr"]), int(row["layers"]), int(row["scale"]))
    best, best_test = (float(row[name]) if row[name] else None for name in ("validation_best", "test_best"))
    validation, test, seconds = (float(row[name]) for name in ("validation", "test", "seconds"))
    return Record(key, int(row["steps"]), int(row["best_step"]), validation, test, best, best_test, seconds)
