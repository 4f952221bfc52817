"""The formulas of transformers' schedules are those that its `get_scheduler` makes, at every step."""

import warnings
from typing import Any

import pytest

from hf_strategies import StrategyError
from hf_strategies.schedules import SCHEDULES, Schedule
from hf_strategies.schedules.registry import TRANSFORMERS_NAMES
from hf_strategies.schedules.schedule import build
from hf_strategies.schedules.stock import ADAPTIVE, STOCK, find_any_plan

PEAK = 3e-4
LENGTHS = [(1, 0), (10, 0), (10, 3), (137, 41), (100, 99), (3, 1)]
CASES: list[tuple[str, dict[str, Any]]] = [
    *((name, dict(plan.example)) for name, plan in STOCK.items()),
    ("cosine", {"num_cycles": 1.3}),
    ("cosine_with_restarts", {"num_cycles": 3}),
    ("polynomial", {"lr_end": 2e-5, "power": 2.5}),
    ("inverse_sqrt", {"timescale": 57}),
    ("cosine_with_min_lr", {"min_lr": 6e-5, "num_cycles": 0.8}),
    ("cosine_warmup_with_min_lr", {"min_lr": 6e-5, "num_cycles": 1.2}),
    ("cosine_warmup_with_min_lr", {"min_lr_rate": 0.25, "warmup_lr_rate": 0.1}),
    ("warmup_stable_decay", {"num_decay_steps": 1, "num_stable_steps": 2, "min_lr_ratio": 0.3}),
    ("warmup_stable_decay", {"num_decay_steps": 1, "warmup_type": "cosine", "decay_type": "1-sqrt"}),
    ("warmup_stable_decay", {"num_decay_steps": 30, "decay_type": "linear", "min_lr_ratio": 0.1}),
    ("warmup_stable_decay", {"num_decay_steps": 30, "warmup_type": "1-sqrt", "num_cycles": 0.7, "min_lr_ratio": 0.1}),
]


def made_by_transformers(name: str, total: int, warmup: int, kwargs: dict[str, Any]) -> Any:
    import torch
    from transformers import get_scheduler

    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=PEAK)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that num_stable_steps is used in place of the length of the training
        return get_scheduler(name, optimizer, warmup, total, kwargs or None).lr_lambdas[0]


def ours(name: str, total: int, warmup: int, kwargs: dict[str, Any]) -> Schedule:
    return build(find_any_plan(name, PEAK), kwargs, total_steps=total, warmup_steps=warmup)


@pytest.mark.parametrize(("total", "warmup"), LENGTHS)
@pytest.mark.parametrize(("name", "kwargs"), CASES)
def test_every_value_is_that_of_transformers(name: str, kwargs: dict[str, Any], total: int, warmup: int) -> None:
    if warmup and not STOCK[name].has_warmup:
        return
    if kwargs.get("num_decay_steps", 0) > total - warmup:
        with pytest.raises(StrategyError, match="longer than what follows the warmup"):
            ours(name, total, warmup, kwargs)
        return
    expected = made_by_transformers(name, total, warmup, kwargs)
    values = [ours(name, total, warmup, kwargs)(step) for step in range(total + 1)]
    assert values == pytest.approx([expected(step) for step in range(total + 1)], rel=1e-12, abs=1e-12)
    assert all(type(value) is float for value in values)


def test_every_name_of_transformers_is_known_or_refused_with_a_reason() -> None:
    from transformers.optimization import TYPE_TO_SCHEDULER_FUNCTION
    from transformers.trainer_utils import SchedulerType

    theirs = {kind.value for kind in TYPE_TO_SCHEDULER_FUNCTION} - set(SCHEDULES)
    assert {*STOCK, *ADAPTIVE} == theirs == {kind.value for kind in SchedulerType} - set(SCHEDULES)
    assert {*STOCK, *ADAPTIVE} <= set(TRANSFORMERS_NAMES)


def test_the_parameters_are_those_that_transformers_takes() -> None:
    from inspect import signature

    from transformers.optimization import TYPE_TO_SCHEDULER_FUNCTION
    from transformers.trainer_utils import SchedulerType

    own = {"optimizer", "num_warmup_steps", "num_training_steps", "last_epoch"}
    for name, plan in STOCK.items():
        taken = set(signature(TYPE_TO_SCHEDULER_FUNCTION[SchedulerType(name)]).parameters)
        assert set(plan.parameters) == taken - own, name


def test_the_default_peak_is_that_of_the_trainer() -> None:
    from transformers import TrainingArguments

    assert STOCK["polynomial"].peak == TrainingArguments("out").learning_rate


def test_a_learning_rate_among_the_parameters_counts_against_the_peak() -> None:
    given = {"min_lr": 1e-5}
    low = build(find_any_plan("cosine_with_min_lr", 1e-4), given, total_steps=10)
    high = build(find_any_plan("cosine_with_min_lr", 1e-3), given, total_steps=10)
    assert (low(10), high(10)) == pytest.approx((0.1, 0.01))


@pytest.mark.parametrize(
    ("name", "kwargs", "words"),
    [
        ("cosine_with_min_lr", {}, "min_lr_rate is missing"),
        ("cosine_warmup_with_min_lr", {"min_lr": 0, "min_lr_rate": 0}, "give one of the two"),
        ("cosine_with_min_lr", {"min_lr": 1e-3}, "min_lr=0.001 is above the peak, 0.0003: give a lower one"),
        ("polynomial", {"lr_end": 1.0}, "lr_end=1 is not below the peak, 0.0003"),
        ("warmup_stable_decay", {}, "num_decay_steps is missing"),
        ("warmup_stable_decay", {"num_decay_steps": 0}, "give a whole number of at least 1"),
        ("inverse_sqrt", {"timescale": 2.5}, "give a whole number of at least 1"),
        ("cosine", {"power": 2}, "'cosine' takes no parameter 'power'"),
    ],
)
def test_what_transformers_would_refuse_or_misread_is_refused(name: str, kwargs: dict[str, Any], words: str) -> None:
    with pytest.raises(StrategyError) as mistake:
        ours(name, 10, 2 if name != "constant" else 0, kwargs)
    assert words in str(mistake.value)


@pytest.mark.parametrize("name", ADAPTIVE)
def test_a_schedule_that_follows_the_training_is_refused(name: str) -> None:
    with pytest.raises(StrategyError, match="is no function of the step"):
        find_any_plan(name)
