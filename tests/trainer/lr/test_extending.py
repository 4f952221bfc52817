"""Runs that are resumed with another number of steps, and what else a resumed scheduler notices."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import hf_strategies.auto  # noqa: F401  so that the names are valid, whichever tests run before these
from hf_strategies import ScheduleLR, StrategyError
from tests.tiny import learning_rates

PEAK = 0.05
FIRST = {"lr_scheduler_type": "linear_decay", "max_steps": 10, "save_strategy": "steps", "save_steps": 1}
# linear over 10 steps: update k has 1 - (k - 1) / 10
HALF = [PEAK * (1 - k / 10) for k in range(5)]


def extend(make_trainer: Callable[..., Any], steps: int, at: int = 5, **options: Any) -> Any:
    """Train to step 10, then resume from step ``at`` with so many steps in all."""
    make_trainer(**FIRST).train()
    return resume(make_trainer, at, **(FIRST | {"max_steps": steps} | options))


def resume(make_trainer: Callable[..., Any], at: int, **options: Any) -> Any:
    trainer = make_trainer(**options)
    trainer.train(resume_from_checkpoint=str(Path(trainer.args.output_dir) / f"checkpoint-{at}"))
    return trainer


def test_by_default_the_jump_is_shown_and_refused(make_trainer: Callable[..., Any]) -> None:
    with pytest.raises(StrategyError) as raised:
        extend(make_trainer, 20)
    assert str(raised.value) == (
        "resumed with 20 training steps where 10 were planned: the learning rate would jump from 0.025 to 0.0375 at"
        " step 5. Set on_extend in lr_scheduler_kwargs: 'keep' the old plan (it stays at its last value), 'replan'"
        " what is left of it over the new number of steps with no jump, or accept the 'jump'"
    )


def test_replan_spreads_what_is_left_without_a_jump(make_trainer: Callable[..., Any]) -> None:
    trainer = extend(make_trainer, 15, lr_scheduler_kwargs={"on_extend": "replan"})
    # 0.5 at step 5, then down to 0 over ten steps in place of five
    rest = [PEAK * 0.5 * (1 - k / 10) for k in range(10)]
    assert learning_rates(trainer) == pytest.approx([*HALF, *rest], abs=1e-15)


def test_keep_goes_on_with_the_old_plan_to_its_end(make_trainer: Callable[..., Any]) -> None:
    trainer = extend(make_trainer, 15, lr_scheduler_kwargs={"on_extend": "keep"})
    expected = [PEAK * max(0.0, 1 - k / 10) for k in range(15)]
    assert learning_rates(trainer) == pytest.approx(expected, abs=1e-15)


def test_jump_takes_the_new_plan_from_the_very_next_update(make_trainer: Callable[..., Any]) -> None:
    trainer = extend(make_trainer, 20, lr_scheduler_kwargs={"on_extend": "jump"})
    expected = [*HALF, *(PEAK * (1 - k / 20) for k in range(5, 20))]
    assert learning_rates(trainer) == pytest.approx(expected, abs=1e-15)


@pytest.mark.parametrize("how", ["replan", "keep", "jump"])
def test_an_extended_run_that_is_resumed_again_has_the_same_rates_to_the_bit(
    make_trainer: Callable[..., Any], how: str
) -> None:
    options = {"lr_scheduler_kwargs": {"on_extend": how}}
    once = learning_rates(extend(make_trainer, 15, **options))
    again = resume(make_trainer, 9, **(FIRST | {"max_steps": 15} | options))
    assert learning_rates(again) == once


def test_a_run_can_be_replanned_twice(make_trainer: Callable[..., Any]) -> None:
    options = {"lr_scheduler_kwargs": {"on_extend": "replan"}}
    extend(make_trainer, 15, **options)
    # at step 10 of the second plan 0.25 is left, which now goes to 0 in two steps
    trainer = resume(make_trainer, 10, **(FIRST | {"max_steps": 12} | options))
    assert learning_rates(trainer)[9:] == pytest.approx([PEAK * value for value in (0.3, 0.25, 0.125)], abs=1e-15)


def test_a_run_that_is_shortened_is_noticed_too(make_trainer: Callable[..., Any]) -> None:
    with pytest.raises(
        StrategyError, match=r"resumed with 8 training steps where 10 were planned.* 0.025 to 0.01875"
    ):
        extend(make_trainer, 8)


def test_where_nothing_would_jump_nothing_is_said(make_trainer: Callable[..., Any]) -> None:
    make_trainer(**(FIRST | {"lr_scheduler_type": "constant_decay"})).train()
    trainer = resume(make_trainer, 5, **(FIRST | {"lr_scheduler_type": "constant_decay", "max_steps": 12}))
    assert learning_rates(trainer) == [PEAK] * 12


def test_a_finished_schedule_has_nothing_left_to_replan(make_trainer: Callable[..., Any]) -> None:
    with pytest.raises(StrategyError, match="on_extend='replan' at step 10 has nothing to spread"):
        extend(make_trainer, 20, at=10, lr_scheduler_kwargs={"on_extend": "replan"})


def test_transformers_own_linear_jumps_silently(make_trainer: Callable[..., Any]) -> None:
    options = FIRST | {"lr_scheduler_type": "linear"}
    make_trainer(**options).train()
    rates = learning_rates(resume(make_trainer, 5, **(options | {"max_steps": 20})))
    assert rates[5:7] == pytest.approx([PEAK * 0.5, PEAK * (1 - 6 / 20)])


def test_a_learning_rate_that_a_resume_cannot_change_is_told(
    make_trainer: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    make_trainer(**FIRST).train()
    with caplog.at_level(logging.WARNING, logger="hf_strategies"):
        trainer = resume(make_trainer, 5, **(FIRST | {"learning_rate": 0.5}))
    assert "The peak learning rates [0.5, 0.5] of this run are not used" in caplog.text
    assert learning_rates(trainer) == pytest.approx([PEAK * (1 - k / 10) for k in range(10)])


# --- an absolute floor, and choices of the scheduler itself -----------------------------------------------------


def optimizer(*rates: float) -> torch.optim.Optimizer:
    return torch.optim.SGD([{"params": [torch.nn.Parameter(torch.zeros(1))], "lr": rate} for rate in rates])


def last_rates(scheduler: ScheduleLR, steps: int) -> list[float]:
    for _ in range(steps):
        scheduler.optimizer.step()
        scheduler.step()
    return [float(rate) for rate in scheduler.get_last_lr()]


def test_an_absolute_floor_is_the_same_for_groups_with_different_peaks() -> None:
    scheduler = ScheduleLR(optimizer(1.0, 0.5), "cosine_decay", total_steps=4, min_lr=0.1)
    assert last_rates(scheduler, 2) == pytest.approx([0.55, 0.3])
    assert last_rates(scheduler, 2) == pytest.approx([0.1, 0.1])


def test_a_ratio_is_of_each_group_s_own_peak() -> None:
    scheduler = ScheduleLR(optimizer(1.0, 0.5), "cosine_decay", total_steps=4, min_lr_ratio=0.1)
    assert last_rates(scheduler, 4) == pytest.approx([0.1, 0.05])


def test_transformers_own_floor_is_wrong_for_a_group_with_twice_the_rate() -> None:
    from transformers import get_scheduler

    given = torch.optim.SGD(
        [
            {"params": [torch.nn.Parameter(torch.zeros(1))], "lr": 0.2},
            {"params": [torch.nn.Parameter(torch.zeros(1))]},
        ],
        lr=0.1,
    )
    theirs = get_scheduler("cosine_with_min_lr", given, 0, 4, scheduler_specific_kwargs={"min_lr": 0.01})
    for _ in range(4):
        given.step()
        theirs.step()
    assert theirs.get_last_lr() == pytest.approx([0.02, 0.01])


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("cosine_decay", {"min_lr": 0.7}, "min_lr=0.7 is out of range: give a learning rate from 0 to .* 0.5"),
        ("cosine_decay", {"min_lr": "low"}, "min_lr='low' is not a number"),
        (
            "cosine_decay",
            {"min_lr": 0.1, "min_lr_ratio": 0.1},
            "min_lr=0.1 with min_lr_ratio=0.1: give one of the two",
        ),
        ("constant_decay", {"min_lr": 0.1}, "min_lr=0.1 with 'constant_decay', which has no floor"),
        ("cosine_decay", {"on_extend": "replann"}, "on_extend='replann' is no choice: did you mean 'replan'"),
    ],
)
def test_a_mistake_is_told(name: str, options: dict[str, Any], words: str) -> None:
    with pytest.raises(StrategyError, match=words):
        ScheduleLR(optimizer(1.0, 0.5), name, total_steps=4, **options)


def test_an_absolute_floor_fits_the_peaks_that_a_checkpoint_brings() -> None:
    first = ScheduleLR(optimizer(1.0), "cosine_decay", total_steps=4, min_lr=0.1)
    last_rates(first, 2)
    resumed = ScheduleLR(optimizer(0.2), "cosine_decay", total_steps=4, min_lr=0.1)
    resumed.load_state_dict(first.state_dict())
    assert last_rates(resumed, 2) == pytest.approx([0.1])


@pytest.mark.parametrize(("how", "expected"), [("keep", [1, 1, 1, 1, 0, 0, 0]), ("replan", [1, 1, 1, 1, 1, 1, 0.5])])
def test_keep_and_replan_hold_also_where_both_plans_have_the_same_rate_now(how: str, expected: list[float]) -> None:
    # held to step 8 of 10, then down in two steps; resumed at 4 with 20 steps
    options = {"cooldown": 2, "cooldown_shape": "linear"}
    first = ScheduleLR(optimizer(1.0), "stable_decay", total_steps=10, **options)
    last_rates(first, 4)
    resumed = ScheduleLR(optimizer(1.0), "stable_decay", total_steps=20, on_extend=how, **options)
    resumed.load_state_dict(first.state_dict())
    # replanned, the cooldown is at 4 + (8 - 4) * 16 / 6 = 14.67 to 20
    values = [resumed.schedule(step) for step in (4, 5, 6, 8, 10, 14, 20 - 8 / 3)]
    assert values == pytest.approx(expected, abs=1e-9)
