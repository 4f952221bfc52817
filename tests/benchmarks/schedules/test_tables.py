"""The arithmetic of the tables of costs: medians, differences and ratios, each worked out round by round."""

import pytest

from benchmarks.schedules import beside, callbacks
from benchmarks.schedules.callbacks import Costs
from benchmarks.schedules.processes import in_turns
from benchmarks.schedules.table import spread

NAMES = ("no callback", "EarlyStopping", "PlateauCooldown, held", "PlateauCooldown, cooldown")


def costs(*step_events: float, training: float = 1000.0) -> Costs:
    """A round: an evaluation costs ten times what a step costs, which the training takes longer, too."""
    return {
        name: {"step events": each, "evaluation events": 10 * each, "training": training + each}
        for name, each in zip(NAMES, step_events, strict=True)
    }


ROUNDS = [costs(0, 4, 12, 20), costs(0, 5, 10, 30, training=900), costs(0, 8, 32, 16)]


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ([3.0, 1.0, 20.5], "3.00 (1.00 to 20.50)"),
        ([12.34], "12.3"),
        ([150.4, 99.6], "125 (100 to 150)"),
    ],
)
def test_a_spread_is_the_median_with_least_and_most(values: list[float], text: str) -> None:
    assert spread(values) == text


def test_multiples_of_early_stopping_are_worked_out_round_by_round() -> None:
    assert callbacks.times_early_stopping(ROUNDS, "PlateauCooldown, held") == [3.0, 2.0, 4.0]


def test_what_a_callback_adds_is_the_difference_in_the_same_round() -> None:
    assert callbacks.added(ROUNDS, "PlateauCooldown, held") == [12.0, 10.0, 32.0]


def test_the_table_of_callbacks_has_a_row_each_and_the_multiples() -> None:
    lines = callbacks.table(ROUNDS).splitlines()
    assert "|EarlyStopping|5.00 (4.00 to 8.00)|50.0 (40.0 to 80.0)|5.00 (4.00 to 8.00)|" in lines
    assert "|PlateauCooldown, held / EarlyStopping|3.00 (2.00 to 4.00)|3.00 (2.00 to 4.00)||" in lines
    assert lines[-1] == "Without a callback a step takes 1000 (900 to 1000) microseconds."


def test_two_checkouts_are_compared_round_by_round() -> None:
    here, other = {"import, ms": [10.0, 30.0, 20.0]}, {"import, ms": [20.0, 20.0, 40.0]}
    line = beside.table(here, other).splitlines()[-1]
    # Ratios 0.5, 1.5 and 0.5.
    assert line == "|import, ms|20.0 (20.0 to 40.0)|20.0 (10.0 to 30.0)|0.50 (0.50 to 1.50)|"


def test_the_first_checkout_of_a_round_is_the_last_of_the_next() -> None:
    assert [list(in_turns(2, number)) for number in (1, 2, 3)] == [[0, 1], [1, 0], [0, 1]]
