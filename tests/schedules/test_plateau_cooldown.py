"""The cooldown's length, its latest start and its curve, worked out by hand."""

import math
from typing import Any

import pytest

from hf_strategies import SCHEDULES, StrategyError, schedule
from hf_strategies.schedules import WARMUPS
from hf_strategies.schedules.plateau_cooldown import PLATEAU_COOLDOWN, Cooldown, Timeline


def peak(step: float) -> float:
    """A schedule that stays at the peak."""
    return 1.0


def test_its_row_gives_its_golden_value() -> None:
    assert PLATEAU_COOLDOWN.golden is not None
    arguments, parameters, value = PLATEAU_COOLDOWN.golden
    assert PLATEAU_COOLDOWN.function(*arguments, **parameters) == pytest.approx(value, abs=1e-15)


def test_every_warmup_has_a_name_with_it() -> None:
    names = {f"{name}_warmup_plateau_cooldown" for name in WARMUPS if name != "none"} | {"plateau_cooldown"}
    assert names == {name for name in SCHEDULES if name.endswith("cooldown")}


def test_by_name_alone_it_cools_down_at_the_end_of_the_budget() -> None:
    # 8 + 0.5 * 8 = 12
    found = schedule(
        "linear_warmup_plateau_cooldown", total_steps=12, warmup_steps=2, cooldown=0.5, cooldown_shape="linear"
    )
    assert found.learning_rates(1.0) == [0.0, 0.5, 1, 1, 1, 1, 1, 1, 1, 0.75, 0.5, 0.25]
    assert (found(12), found(99)) == (0.0, 0.0)
    assert found.parameters["cooldown"] == 4


@pytest.mark.parametrize(
    ("cooldown", "total", "start"),
    [
        (0.5, 12, 8),  # 8 + 4
        (0.5, 13, 8),  # 9 + 5 = 14 is too long
        (0.5, 14, 9),
        (0.2, 100, 83),  # 83 + 17
        (0.2, 7, 5),  # 5 + 1 = 6, and 6 + 2 = 8
        (0.2, 1, 0),
        (5, 12, 7),
        (12, 12, 0),
        (13, 12, -1),
        ("2ep", 12, 4),
        (0.999, 1000, 500),  # 500 + 500
    ],
)
def test_the_latest_start_is_the_last_that_ends_with_the_training(cooldown: Any, total: int, start: int) -> None:
    one = Cooldown(cooldown, steps_per_epoch=4)
    assert one.latest_start(total) == start
    fits = [step for step in range(total + 1) if step + one.steps(step) <= total]
    assert max(fits, default=-1) == start


@pytest.mark.parametrize(
    ("cooldown", "done", "steps"), [(0.2, 10, 2), (0.2, 11, 3), (0.2, 0, 1), (7, 3, 7), ("1.5ep", 100, 6)]
)
def test_a_fraction_is_of_the_steps_done(cooldown: Any, done: int, steps: int) -> None:
    assert Cooldown(cooldown, steps_per_epoch=4).steps(done) == steps


@pytest.mark.parametrize(
    ("total", "warmup", "cooldown"), [(1, 0, 1), (2, 1, 1), (3, 1, 1), (100, 0, 34), (100, 66, 34), (100, 90, 10)]
)
def test_the_default_is_cut_to_what_follows_the_warmup(total: int, warmup: int, cooldown: int) -> None:
    found = schedule("linear_warmup_plateau_cooldown", total_steps=total, warmup_steps=warmup)
    assert found.parameters["cooldown"] == cooldown


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"cooldown": 0.5}, r"cooldown=0.5 has to start at step 66 of 100, before the warmup has ended at step 70"),
        ({"cooldown": 31}, r"cooldown=31 has to start at step 69 of 100"),
        ({"cooldown": 0}, "cooldown=0 gives 0 steps"),
        ({"cooldown": 1.0}, "cooldown=1.0 is ambiguous"),
        ({"cooldown": -3}, "cooldown=-3 is out of range"),
        ({"cooldown": "2ep"}, "cooldown='2ep' counts epochs"),
        ({"cooldown": "long"}, "cooldown='long' is no length of training"),
        ({"cooldown_shape": "step"}, "cooldown_shape='step' is none of its choices"),
        ({"cooldown_shape": "exponential"}, "give min_lr_ratio above 0, such as"),
        ({"min_lr_ratio": 2}, r"min_lr_ratio=2 is out of range: give a number in \[0, 1\]"),
    ],
)
def test_a_mistake_is_told(options: dict[str, Any], words: str) -> None:
    with pytest.raises(StrategyError, match=words):
        schedule("linear_warmup_plateau_cooldown", total_steps=100, warmup_steps=70, **options)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (Timeline(6, 9), [1, 1, 1, 1, 1, 1, 1, 2 / 3, 1 / 3, 0, 0]),
        (Timeline(4, 8, (2,), 0.5), [1, 1, 0.5, 0.5, 0.5, 0.375, 0.25, 0.125, 0, 0, 0]),
        (Timeline(5, 7, (1, 3), 0.1), [1, 0.1, 0.1, 0.01, 0.01, 0.01, 0.005, 0, 0, 0, 0]),
        # a reduction where the cooldown starts
        (Timeline(4, 6, (4,), 0.5), [1, 1, 1, 1, 0.5, 0.25, 0, 0, 0, 0, 0]),
        (Timeline(0, 2), [1, 0.5, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
        # cut to nothing: what follows is the floor
        (Timeline(9, 9), [1] * 10 + [0]),
    ],
)
def test_a_line_of_phases_is_a_list_of_rates(line: Timeline, expected: list[float]) -> None:
    linear = Cooldown(shape="linear")
    assert [line.ratio(peak, linear, step) for step in range(11)] == pytest.approx(expected, abs=1e-15)


def test_it_starts_from_what_the_schedule_gives_there() -> None:
    # a line from 1 to 0 in 10 steps; at step 4 it is 0.6
    found = [Timeline(4, 8).ratio(lambda step: 1 - step / 10, Cooldown(shape="linear"), step) for step in range(9)]
    assert found == pytest.approx([1, 0.9, 0.8, 0.7, 0.6, 0.45, 0.3, 0.15, 0], abs=1e-15)


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ("sqrt", [1, 0.5 + 0.5 * (1 - math.sqrt(0.25)), 0.5 + 0.5 * (1 - math.sqrt(0.5)), 0.5]),
        ("linear", [1, 0.875, 0.75, 0.5]),
        ("cosine", [1, 0.5 + 0.25 * (1 + math.cos(math.pi / 4)), 0.75, 0.5]),
        ("polynomial", [1, 0.5 + 0.5 * 0.75**2, 0.625, 0.5]),
        ("exponential", [1, 0.5**0.25, 0.5**0.5, 0.5]),
    ],
)
def test_each_curve_falls_from_its_start_to_the_floor(shape: str, expected: list[float]) -> None:
    one = Cooldown(shape=shape, floor=0.25)
    assert [one.fall(0.5, done, 4) for done in (0, 1, 2, 4)] == pytest.approx([0.5 * each for each in expected])


def test_what_is_below_the_floor_stays() -> None:
    assert [Cooldown(floor=0.3).fall(0.2, done, 4) for done in (0, 2, 4)] == [0.2] * 3
    assert Cooldown().fall(0.0, 2, 4) == 0.0


def test_skipped_updates_delay_the_hold_but_not_the_cooldown() -> None:
    """The schedule counts the updates that were made; the cooldown ends when it was said to."""
    line, falling, linear = Timeline(4, 8), lambda step: 1 - step / 10, Cooldown(shape="linear")
    # one of the first four was skipped: the schedule is at 3
    assert line.ratio(falling, linear, 3, late=1, late_at_start=1) == pytest.approx(0.8)
    # another in the cooldown moves neither its start, 0.7, nor its end
    expected = [0.7, 0.7 * 0.75, 0.35, 0.7 * 0.25, 0]
    found = [line.ratio(falling, linear, step, late=2 - (step < 6), late_at_start=1) for step in range(4, 9)]
    assert found == pytest.approx(expected, abs=1e-15)
