"""Logs as a Trainer keeps them, of values given as lists; and random values for laws."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from hypothesis import strategies as st

from hf_strategies.stopping import Judgement, StoppingRule

# Sixty-fourths, so that sums and products by powers of two are exact and ties happen.
finite = st.integers(-256, 256).map(lambda number: number / 64)
positive = st.integers(1, 256).map(lambda number: number / 64)
odd = st.sampled_from([math.nan, math.inf, -math.inf])
values_lists = st.lists(finite | finite | finite | odd, max_size=14)
finite_lists = st.lists(finite, max_size=14)
positive_lists = st.lists(positive, max_size=14)
modes = st.sampled_from(["min", "max"])

METERS = ("seconds", "flos", "tokens")


def log_of(
    values: Sequence[float],
    *,
    every: int = 1,
    per_epoch: int = 1,
    columns: Mapping[str, Sequence[float]] | None = None,
) -> list[dict[str, Any]]:
    """Evaluation k, counted from 1, at step ``every`` * k and epoch k / ``per_epoch``, after its training loss."""
    given, log = columns or {}, []
    for index, value in enumerate(values):
        at = {"step": every * (index + 1), "epoch": (index + 1) / per_epoch}
        if "train_loss" in given:
            log.append({"loss": given["train_loss"][index], **at})
        more = {"eval_value_stderr": given["stderr"][index]} if "stderr" in given else {}
        log.append({"eval_value": value, **more, **at})
    return log


def meters_of(columns: Mapping[str, Sequence[float]], every: int = 1) -> dict[str, dict[str, float]]:
    """What training had used up at the steps of `log_of`."""
    return {
        name: {str(every * (index + 1)): used for index, used in enumerate(columns[name])}
        for name in METERS
        if name in columns
    }


def judged(
    values: Sequence[float],
    stop_when: str,
    mode: str = "min",
    *,
    every: int = 1,
    per_epoch: int = 1,
    columns: Mapping[str, Sequence[float]] | None = None,
    total_steps: int | None = None,
    after_step: int = 0,
    **settings: Any,
) -> Judgement:
    """Judge values, and what else was logged with them, as a training's."""
    return StoppingRule.read("value", stop_when, mode, **settings).judge(
        log_of(values, every=every, per_epoch=per_epoch, columns=columns),
        usage=meters_of(columns or {}, every),
        total_steps=total_steps,
        after_step=after_step,
    )


def columns_of(values: list[float]) -> dict[str, list[float]]:
    """Columns that depend on the place only: those of a prefix are a prefix of them."""
    places = range(1, len(values) + 1)
    return {
        "train_loss": [2.0 / place for place in places],
        "stderr": [0.25 + 0.125 * (place % 3) for place in places],
        **{meter: [float(place) for place in places] for meter in ("seconds", "flos", "tokens")},
    }


def judge(values: list[float], stop_when: str, mode: str = "min", **settings: Any) -> Judgement:
    if "generalisation_gap" in stop_when:
        mode = "min"  # the only one it takes
    settings = {"total_steps": 20, "columns": columns_of(values), **settings}
    return judged(values, stop_when, mode, **settings)


def stop_of(values: list[float], stop_when: str, mode: str = "min", **settings: Any) -> float:
    """The index of the stop; infinite without one."""
    index = judge(values, stop_when, mode, **settings).stop_index
    return math.inf if index is None else index
