"""Laws of every average: its coefficients, the weights that they give to a trajectory, and torch's own averages."""

import math
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from typing import Any

import pytest
import torch
from torch.optim.swa_utils import AveragedModel, get_ema_avg_fn, get_ema_multi_avg_fn, get_swa_avg_fn

from hf_strategies.averaging import AVERAGES, Average, AveragePlan, AverageRow, shape_weights
from hf_strategies.averaging.averages import tail_start
from hf_strategies.schedules.cooldowns import COOLDOWNS

LENGTHS = ["1", "2", "3", "7", "10", "'4 steps'", "'1ep'", "'0.5ep'", "0.5", "0.1", "0.05", "0.9", "0.33"]
TEXTS = [
    *(f"{name}(over={length})" for name in ("ema", "tail") for length in LENGTHS),
    *(f"ema(decay={decay})" for decay in ("0", "0.5", "0.9", "0.999")),
    *("polynomial", "polynomial(power=0)", "polynomial(power=0.5)", "polynomial(power=8)"),
]
UPDATES = 60
every_average = pytest.mark.parametrize("text", TEXTS)


def plan_of(text: str) -> AveragePlan:
    return Average.read(text).plan(total_steps=40, steps_per_epoch=8)


def slots_after(plan: AveragePlan, trajectory: list[float]) -> Iterator[list[float]]:
    """The running averages after each update, as a callback computes them."""
    slots = [math.nan] * plan.slots
    for n, weights in enumerate(trajectory, 1):
        for index, coefficient in enumerate(plan.coefficients(n)):
            if coefficient == 1.0:
                slots[index] = weights
            elif coefficient != 0.0:
                slots[index] += coefficient * (weights - slots[index])
        yield slots


def averages(plan: AveragePlan, trajectory: list[float]) -> list[float]:
    return [slots[plan.read(n)] for n, slots in enumerate(slots_after(plan, trajectory), 1)]


def implied_weights(plan: AveragePlan, n: int) -> list[float]:
    """The share of each update in the average after n: what the average of the unit vectors is."""
    return [averages(plan, [float(index == unit) for index in range(n)])[-1] for unit in range(n)]


def weighted_sum(weights: Sequence[float], values: Sequence[float]) -> float:
    return math.fsum(weight * value for weight, value in zip(weights, values, strict=False))


def normal(weights: list[float]) -> list[float]:
    total = math.fsum(weights)
    return [weight / total for weight in weights]


def expected_weights(plan: AveragePlan, n: int) -> list[float]:
    """The closed formula of each built-in average, which knows of no recursion."""
    values = plan.values
    match plan.average.row.name:
        case "tail":
            window = n - windows_begin(values["over"], n)
            return [0.0] * (n - window) + [1 / window] * window
        case "polynomial":
            power = values["power"]
            return normal(
                [math.exp(math.lgamma(j + power) - math.lgamma(j)) if j + power > 0 else 0.0 for j in range(1, n + 1)]
            )
        case "ema" if values["decay"] is not None:
            return ema_weights(n, lambda j: max(1 - values["decay"], 2 / (j + 1)))
        case "ema" if values["over"] < 1:
            return ema_weights(n, lambda j: min(1.0, 2 / (values["over"] * j + 1)))
        case "ema":
            return ema_of_a_span(n, values["over"])
    raise AssertionError(plan)


def ema_weights(n: int, share: Callable[[int], float]) -> list[float]:
    return [share(j) * math.prod(1 - share(later) for later in range(j + 1, n + 1)) for j in range(1, n + 1)]


def ema_of_a_span(n: int, span: int) -> list[float]:
    """Proportional to j until the span is full; then every update takes 2 / (span + 1)."""
    full = min(n, span)
    start = [2 * j / (full * (full + 1)) for j in range(1, full + 1)]
    keep = (span - 1) / (span + 1)
    later = [2 / (span + 1) * keep ** (n - j) for j in range(full + 1, n + 1)]
    return [weight * keep ** (n - full) for weight in start] + later


def windows_begin(over: int | float, n: int) -> int:
    """Where the window of `tail` begins: multiples of it, or a growing sequence, walked from the beginning."""
    if over >= 1:
        return max(0, n // int(over) - 1) * int(over)
    share, last, here = Fraction(repr(over)), 0, 0
    while True:
        coming = max(here + 1, math.ceil(here / (1 - share)))
        if coming > n:
            return last
        last, here = here, coming


@pytest.mark.parametrize("row", AVERAGES.values(), ids=lambda row: row.name)
def test_a_row_gives_its_golden_value(row: AverageRow) -> None:
    assert row.golden is not None
    n, values, expected = row.golden
    assert set(values) == set(row.parameters)
    assert row.function(n, **values) == pytest.approx(expected, abs=1e-15)


def test_every_row_is_among_the_cases() -> None:
    online = {name for name, row in AVERAGES.items() if not row.snapshots}
    assert {text.partition("(")[0] for text in TEXTS} == online


@every_average
def test_coefficients_lie_in_zero_to_one_and_the_first_weights_are_taken_as_they_are(text: str) -> None:
    plan = plan_of(text)
    assert plan.coefficients(1)[plan.read(1)] == 1.0
    for n in [*range(1, UPDATES), 10**3, 10**5, 10**6]:
        coefficients = plan.coefficients(n)
        assert len(coefficients) == plan.slots
        assert all(type(each) is float and 0.0 <= each <= 1.0 for each in coefficients)
        assert 0 <= plan.read(n) < plan.slots


@every_average
def test_the_share_of_every_update_is_at_least_zero_and_they_sum_to_one(text: str) -> None:
    for n in (1, 2, 3, 5, 8, 20, UPDATES):
        weights = implied_weights(plan_of(text), n)
        assert min(weights) >= -1e-15
        assert math.fsum(weights) == pytest.approx(1.0, abs=1e-13)


@every_average
def test_it_equals_the_weighted_sum_of_the_recorded_trajectory(text: str) -> None:
    plan, trajectory = plan_of(text), [math.sin(7.0 * n) + n / 10 for n in range(UPDATES)]
    for n, average in enumerate(averages(plan, trajectory), 1):
        weights = expected_weights(plan, n)
        assert average == pytest.approx(weighted_sum(weights, trajectory), abs=1e-12), n


@every_average
def test_weights_that_do_not_move_are_their_own_average(text: str) -> None:
    assert averages(plan_of(text), [0.1] * UPDATES) == [0.1] * UPDATES


@every_average
def test_reading_an_average_s_text_gives_the_same_average(text: str) -> None:
    average = Average.read(text)
    assert Average.read(str(average)) == average
    assert Average.read(average) is average


@pytest.mark.parametrize("span", [2, 5, 9])
def test_the_mean_age_of_an_ema_is_that_of_the_plain_mean_of_its_span(span: int) -> None:
    weights = expected_weights(plan_of(f"ema(over={span})"), 400)
    assert math.fsum((400 - j) * weight for j, weight in enumerate(weights, 1)) == pytest.approx((span - 1) / 2)


@pytest.mark.parametrize("power", [0.0, 0.5, 3.0])
def test_the_mean_age_of_a_polynomial_average_is_the_one_of_its_docstring(power: float) -> None:
    weights = implied_weights(plan_of(f"polynomial(power={power})"), 50)
    age = math.fsum((50 - j) * weight for j, weight in enumerate(weights, 1))
    assert age == pytest.approx(49 / (power + 2))


def test_over_and_decay_say_the_same() -> None:
    over, decay = plan_of("ema(over=9)"), plan_of("ema(decay=0.8)")  # (9 - 1) / (9 + 1)
    for n in range(1, 50):
        assert over.coefficients(n) == pytest.approx(decay.coefficients(n))


@pytest.mark.parametrize("window", [1, 2, 5, 8])
def test_tail_averages_from_its_length_to_less_than_twice_and_exactly_it_at_every_multiple(window: int) -> None:
    for n in range(1, 80):
        size = n - tail_start(n, over=window)
        assert size == n if n < window else window <= size < 2 * window
        assert n % window != 0 or size == window


@pytest.mark.parametrize("share", [0.01, 0.05, 0.1, 0.3, 0.5, 0.75, 0.9, 0.99])
def test_tail_of_a_fraction_averages_at_least_that_share_and_not_much_more(share: float) -> None:
    exact = Fraction(repr(share))
    for n in range(1, 3000):
        averaged = Fraction(n - tail_start(n, over=share), n)
        assert exact <= averaged < 2 * exact - exact**2 + (1 - exact) / n


def test_tail_of_a_half_restarts_at_doublings() -> None:
    plan = plan_of("tail(over=0.5)")
    # One of the two means restarts, with the coefficient 1, after the updates 0, 1, 2, 4, 8, ...
    assert [n for n in range(1, 40) if 1.0 in plan.coefficients(n)] == [1, 2, 3, 5, 9, 17, 33]


def torch_averages(trajectory: list[float], average: Callable[..., Any], first: int = 0) -> list[float]:
    """What torch's function for two tensors makes of a trajectory, from the update ``first`` on."""
    running, found = torch.tensor(trajectory[first], dtype=torch.float64), [trajectory[first]]
    for count, weights in enumerate(trajectory[first + 1 :], 1):
        running = average(running, torch.tensor(weights, dtype=torch.float64), torch.tensor(count))
        found.append(float(running))
    return found


def trajectory_of(count: int) -> list[float]:
    return [math.cos(3.0 * n) for n in range(count)]


@pytest.mark.parametrize("text", ["polynomial(power=0)", "tail(over=60)"])
def test_the_plain_mean_is_that_of_torch(text: str) -> None:
    trajectory = trajectory_of(60)
    assert averages(plan_of(text), trajectory) == pytest.approx(torch_averages(trajectory, get_swa_avg_fn()))


@pytest.mark.parametrize("decay", [0.5, 0.9])
def test_an_ema_is_that_of_torch_once_it_is_warmed_up(decay: float) -> None:
    trajectory, full = trajectory_of(80), round((1 + decay) / (1 - decay))
    ours = averages(plan_of(f"ema(decay={decay})"), trajectory)
    # torch begins with the first weights that it gets: here with our average at the end of its warmup
    from_there = [ours[full - 1], *trajectory[full:]]
    assert ours[full - 1 :] == pytest.approx(torch_averages(from_there, get_ema_avg_fn(decay)))


def test_one_lerp_of_torch_with_the_coefficient_is_an_update_of_the_average() -> None:
    averaged, weights = [torch.tensor([1.0, 2.0])], [torch.tensor([3.0, 6.0])]
    (coefficient,) = plan_of("ema(over=3)").coefficients(9)
    get_ema_multi_avg_fn(1.0 - coefficient)(averaged, weights, 0)
    assert torch.equal(averaged[0], torch.tensor([2.0, 4.0]))


def test_an_averaged_model_of_torch_holds_the_same_mean() -> None:
    layer = torch.nn.Linear(1, 1, bias=False)
    model, trajectory = AveragedModel(layer, multi_avg_fn=None, avg_fn=get_swa_avg_fn()), trajectory_of(20)
    for value in trajectory:
        layer.weight.data.fill_(value)
        model.update_parameters(layer)
    assert model.module.weight.item() == pytest.approx(averages(plan_of("polynomial(power=0)"), trajectory)[-1])


@pytest.mark.parametrize("name", COOLDOWNS)
@pytest.mark.parametrize("floor", [0.0, 0.1])
@pytest.mark.parametrize("count", [1, 2, 5, 40])
def test_a_shape_s_weighted_mean_scales_every_movement_by_the_decay(name: str, floor: float, count: int) -> None:
    def curve(step: float, steps: float) -> float:
        return COOLDOWNS[name](step, steps, min_lr_ratio=floor)

    weights, snapshots = shape_weights(count, curve=curve), trajectory_of(count)
    assert min(weights) >= 0.0
    assert math.fsum(weights) == pytest.approx(1.0, abs=1e-14)
    decayed = snapshots[0]
    for step in range(1, count):
        decayed += curve(step, count) * (snapshots[step] - snapshots[step - 1])
    assert weighted_sum(weights, snapshots) == pytest.approx(decayed, abs=1e-13)


def test_a_straight_line_is_the_plain_mean_and_a_square_root_weighs_the_first_most() -> None:
    line, root = (shape_weights(4, curve=curve_of(name)) for name in ("linear", "sqrt"))
    assert line == pytest.approx((0.25,) * 4)
    # 1 - sqrt(j / 4): 1, 0.5, 0.2929, 0.1340, 0
    assert root == pytest.approx((0.5, 0.20710678, 0.15891862, 0.1339746))


def test_uneven_snapshots_count_by_the_distance_to_the_one_before() -> None:
    # the window is 300 to 1200 steps: 1 - sqrt(x) at 300 / 900 and 600 / 900
    weights = shape_weights([600, 900, 1200], curve=curve_of("sqrt"))
    assert weights == pytest.approx(shape_weights(3, curve=curve_of("sqrt")), abs=1e-15)
    assert shape_weights([600, 900, 1000], curve=curve_of("linear")) == pytest.approx((3 / 7, 3 / 7, 1 / 7))
    assert shape_weights([50], curve=curve_of("sqrt")) == (1.0,)


def curve_of(name: str) -> Callable[[float, float], float]:
    return lambda step, steps: COOLDOWNS[name](step, steps, min_lr_ratio=0.0)
