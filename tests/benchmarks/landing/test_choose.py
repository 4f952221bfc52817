"""Options are chosen without the data that they are judged on, and intervals cover what they should."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from benchmarks.landing.arms import ARMS, Outcome
from benchmarks.landing.bootstrap import Draws
from benchmarks.landing.choose import held_out
from benchmarks.landing.records import Cell, Point, Rows, metric_of
from tests.benchmarks.landing.records import cell, curve


def decays(values: Sequence[float]) -> dict[str, list[dict[str, object]]]:
    return {"linear": curve(values), "cosine": curve(values)}


def cells() -> list[Cell]:
    """On the data sets A and B the patience of 3 wins, on C that of 4."""
    for_three, for_four = [50, 60, 61, 59, 59, 59, 70], [50, 60, 61, 59, 59, 59, 70]
    test_three, test_four = [0, 0, 90, 0, 0, 0, 10], [0, 0, 10, 0, 0, 0, 90]
    found = []
    for data in ("A", "B", "C"):
        test = test_four if data == "C" else test_three
        hold = curve(for_four if data == "C" else for_three, test)
        found.append(cell(f"task{data}", data, hold=hold, **decays([50.0, 50.0])))
    return found


def test_what_is_chosen_for_a_data_set_has_not_seen_it() -> None:
    arm = ARMS["constant_stop"]
    three, four = ((3, None), (4, None))
    chosen = held_out(cells(), type(arm)(arm.name, arm.outcome, arm.options | {"trigger": [four, three]}, ""))
    assert {data: options["trigger"] for data, options in chosen.chosen.items()} == {
        # without A: B wants 3, C wants 4, a tie goes to the first; without C both others want 3
        "A": four,
        "B": four,
        "C": three,
    }
    assert chosen.outcomes["taskC/0/0.001"].kept.test == 10


def outcome(weights: int, test: float) -> Outcome:
    return Outcome(Point(10, 0.0, 0.0, test, weights), 10, test)


def test_an_interval_covers_the_standard_error_of_a_paired_difference(tmp_path: Path) -> None:
    """One seed, 400 rows, 40 of which only one of both has right: the standard error is sqrt(0.1 - 0.01) / 20."""
    right = np.zeros((2, 400), dtype=bool)
    right[0, :200], right[1, :240] = True, True
    np.savez_compressed(tmp_path / "rows.npz", **{"one/0/0.001": np.packbits(right, axis=-1)})
    one = cell(test=400)
    draws = Draws([one], Rows([tmp_path / "rows.npz"]), draws=4000)
    overall, tasks = draws.differences({one.key: outcome(1, 60.0)}, {one.key: outcome(0, 50.0)})
    half = 100 * 1.96 * np.sqrt(0.1 * 0.9 / 400)
    assert overall == tasks["one"]
    assert overall.mean == pytest.approx(10.0)
    assert (overall.high - overall.low) / 2 == pytest.approx(half, rel=0.07)


def test_the_metrics_of_drawn_rows_are_those_of_the_repeated_rows() -> None:
    from scipy.stats import pearsonr
    from sklearn.metrics import f1_score

    counts = np.array([[1, 0, 2, 1]])
    assert metric_of("accuracy", np.array([[1.0, 1.0, 0.0, 1.0]]), counts) == pytest.approx(50.0)
    true, predicted = np.array([1, 1, 0, 1]), np.array([1, 0, 1, 1])
    parts = np.stack([true & predicted, predicted & ~true & 1, true & ~predicted & 1]).astype(float)
    repeated = np.repeat(np.arange(4), counts[0])
    assert metric_of("micro_f1", parts, counts) == pytest.approx(100 * f1_score(true[repeated], predicted[repeated]))
    x, y = np.array([1.0, 2.0, 3.0, 4.0]), np.array([1.0, 3.0, 2.0, 4.0])
    expected = 100 * pearsonr(x[repeated], y[repeated]).statistic
    assert metric_of("spearman", np.stack([x, y]), counts) == pytest.approx(expected)
