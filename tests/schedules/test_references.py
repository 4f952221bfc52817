"""Equality with torch's and transformers' own schedules, step by step."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.optim import SGD
from torch.optim.lr_scheduler import CosineAnnealingLR, ExponentialLR, LRScheduler, StepLR
from transformers import get_cosine_schedule_with_warmup, get_linear_schedule_with_warmup

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
