"""Equality with torch's, transformers' and optax's schedules, step by step."""

import json
import math
import os
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import pytest
import torch
from torch.optim import SGD
from torch.optim.lr_scheduler import (
    CosineAnnealingLR,
    CosineAnnealingWarmRestarts,
    CyclicLR,
    ExponentialLR,
    LRScheduler,
    MultiStepLR,
    OneCycleLR,
    PolynomialLR,
    StepLR,
)
from transformers import (
    get_cosine_schedule_with_warmup,
    get_inverse_sqrt_schedule,
    get_linear_schedule_with_warmup,
    get_polynomial_decay_schedule_with_warmup,
    get_wsd_schedule,
)

from hf_strategies import ScheduleLR, schedule

PEAK = 0.3


def optimizer() -> SGD:
    return SGD([torch.nn.Parameter(torch.zeros(1))], lr=PEAK)


def rates(make: Callable[[Any], LRScheduler], steps: int) -> list[float]:
    """The learning rate of each of so many updates, from the scheduler itself."""
    scheduler = make(optimizer())
    seen = []
    for _ in range(steps):
        seen.append(float(scheduler.get_last_lr()[0]))
        scheduler.optimizer.step()
        scheduler.step()
    return seen


@pytest.mark.parametrize("total", [1, 2, 7, 100, 1000])
@pytest.mark.parametrize(("gamma", "step_size"), [(0.1, 30), (0.5, 1), (0.9, 7), (1.0, 3)])
def test_step_decay_is_torch_s_step_lr(total: int, gamma: float, step_size: int) -> None:
    ours = schedule("step_decay", total_steps=total, gamma=gamma, step_size=step_size)
    theirs = rates(lambda o: StepLR(o, step_size, gamma), total)
    assert ours.learning_rates(PEAK) == pytest.approx(theirs, rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("total", [1, 2, 7, 100, 1000])
@pytest.mark.parametrize("gamma", [0.5, 0.9, 0.999, 1.0])
def test_exponential_decay_is_torch_s_exponential_lr(total: int, gamma: float) -> None:
    ours = schedule("exponential_decay", total_steps=total, gamma=gamma)
    theirs = rates(lambda o: ExponentialLR(o, gamma), total)
    assert ours.learning_rates(PEAK) == pytest.approx(theirs, rel=0, abs=1e-12)


@pytest.mark.parametrize("total", [1, 2, 7, 100, 1000])
@pytest.mark.parametrize("floor", [0.0, 0.1, 0.5])
def test_cosine_decay_is_torch_s_cosine_annealing_lr(total: int, floor: float) -> None:
    ours = schedule("cosine_decay", total_steps=total, min_lr_ratio=floor)
    theirs = rates(lambda o: CosineAnnealingLR(o, total, eta_min=floor * PEAK), total)
    assert ours.learning_rates(PEAK) == pytest.approx(theirs, rel=0, abs=1e-12)


@pytest.mark.parametrize(("total", "warmup"), [(2, 1), (7, 3), (100, 10), (100, 99), (1000, 0), (1000, 137)])
@pytest.mark.parametrize(
    ("name", "theirs"),
    [
        ("linear_warmup_linear_decay", get_linear_schedule_with_warmup),
        ("linear_warmup_cosine_decay", get_cosine_schedule_with_warmup),
    ],
)
def test_linear_warmup_is_transformers_own(name: str, theirs: Callable[..., Any], total: int, warmup: int) -> None:
    ours = schedule(name, total_steps=total, warmup_steps=warmup)
    reference = rates(lambda o: theirs(o, warmup, total), total)
    assert ours.learning_rates(PEAK) == pytest.approx(reference, rel=0, abs=1e-12)


def test_past_the_end_transformers_cosine_rises_again_and_ours_does_not() -> None:
    theirs = rates(lambda o: get_cosine_schedule_with_warmup(o, 0, 100), 201)
    ours = rates(lambda o: ScheduleLR(o, "cosine_decay", total_steps=100), 201)
    assert theirs[200] == pytest.approx(PEAK)
    assert ours[100:] == [0.0] * 101


@pytest.mark.parametrize(("milestones", "gamma"), [([3], 0.1), ([1, 2, 50], 0.5), ([30, 60, 90], 0.2)])
def test_multi_step_decay_is_torch_s_multi_step_lr(milestones: list[int], gamma: float) -> None:
    ours = schedule("multi_step_decay", total_steps=100, milestones=milestones, gamma=gamma)
    theirs = rates(lambda o: MultiStepLR(o, milestones, gamma), 100)
    assert ours.learning_rates(PEAK) == pytest.approx(theirs, rel=0, abs=1e-12)


@pytest.mark.parametrize("power", [0.5, 1.0, 2.0, 3.0])
def test_polynomial_decay_is_torch_s_polynomial_lr(power: float) -> None:
    ours = schedule("polynomial_decay", total_steps=60, power=power)
    theirs = rates(lambda o: PolynomialLR(o, 60, power), 60)
    assert ours.learning_rates(PEAK) == pytest.approx(theirs, rel=0, abs=1e-9)


@pytest.mark.parametrize(("first", "mult"), [(10, 1), (10, 2), (7, 3), (1, 2), (33, 1)])
@pytest.mark.parametrize("floor", [0.0, 0.2])
def test_cosine_restarts_are_torch_s_warm_restarts(first: int, mult: int, floor: float) -> None:
    options = {"cycle_length": first, "cycle_mult": mult, "min_lr_ratio": floor}
    ours = schedule("cosine_restarts_decay", total_steps=400, **options)
    theirs = rates(lambda o: CosineAnnealingWarmRestarts(o, first, mult, eta_min=floor * PEAK), 400)
    assert ours.learning_rates(PEAK) == pytest.approx(theirs, rel=0, abs=1e-9)


@pytest.mark.parametrize("half", [1, 5, 20])
@pytest.mark.parametrize(("mode", "peak_decay"), [("triangular", 1.0), ("triangular2", 0.5)])
def test_triangular_after_a_linear_warmup_is_torch_s_cyclic_lr(half: int, mode: str, peak_decay: float) -> None:
    options = {"cycle_length": 2 * half, "peak_decay": peak_decay, "warmup_start": 0.1, "min_lr_ratio": 0.1}
    ours = schedule("linear_warmup_triangular_decay", total_steps=200, warmup_steps=half, **options)
    theirs = rates(lambda o: CyclicLR(o, 0.1 * PEAK, PEAK, step_size_up=half, mode=mode, cycle_momentum=False), 200)
    assert ours.learning_rates(PEAK) == pytest.approx(theirs, rel=0, abs=1e-9)


@pytest.mark.parametrize(("total", "share"), [(100, 0.3), (50, 0.5), (1000, 0.1)])
def test_one_cycle_is_torch_s_one_cycle_lr_which_counts_from_the_last_update(total: int, share: float) -> None:
    # torch reaches the peak at update share * total - 1 and the floor at update total - 1, both counted from 0
    ours = schedule("one_cycle", total_steps=total - 1, warmup_steps=int(share * total) - 1)
    theirs = rates(lambda o: OneCycleLR(o, PEAK, total, pct_start=share, cycle_momentum=False), total)
    assert [PEAK * ours(step) for step in range(total)] == pytest.approx(theirs, rel=0, abs=1e-9)


@pytest.mark.parametrize(("total", "warmup"), [(100, 10), (137, 1), (1000, 300)])
@pytest.mark.parametrize("power", [1.0, 2.0])
def test_polynomial_with_linear_warmup_is_transformers_own(total: int, warmup: int, power: float) -> None:
    options = {"power": power, "min_lr_ratio": 0.1}
    ours = schedule("linear_warmup_polynomial_decay", total_steps=total, warmup_steps=warmup, **options)
    theirs = rates(
        lambda o: get_polynomial_decay_schedule_with_warmup(o, warmup, total, lr_end=0.1 * PEAK, power=power), total
    )
    assert ours.learning_rates(PEAK) == pytest.approx(theirs, rel=0, abs=1e-9)


@pytest.mark.parametrize("warmup", [0, 10, 100])
@pytest.mark.parametrize("timescale", [None, 50, 10_000])
def test_inverse_sqrt_is_transformers_own(warmup: int, timescale: int | None) -> None:
    given = {} if timescale is None else {"timescale": timescale}
    ours = schedule("linear_warmup_inverse_sqrt_decay", total_steps=500, warmup_steps=warmup, **given)
    theirs = rates(lambda o: get_inverse_sqrt_schedule(o, warmup, timescale), 500)
    assert ours.learning_rates(PEAK) == pytest.approx(theirs, rel=0, abs=1e-9)


@pytest.mark.parametrize(
    ("ours_warmup", "warmup_type"), [("linear", "linear"), ("cosine", "cosine"), ("sqrt", "1-sqrt")]
)
@pytest.mark.parametrize(("shape", "decay_type"), [("linear", "linear"), ("cosine", "cosine"), ("sqrt", "1-sqrt")])
@pytest.mark.parametrize(("warmup", "cooldown"), [(10, 20), (1, 99), (50, 1)])
def test_stable_decay_is_transformers_warmup_stable_decay(
    ours_warmup: str, warmup_type: str, shape: str, decay_type: str, warmup: int, cooldown: int
) -> None:
    options = {"cooldown": cooldown, "cooldown_shape": shape, "min_lr_ratio": 0.1, "warmup_start": 0.1}
    ours = schedule(f"{ours_warmup}_warmup_stable_decay", total_steps=100, warmup_steps=warmup, **options)
    theirs = rates(
        lambda o: get_wsd_schedule(
            o,
            num_warmup_steps=warmup,
            num_decay_steps=cooldown,
            num_training_steps=100,
            warmup_type=warmup_type,
            decay_type=decay_type,
            min_lr_ratio=0.1,
        ),
        110,
    )
    assert [PEAK * ours(step) for step in range(110)] == pytest.approx(theirs, rel=0, abs=1e-9)


def test_slanted_triangular_is_the_paper_s_formula() -> None:
    total, cut_share, ratio = 200, 0.1, 32

    def paper(t: int) -> float:  # Howard & Ruder 2018, equation 3, with eta_max = 1
        cut = int(total * cut_share)
        p = t / cut if t < cut else 1 - (t - cut) / (cut * (1 / cut_share - 1))
        return (1 + p * (ratio - 1)) / ratio

    ours = schedule("slanted_triangular", total_steps=total)
    assert [ours(step) for step in range(total + 1)] == pytest.approx([paper(t) for t in range(total + 1)], abs=1e-12)


# --- optax, in a process of its own: JAX and processes that fork do not go together ---------------------------------

OPTAX = """
import json, optax
def values(schedule, steps): return [float(schedule(step)) for step in range(steps)]
cycles = [
    {"init_value": 0.5**n, "peak_value": 0.5**n, "warmup_steps": 0, "decay_steps": 10 * 2**n, "end_value": 0.0}
    for n in range(4)
]
print(json.dumps({
    "fall 0.5": values(optax.polynomial_schedule(1.0, 0.2, 0.5, 80), 81),
    "fall 1.0": values(optax.polynomial_schedule(1.0, 0.2, 1.0, 80), 81),
    "fall 3.0": values(optax.polynomial_schedule(1.0, 0.2, 3.0, 80), 81),
    "rise": values(optax.polynomial_schedule(0.1, 1.0, 1.0, 20), 20),
    "sgdr": values(optax.sgdr_schedule(cycles), 150),
    "one cycle 100": values(optax.cosine_onecycle_schedule(100, 1.0), 101),
    "one cycle 1000": values(optax.cosine_onecycle_schedule(1000, 1.0), 1001),
    "exponential": values(optax.exponential_decay(1.0, 1, 0.97, end_value=0.1), 200),
}))
"""


@pytest.fixture(scope="module")
def optax() -> dict[str, list[float]]:
    """Values of optax's schedules, in 64-bit numbers."""
    if find_spec("optax") is None:
        pytest.skip("optax is not installed")
    environment = os.environ | {"JAX_ENABLE_X64": "1", "JAX_PLATFORMS": "cpu"}
    done = subprocess.run([sys.executable, "-c", OPTAX], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


@pytest.mark.parametrize("power", [0.5, 1.0, 3.0])
def test_polynomial_decay_is_optax_s_and_with_power_1_the_warmup_too(
    optax: dict[str, list[float]], power: float
) -> None:
    options = {"power": power, "min_lr_ratio": 0.2, "warmup_power": 1.0, "warmup_start": 0.1}
    ours = schedule("polynomial_warmup_polynomial_decay", total_steps=100, warmup_steps=20, **options)
    assert [ours(20 + step) for step in range(81)] == pytest.approx(optax[f"fall {power}"], abs=1e-9)
    # With other powers optax raises what is left of the way to the power, we what is done of it.
    assert [ours(step) for step in range(20)] == pytest.approx(optax["rise"], abs=1e-9)


def test_restarts_with_longer_cycles_and_lower_peaks_are_optax_s_sgdr(optax: dict[str, list[float]]) -> None:
    ours = schedule("cosine_restarts_decay", total_steps=150, cycle_length=10, cycle_mult=2, peak_decay=0.5)
    assert [ours(step) for step in range(150)] == pytest.approx(optax["sgdr"], abs=1e-9)


@pytest.mark.parametrize(("total", "apart"), [(10, 0.240), (100, 0.0296), (1000, 0.00292)])
def test_one_cycle_and_torch_s_of_the_same_length_are_apart_by_as_much_as_its_description_tells(
    total: int, apart: float
) -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    theirs = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=1.0, total_steps=total, cycle_momentum=False)
    rates = []
    for _ in range(total):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if len(rates) < total:
            theirs.step()
    ours = schedule("one_cycle", total_steps=total).learning_rates(1.0)
    assert max(abs(a - b) for a, b in zip(ours, rates, strict=True)) == pytest.approx(apart, rel=0.01)


@pytest.mark.parametrize("total", [100, 1000])
def test_one_cycle_is_optax_s(optax: dict[str, list[float]], total: int) -> None:
    ours = schedule("one_cycle", total_steps=total)
    assert [ours(step) for step in range(total + 1)] == pytest.approx(optax[f"one cycle {total}"], abs=1e-9)


def test_exponential_decay_with_a_floor_is_optax_s(optax: dict[str, list[float]]) -> None:
    ours = schedule("exponential_decay", total_steps=200, gamma=0.97, min_lr_ratio=0.1)
    assert [ours(step) for step in range(200)] == pytest.approx(optax["exponential"], abs=1e-9)


def test_the_fall_of_a_power_cooldown_of_one_half_is_inverse_sqrt() -> None:
    ours = schedule("linear_warmup_power_cooldown_decay", total_steps=1000, warmup_steps=50, power=0.5, cooldown=200)
    other = schedule("linear_warmup_inverse_sqrt_decay", total_steps=1000, warmup_steps=50)
    assert [ours(step) for step in range(801)] == pytest.approx([other(step) for step in range(801)], rel=1e-12)
    # From its value at step 800 down to 0, along 1 - sqrt, the default.
    quarter = ours(800) * (1 - math.sqrt(50 / 200))
    assert ours(850) == pytest.approx(quarter)
    assert ours(1000) == 0.0


@pytest.mark.parametrize("shape", ["linear", "polynomial", "cosine", "sqrt", "exponential"])
def test_the_cooldown_of_a_power_cooldown_begins_where_the_fall_is(shape: str) -> None:
    options = {"power": 0.51, "timescale": 30, "cooldown": 20, "cooldown_shape": shape, "min_lr_ratio": 0.05}
    ours = schedule("power_cooldown_decay", total_steps=100, **options)
    start = (30 / (30 + 80)) ** 0.51
    assert ours(80) == pytest.approx(start)
    done = 0.5
    expected = {
        "linear": 0.05 + (start - 0.05) * (1 - done),
        "polynomial": 0.05 + (start - 0.05) * (1 - done) ** 2,
        "cosine": 0.05 + (start - 0.05) * (1 + math.cos(math.pi * done)) / 2,
        "sqrt": 0.05 + (start - 0.05) * (1 - math.sqrt(done)),
        "exponential": start * (0.05 / start) ** done,
    }
    assert ours(90) == pytest.approx(expected[shape])


def test_cosine_constant_is_the_cosine_of_a_shorter_training_and_its_floor() -> None:
    ours = schedule("linear_warmup_cosine_constant_decay", total_steps=100, warmup_steps=10, decay_length=60)
    other = schedule("linear_warmup_cosine_decay", total_steps=70, warmup_steps=10, min_lr_ratio=0.1)
    assert [ours(step) for step in range(101)] == pytest.approx([other(step) for step in range(101)], rel=1e-12)


def test_tanh_is_its_source_s_curve_up_to_where_that_begins_and_ends() -> None:
    ours = schedule("tanh_decay", total_steps=100)
    theirs = [(1 - math.tanh(-6 + 9 * step / 100)) / 2 for step in range(101)]
    assert max(abs(ours(step) - value) for step, value in enumerate(theirs)) < 0.0025  # (1 - tanh 3) / 2 at the end
    assert (ours(0), ours(100)) == (1.0, 0.0)


def test_rex_is_linear_over_the_mean_of_one_and_linear() -> None:
    ours = schedule("rex_decay", total_steps=64, min_lr_ratio=0.1)
    for step in range(65):
        left = 1 - step / 64
        assert ours(step) == pytest.approx(0.1 + 0.9 * 2 * left / (1 + left))
