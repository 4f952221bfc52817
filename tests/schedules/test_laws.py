"""Laws that hold for every schedule of the grid, over a grid of lengths."""

import pytest

from hf_strategies.schedules import DECAYS, SCHEDULES, WARMUPS, Schedule, Shape, schedule

LENGTHS = [(1, 0), (2, 0), (2, 1), (10, 0), (10, 1), (10, 5), (10, 9), (100, 10), (100, 99), (137, 41), (1000, 1)]
ENDS_AT_FLOOR = {"linear", "cosine"}


def all_cases() -> list[Schedule]:
    """Every name with every length that it accepts, with the default parameters."""
    return [
        schedule(name, total_steps=total, warmup_steps=warmup)
        for name, plan in SCHEDULES.items()
        for total, warmup in LENGTHS
        if warmup == 0 or plan.warmup.name != "none"
    ]


CASES = all_cases()
IDS = [f"{case.name}-{case.total_steps}-{case.warmup_steps}" for case in CASES]
every_case = pytest.mark.parametrize("case", CASES, ids=IDS)


@pytest.mark.parametrize("shape", [*WARMUPS, *DECAYS], ids=lambda shape: shape.name)
def test_a_row_gives_its_golden_value(shape: Shape) -> None:
    arguments, parameters, value = shape.golden
    assert shape.function(*arguments, **parameters) == pytest.approx(value, abs=1e-15)


@pytest.mark.parametrize("shape", [*WARMUPS, *DECAYS], ids=lambda shape: shape.name)
def test_a_row_s_golden_value_names_all_its_parameters(shape: Shape) -> None:
    assert set(shape.golden[1]) == set(shape.parameters)


def test_the_grid_is_every_warmup_times_every_decay() -> None:
    assert len(SCHEDULES) == len(WARMUPS) * len(DECAYS)
    assert {"exponential_warmup_step_decay", "linear_warmup_cosine_decay", "constant_decay"} <= set(SCHEDULES)


@every_case
def test_stays_in_zero_to_one(case: Schedule) -> None:
    assert all(0.0 <= case(step) <= 1.0 for step in range(case.total_steps + 5))


@every_case
def test_is_exactly_the_peak_when_the_warmup_ends(case: Schedule) -> None:
    assert case(case.warmup_steps) == 1.0


@every_case
def test_never_falls_in_the_warmup_and_never_rises_after_it(case: Schedule) -> None:
    values = [case(step) for step in range(case.total_steps + 5)]
    rise, fall = values[: case.warmup_steps + 1], values[case.warmup_steps :]
    assert rise == sorted(rise)
    assert fall == sorted(fall, reverse=True)


@every_case
def test_stays_at_its_last_value_past_the_end(case: Schedule) -> None:
    end = case(case.total_steps)
    assert [case(case.total_steps + more) for more in (1, 2, 10, 10**6)] == [end] * 4


@every_case
def test_counts_a_negative_step_as_the_first(case: Schedule) -> None:
    assert case(-3) == case(0)


@pytest.mark.parametrize(
    "case",
    [case for case in CASES if case.warmup_steps],
    ids=lambda case: f"{case.name}-{case.total_steps}-{case.warmup_steps}",
)
def test_joins_warmup_and_decay_without_a_jump(case: Schedule) -> None:
    before, at = case(case.warmup_steps - 1e-9), case(case.warmup_steps)
    assert before == pytest.approx(at, abs=1e-6)


@every_case
def test_has_one_learning_rate_per_update_scaled_by_the_peak(case: Schedule) -> None:
    rates = case.learning_rates(0.5)
    assert rates == [0.5 * case(step) for step in range(case.total_steps)]
    assert max(rates) == 0.5


@pytest.mark.parametrize("name", [name for name in SCHEDULES if SCHEDULES[name].decay.name in ENDS_AT_FLOOR])
@pytest.mark.parametrize("floor", [0.0, 0.1, 0.3, 0.7, 1.0])
def test_ends_exactly_at_the_floor(name: str, floor: float) -> None:
    case = schedule(name, total_steps=100, warmup_steps=0, min_lr_ratio=floor)
    assert case(100) == floor


@pytest.mark.parametrize("name", [name for name in SCHEDULES if "min_lr_ratio" in SCHEDULES[name].parameters])
def test_never_goes_below_the_floor(name: str) -> None:
    case = schedule(name, total_steps=300, warmup_steps=0, min_lr_ratio=0.25)
    assert min(case(step) for step in range(400)) >= 0.25


@pytest.mark.parametrize("name", [name for name in SCHEDULES if "warmup_start" in SCHEDULES[name].parameters])
@pytest.mark.parametrize("start", [0.001, 0.3, 1.0])
def test_starts_at_the_start_of_the_warmup(name: str, start: float) -> None:
    case = schedule(name, total_steps=50, warmup_steps=7, warmup_start=start)
    assert case(0) == pytest.approx(start, abs=1e-15)
