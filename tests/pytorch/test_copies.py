"""A scheduler can be copied and pickled, as torch's own can; copy and original go on alike."""

import copy
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import torch
from transformers import get_scheduler

import hf_strategies.auto  # noqa: F401
from hf_strategies.pytorch.lr_scheduler import ScheduleLR
from hf_strategies.trainer.lr.registration import registered_names

COPIES: dict[str, Callable[[Any], Any]] = {
    "deepcopy": copy.deepcopy,
    "pickle": lambda each: pickle.loads(pickle.dumps(each)),
}


def rates(scheduler: Any, steps: int) -> list[list[float]]:
    found = []
    for _ in range(steps):
        scheduler.optimizer.step()
        scheduler.step()
        found.append(list(scheduler.get_last_lr()))
    return found


def optimizer() -> torch.optim.Optimizer:
    groups = [{"params": [torch.nn.Parameter(torch.zeros(1))], "lr": lr} for lr in (0.5, 0.1)]
    return torch.optim.SGD(groups)


@pytest.mark.parametrize("way", COPIES)
@pytest.mark.parametrize("name", [*registered_names(), "cosine"])
def test_a_copy_goes_on_as_the_original_does(name: str, way: str) -> None:
    curves = [{"shape": "linear", "length": 0.2, "start": 0, "end": 1}, {"shape": "cosine"}]
    kwargs = {"phases": curves} if name == "phases" else {}
    scheduler = get_scheduler(name, optimizer(), 2 if "warmup" in name else 0, 12, scheduler_specific_kwargs=kwargs)
    rates(scheduler, 5)
    other = COPIES[way](scheduler)
    assert other.optimizer is not scheduler.optimizer
    assert rates(other, 7) == rates(scheduler, 7)


@pytest.mark.parametrize("way", COPIES)
def test_a_copy_of_a_run_with_a_changed_plan_keeps_it_and_its_state_loads(way: str) -> None:
    first = ScheduleLR(optimizer(), "linear_warmup_cosine_decay", total_steps=10, warmup_steps=2, min_lr=0.01)
    rates(first, 4)
    longer = ScheduleLR(
        optimizer(), "linear_warmup_cosine_decay", total_steps=20, warmup_steps=2, min_lr=0.01, on_extend="replan"
    )
    longer.load_state_dict(first.state_dict())
    other = COPIES[way](longer)
    assert (other.is_stretched, other.on_extend, other.given) == (True, "replan", longer.given)
    assert other.state_dict() == longer.state_dict()
    assert rates(other, 16) == rates(longer, 16)


def test_a_change_of_the_copy_leaves_the_original_as_it_is() -> None:
    scheduler = ScheduleLR(optimizer(), "linear_warmup_cosine_decay", total_steps=10, warmup_steps=2)
    rates(scheduler, 1)
    other = pickle.loads(pickle.dumps(scheduler))
    rates(other, 5)
    assert scheduler.last_epoch == 1
    assert [group["lr"] for group in scheduler.optimizer.param_groups] == [0.25, 0.05]
