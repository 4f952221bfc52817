"""Laws that hold for every schedule of the grid, over a grid of lengths."""

import pytest

from hf_strategies import StrategyError
from hf_strategies.schedules import DECAYS, SCHEDULES, WARMUPS, Curve, Schedule, schedule
from hf_strategies.schedules.cooldowns import COOLDOWNS

LENGTHS = [(1, 0), (2, 0), (2, 1), (10, 0), (10, 1), (10, 5), (10, 9), (100, 10), (100, 99), (137, 41), (1000, 1)]
PHASES = [{"shape": "linear", "length": 0.5, "start": 0, "end": 1}, {"shape": "cosine"}]
NAMES = [name for name in SCHEDULES if name != "phases"]
RISES_AGAIN = ("cosine_restarts", "triangular")
JUMPS = ("step", "multi_step", "cosine_restarts")
# These have no floor, or reach it later, by a rate of their own, or not at the very end.
ENDS_ELSEWHERE = {"constant", "step", "multi_step", "exponential", "inverse_sqrt", "cosine_restarts", "triangular"}


def decay_of(name: str) -> str:
    """The decay's part of a name of the grid; a whole schedule's name as it is."""
    return name.removesuffix("_decay").rpartition("_warmup_")[2]


def cases(name: str) -> list[Schedule]:
    """A name with every length that it accepts, with the default parameters."""
    lengths = [(total, warmup) for total, warmup in LENGTHS if warmup == 0 or SCHEDULES[name].has_warmup]
    return [schedule(name, total_steps=total, warmup_steps=warmup) for total, warmup in lengths]


every_name = pytest.mark.parametrize("name", NAMES)


@pytest.mark.parametrize("shape", [*WARMUPS.values(), *DECAYS.values()], ids=lambda shape: shape.name)
def test_a_row_gives_its_golden_value(shape: Curve) -> None:
    arguments, parameters, value = shape.golden
    assert shape.function(*arguments, **parameters) == pytest.approx(value, abs=1e-15)


@pytest.mark.parametrize("shape", [*WARMUPS.values(), *DECAYS.values()], ids=lambda shape: shape.name)
def test_a_row_s_golden_value_names_all_its_parameters(shape: Curve) -> None:
    assert set(shape.golden[1]) == set(shape.parameters)


def test_the_grid_is_every_warmup_times_every_decay_and_the_cooldown() -> None:
    whole = {"one_cycle", "slanted_triangular", "wsd", "phases"}
    assert len(SCHEDULES) == len(WARMUPS) * (len(DECAYS) + 1) + len(whole)
    assert whole < set(SCHEDULES)
    assert {"exponential_warmup_step_decay", "linear_warmup_plateau_cooldown", "constant_decay"} <= set(SCHEDULES)


@every_name
def test_stays_in_zero_to_one(name: str) -> None:
    for case in cases(name):
        assert all(0.0 <= case(step) <= 1.0 for step in range(case.total_steps + 5))


@every_name
def test_is_exactly_the_peak_when_the_warmup_ends(name: str) -> None:
    for case in cases(name):
        assert case(case.warmup_steps) == 1.0


@every_name
def test_never_falls_in_the_warmup(name: str) -> None:
    for case in cases(name):
        rise = [case(step) for step in range(case.warmup_steps + 1)]
        assert rise == sorted(rise)


@pytest.mark.parametrize("name", [name for name in NAMES if decay_of(name) not in RISES_AGAIN])
def test_never_rises_after_the_warmup(name: str) -> None:
    for case in cases(name):
        fall = [case(step) for step in range(case.warmup_steps, case.total_steps + 5)]
        assert fall == sorted(fall, reverse=True)


@pytest.mark.parametrize("name", [name for name in NAMES if decay_of(name) not in JUMPS])
def test_is_continuous_unless_it_falls_in_steps_or_restarts(name: str) -> None:
    """A ten-millionth of a step moves it by next to nothing."""
    for case in cases(name):
        for step in range(case.total_steps):
            assert abs(case(step + 1e-7) - case(step)) < 1e-3


@every_name
def test_stays_at_its_last_value_past_the_end(name: str) -> None:
    for case in cases(name):
        end = case(case.total_steps)
        assert [case(case.total_steps + more) for more in (1, 2, 10, 10**6)] == [end] * 4


@every_name
def test_counts_a_negative_step_as_the_first(name: str) -> None:
    for case in cases(name):
        assert case(-3) == case(0)


@pytest.mark.parametrize("name", [name for name in NAMES if SCHEDULES[name].has_warmup])
def test_joins_warmup_and_decay_without_a_jump(name: str) -> None:
    for case in [case for case in cases(name) if case.warmup_steps]:
        before, at = case(case.warmup_steps - 1e-12), case(case.warmup_steps)
        assert before == pytest.approx(at, abs=1e-5)


@every_name
def test_has_one_learning_rate_per_update_scaled_by_the_peak(name: str) -> None:
    for case in cases(name):
        rates = case.learning_rates(0.5)
        assert rates == [0.5 * case(step) for step in range(case.total_steps)]
        assert max(rates) == 0.5


@pytest.mark.parametrize("name", [name for name in NAMES if decay_of(name) not in ENDS_ELSEWHERE])
@pytest.mark.parametrize("floor", [0.0, 0.1, 0.3, 0.7, 1.0])
def test_ends_exactly_at_the_floor(name: str, floor: float) -> None:
    case = schedule(name, total_steps=100, warmup_steps=0, min_lr_ratio=floor)
    assert case(100) == floor


def test_what_ends_elsewhere_is_in_the_table() -> None:
    assert set(DECAYS) >= ENDS_ELSEWHERE


@pytest.mark.parametrize("name", [name for name in NAMES if "min_lr_ratio" in SCHEDULES[name].parameters])
def test_never_goes_below_the_floor(name: str) -> None:
    case = schedule(name, total_steps=300, warmup_steps=0, min_lr_ratio=0.25)
    assert min(case(step) for step in range(case.warmup_steps, 400)) >= 0.25


@pytest.mark.parametrize("name", [name for name in NAMES if "warmup_start" in SCHEDULES[name].parameters])
@pytest.mark.parametrize("start", [0.001, 0.3, 1.0])
def test_starts_at_the_start_of_the_warmup(name: str, start: float) -> None:
    case = schedule(name, total_steps=50, warmup_steps=7, warmup_start=start)
    assert case(0) == pytest.approx(start, abs=1e-15)


@every_name
def test_gives_python_floats_the_same_each_time(name: str) -> None:
    for case in cases(name):
        values = [case(step) for step in range(case.total_steps + 1)]
        assert {type(value) for value in values} == {float}
        assert values == [case(step) for step in range(case.total_steps + 1)]


@pytest.mark.parametrize("shape", COOLDOWNS)
@pytest.mark.parametrize("floor", [0.0, 0.01, 0.3])
def test_every_cooldown_ends_at_the_floor_or_is_refused(shape: str, floor: float) -> None:
    options = {"cooldown": 20, "cooldown_shape": shape, "min_lr_ratio": floor}
    if shape == "exponential" and floor == 0.0:
        with pytest.raises(StrategyError, match="give min_lr_ratio above 0, such as"):
            schedule("stable_decay", total_steps=100, **options)
    else:
        case = schedule("stable_decay", total_steps=100, **options)
        assert (case(80), case(100)) == (1.0, pytest.approx(floor, abs=1e-15))


@pytest.mark.parametrize(("total", "length"), [(1, 1), (8, 2), (8, 8), (100, 25)])
@pytest.mark.parametrize("floor", [0.0, 0.2])
def test_restarts_that_end_with_a_whole_cycle_end_at_the_floor(total: int, length: int, floor: float) -> None:
    case = schedule("cosine_restarts_decay", total_steps=total, cycle_length=length, min_lr_ratio=floor)
    assert [case(total), case(total + 1), case(total - 1e-6)] == pytest.approx([floor] * 3, abs=1e-9)
    assert case(total - length) == 1.0


def test_restarts_with_longer_cycles_end_at_the_floor_too() -> None:
    # cycles of 10, 20 and 40 steps
    case = schedule("cosine_restarts_decay", total_steps=70, cycle_length=10, cycle_mult=2, peak_decay=0.5)
    assert [case(0), case(10), case(30), case(70)] == [1.0, 0.5, 0.25, 0.0]


def test_triangles_that_end_with_a_whole_cycle_end_at_the_peak_they_have_risen_to() -> None:
    case = schedule("triangular_decay", total_steps=20, cycle_length=10)
    assert [case(step) for step in (15, 20, 21)] == [0.0, 1.0, 1.0]
    assert case(20 - 1e-9) == pytest.approx(1.0)
