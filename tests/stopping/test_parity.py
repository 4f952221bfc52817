"""Keras' and Lightning's EarlyStopping on the same random series: the same stop and the same best.

The values are eighths between 0 and 4, so that ties happen and single precision, in which both compare, is exact.
"""

import math
import random
import warnings
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from tests.stopping.logs import judged

pytestmark = pytest.mark.slow

SERIES = 1000


def random_series(chance: random.Random) -> list[float]:
    """A series that falls at first and wanders later, as a validation loss does."""
    length, fall = chance.randint(1, 30), chance.choice([0, 1, 2])
    return [max(0, 16 - fall * place + chance.randint(-6, 6)) / 8 for place in range(length)]


def random_cases(seed: int) -> Iterator[tuple[random.Random, str, list[float]]]:
    chance = random.Random(seed)
    for _ in range(SERIES):
        mode, values = chance.choice(["min", "max"]), random_series(chance)
        yield chance, mode, values if mode == "min" else [4.0 - value for value in values]


def keras_stopping(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("KERAS_BACKEND", "torch")  # it is read at the import
    keras = pytest.importorskip("keras")
    if keras.backend.backend() != "torch":
        pytest.skip("keras was imported before with another backend")
    return keras.callbacks.EarlyStopping


def drive_keras(stopping: Any, values: list[float]) -> tuple[int | None, int | None]:
    """The stop and the best epoch, by the callback's own events; there is nothing to train."""
    model = SimpleNamespace(stop_training=False)
    # `set_model` takes a Keras model only to reach its attributes.
    stopping.set_model(model)
    stopping.on_train_begin()
    for epoch, value in enumerate(values):
        stopping.on_epoch_end(epoch, {"val_loss": value})
        if model.stop_training:
            break
    # Its best epoch is 0 before any was looked at.
    return (epoch if model.stop_training else None), (None if stopping.best is None else stopping.best_epoch)


def test_it_is_keras_early_stopping_on_random_series(monkeypatch: pytest.MonkeyPatch) -> None:
    # NaN and infinities are left out: to Keras a first NaN, and any -inf, is the best for ever. It never stops at
    # its first epoch, at which nothing but a NaN could stop us either, for our patience is at least 1 and a first
    # finite value is an improvement.
    theirs_of = keras_stopping(monkeypatch)
    stops = 0
    for chance, mode, values in random_cases(1):
        patience, delta = chance.randint(1, 6), chance.choice([0.0, 0.125, 0.5])
        start, baseline = chance.choice([0, 0, 1, 5]), chance.choice([None, None, 1.0, 2.0, 3.0])
        settings = {"min_delta": delta, "patience": patience, "mode": mode, "baseline": baseline}
        theirs = drive_keras(theirs_of(monitor="val_loss", start_from_epoch=start, **settings), values)
        ours = judged(values, f"patience({patience}, baseline={baseline})", mode, min_delta=delta, start_from=start)
        assert (ours.stop_index, ours.best_index) == theirs, (values, settings, start)
        stops += ours.stop_index is not None
    assert SERIES // 4 < stops < SERIES  # so that both outcomes were compared


def lightning_stopping() -> Any:
    with warnings.catch_warnings():
        # Its import warns of what its dependencies will deprecate, which is no matter of ours.
        warnings.simplefilter("ignore")
        pytest.importorskip("lightning")
        from lightning.pytorch.callbacks import EarlyStopping
    return EarlyStopping


def drive_lightning(stopping: Any, values: list[float]) -> tuple[int | None, int | None]:
    """The stop and the best check, by the callback's own judgement of each value."""
    import torch

    best = None
    for index, value in enumerate(values):
        before = stopping.best_score
        stop, _ = stopping._evaluate_stopping_criteria(torch.tensor(value))
        best = best if stopping.best_score is before else index
        if stop:
            return index, best
    return None, best


def spoilt(chance: random.Random, values: list[float]) -> list[float]:
    """Put something that is not finite into one series of four."""
    if chance.random() < 0.25:
        values[chance.randrange(len(values))] = chance.choice([math.nan, math.inf, -math.inf])
    return values


def test_it_is_lightning_early_stopping_on_random_series() -> None:
    # Its thresholds are strict, and to reach the stopping threshold is enough for us: ours lies a sixteenth, between
    # two possible values, beyond theirs, so that none lies on it. Beyond a threshold it does not look for the best
    # any more: then, and only then, ours may be the value at the stop itself.
    theirs_of = lightning_stopping()
    seen = {"patience": 0, "target": 0, "divergence": 0}
    for chance, mode, plain in random_cases(2):
        values = spoilt(chance, plain)
        patience, delta = chance.randint(1, 6), chance.choice([0.0, 0.125, 0.5])
        good, bad = (chance.choice([None, 0.5]), chance.choice([None, 2.5]))
        good, bad = (limit if limit is None or mode == "min" else 4.0 - limit for limit in (good, bad))
        theirs = theirs_of(
            "loss", delta, patience, mode=mode, stopping_threshold=good, divergence_threshold=bad, strict=True
        )
        stop, best = drive_lightning(theirs, values)
        beyond = -1 / 16 if mode == "min" else 1 / 16
        parts = [f"patience({patience})", f"divergence(threshold={bad})"]
        parts += [] if good is None else [f"target({good + beyond})"]
        ours = judged(values, " or ".join(parts), mode, min_delta=delta)
        reason = theirs.stopping_reason.name.lower()
        assert ours.stop_index == stop, (values, parts, mode, delta)
        if "threshold" in reason and ours.best_index == stop:
            best = stop
        assert ours.best_index == best, (values, parts, mode, delta)
        seen["patience"] += "patience" in reason
        seen["target"] += "stopping" in reason
        seen["divergence"] += "divergence" in reason or "finite" in reason
    assert all(count > SERIES // 20 for count in seen.values())


def test_lightning_without_a_check_of_finiteness_is_a_patience_alone() -> None:
    # Infinities are left out: the good one is the best for ever there. A first NaN is none there either.
    theirs_of = lightning_stopping()
    for chance, mode, values in random_cases(3):
        if chance.random() < 0.5:
            values[chance.randrange(len(values))] = math.nan
        patience, delta = chance.randint(1, 6), chance.choice([0.0, 0.125, 0.5])
        theirs = theirs_of("loss", delta, patience, mode=mode, check_finite=False)
        ours = judged(values, f"patience({patience})", mode, min_delta=delta)
        assert (ours.stop_index, ours.best_index) == drive_lightning(theirs, values), (values, mode, delta, patience)
