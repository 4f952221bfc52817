"""Records of the landing study, written by hand."""

from collections.abc import Sequence
from typing import Any

from benchmarks.landing.records import Cell

EMA = "ema(over='1ep')"


def curve(
    validation: Sequence[float], test: Sequence[float] | None = None, name: str = "raw"
) -> list[dict[str, Any]]:
    """Return evaluations at the steps 10, 20, ...; the loss falls by 0.1 each time, the ids count from 0."""
    tests = validation if test is None else test
    return [
        {"step": 10 * k, name: [value, 9.0 - 0.1 * k, tested, k - 1]}
        for k, (value, tested) in enumerate(zip(validation, tests, strict=True), start=1)
    ]


def cooldown(start: int, ends: Sequence[tuple[float, float]], length: float = 0.5) -> dict[str, Any]:
    """Return a cooldown from ``start`` with its (validation, test) values, the last at its end."""
    rows = [{"step": start + 10 * k, "raw": [v, 0.1, t, 90 + k]} for k, (v, t) in enumerate(ends, start=1)]
    return {"start": start, "length": length, "evaluations": rows}


def cell(task: str = "one", data: str = "one", seed: int = 0, **record: Any) -> Cell:
    """Return a cell with 128 validation and 4 test rows."""
    common = {"task": task, "data": data, "metric": "accuracy", "seed": seed, "lr": 0.001, "averages": [EMA]}
    return Cell(common | {"validation": 128, "test": 4, "cooled": []} | record)
