"""The race: which strategies have lost after which seed, by differences that are worked out by hand."""

import numpy as np
import pytest

from hf_strategies.comparison.race import lost_after, raced_records
from hf_strategies.comparison.record import RunRecord
from hf_strategies.comparison.summary import summarize
from hf_strategies.report.comparison.text import comparison_text


def against_first(*differences: float, name: str = "b") -> list[RunRecord]:
    """The first strategy at 0.5 for each seed, and another one that differs as told."""
    values = [("a", seed, 0.5) for seed in range(len(differences))]
    values += [(name, seed, 0.5 + each) for seed, each in enumerate(differences)]
    return [RunRecord(strategy, seed, value, 10, 1.0, 1e9) for strategy, seed, value in values]


# Mean, standard error of three: -0.2, 0.00577; t(0.9995) of 2 degrees is 31.6, so that the interval ends at -0.018.
CLEAR = (-0.20, -0.21, -0.19)
# Of three it ends at +0.08; of four, with 0.00408 and 12.92, at -0.047.
LATER = (-0.10, -0.11, -0.09, -0.10)


@pytest.mark.parametrize(
    ("differences", "count"),
    [(CLEAR, 3), (LATER, 4), (LATER[:3], None), (CLEAR[:2], None), ((0.2, 0.21, 0.19), None)],
)
def test_a_strategy_has_lost_once_its_interval_is_below_zero(
    differences: tuple[float, ...], count: int | None
) -> None:
    assert lost_after(against_first(*differences), ["a", "b"], range(9)).get("b") == count
    assert lost_after(against_first(*(-each for each in differences)), ["a", "b"], range(9)).get("b") == (
        3 if differences[0] > 0 else None
    )


def test_the_direction_of_the_metric_decides() -> None:
    worse = against_first(0.2, 0.21, 0.19)
    assert lost_after(worse, ["a", "b"], range(9), greater_is_better=False) == {"b": 3}


def test_a_missing_seed_ends_the_looks_and_the_last_seed_is_none() -> None:
    runs = against_first(*CLEAR, -0.2)
    assert lost_after([run for run in runs if run.seed != 1], ["a", "b"], range(9)) == {}
    assert lost_after(runs, ["a", "b"], range(3)) == {}


def test_seeds_that_were_made_after_the_loss_do_not_count() -> None:
    runs = against_first(*CLEAR, 0.9, 0.9)
    lost = lost_after(runs, ["a", "b"], range(9))
    kept = raced_records(runs, lost, range(9))
    assert [(run.strategy, run.seed) for run in kept if run.strategy == "b"] == [("b", 0), ("b", 1), ("b", 2)]
    assert sum(run.strategy == "a" for run in kept) == 5


def test_the_table_and_the_sentence_tell_that_the_race_has_ended() -> None:
    runs = [*against_first(*CLEAR), *against_first(0.01, 0.0, 0.02, name="c")[3:]]
    text = comparison_text(summarize(runs, metric="accuracy", raced=["b"]), None)
    # With two challengers the level is 0.9995: t is 44.7, and 44.7 * 0.577 points are 25.8.
    assert "[-45.81, +5.81] (99.9 %)" in text
    [told] = summarize(against_first(*CLEAR), metric="accuracy", raced=["b"]).challengers
    assert told.raced
    # t is 31.6: 20 points, give or take 18.2.
    assert told.sentence.startswith("b is worse than a by 1.8 to 38.2 points (99.9 % interval over 3 seeds, after")


def test_equal_strategies_are_dropped_in_fewer_than_one_of_a_hundred_races() -> None:
    chance = np.random.default_rng(0)
    dropped = sum(
        bool(lost_after(against_first(*chance.normal(0, 0.01, 10)), ["a", "b"], range(10))) for _ in range(600)
    )
    assert dropped < 6
