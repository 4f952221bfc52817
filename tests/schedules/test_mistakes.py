"""Every mistake gets one line with the argument, its value and the remedy."""

import re
from typing import Any

import numpy as np
import pytest

from hf_strategies import StrategyError, schedule
from hf_strategies.schedules.resume import SavedPlan


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("cosine_decy", {}, r"unknown schedule 'cosine_decy': did you mean 'cosine_decay'"),
        ("linear_warmup_step_decay", {"gama": 0.5}, r"takes no parameter 'gama': did you mean 'gamma'\?"),
        ("constant_decay", {"min_lr_ratio": 0.5}, r"takes no parameter 'min_lr_ratio': none is known"),
        ("step_decay", {"gamma": 0}, r"gamma=0 is out of range: give a number in \(0, 1\]"),
        ("step_decay", {"gamma": "-0.5"}, r"gamma='-0.5' is out of range"),
        ("step_decay", {"gamma": "fast"}, r"gamma='fast' is not a number"),
        ("step_decay", {"gamma": float("nan")}, r"gamma=nan is not finite"),
        ("step_decay", {"gamma": True}, r"gamma=True is not a number"),
        ("step_decay", {"gamma": None}, r"gamma=None is not a number"),
        ("step_decay", {"step_size": 0}, r"step_size=0 gives 0 steps: give a length of at least one step"),
        ("step_decay", {"step_size": 1.0}, r"step_size=1.0 is ambiguous: give a whole number of steps"),
        ("step_decay", {"step_size": "2ep"}, r"step_size='2ep' counts epochs.*give steps_per_epoch"),
        ("cosine_decay", {"min_lr_ratio": 1.5}, r"min_lr_ratio=1.5 is out of range: give a number in \[0, 1\]"),
        ("exponential_warmup_cosine_decay", {"warmup_start": 0}, r"warmup_start=0 is out of range.*\(0, 1\]"),
        ("linear_warmup_cosine_decay", {"warmup_steps": -1}, r"warmup_steps=-1 is out of range"),
        ("linear_warmup_cosine_decay", {"warmup_steps": 100}, r"warmup_steps=100 .*leaves nothing of the 100"),
        ("linear_warmup_cosine_decay", {"warmup_steps": 1.0}, r"warmup_steps=1.0 is ambiguous"),
        ("linear_warmup_cosine_decay", {"warmup_steps": 0.999}, r"warmup_steps=0.999 \(100 steps\) leaves nothing"),
        ("cosine_decay", {"warmup_steps": 5}, r"warmup_steps=5 .* no warmup: .*'linear_warmup_cosine_decay'"),
        ("stable_decay", {"cooldown": 200}, r"cooldown=200 \(200 steps\) is longer than what follows the warmup"),
        ("stable_decay", {"cooldown_shape": "cosin"}, r"cooldown_shape='cosin' is none.*did you mean 'cosine'"),
        ("multi_step_decay", {"milestones": 5}, r"milestones=5 is no list of positions: give such as"),
        ("multi_step_decay", {"milestones": []}, r"milestones=\[\] is no list"),
        ("multi_step_decay", {"milestones": [60, 30]}, r"milestones=\[60, 30\] does not rise"),
        ("multi_step_decay", {"milestones": [0.5, "x"]}, r"milestones='x' is no length of training"),
        (
            "linear_warmup_multi_step_decay",
            {"warmup_steps": 20, "milestones": [10, 30]},
            r"begins at step 10, within the warmup of 20 steps",
        ),
        (
            "cosine_restarts_decay",
            {"cycle_mult": 0.5},
            r"cycle_mult=0.5 is out of range: give a number in \[1, 1000\]",
        ),
        ("cosine_restarts_decay", {"cycle_mult": 1e200}, r"cycle_mult=1e\+200 is out of range"),
        ("polynomial_decay", {"power": 10**400}, r"power is a number of over 300 digits: give an ordinary number"),
        ("polynomial_decay", {"power": "9" * 400}, r"power is a number of over 300 digits"),
        ("cosine_decay", {"total_steps": 10**5000}, r"total_steps is a number of over 300 digits"),
        ("multi_step_decay", {"milestones": [50, 101]}, r"goes on to step 101, past the end at step 100: give"),
        (
            "linear_warmup_cosine_decay",
            {"warmup_steps": "9" * 400 + "ep", "steps_per_epoch": 5},
            "warmup_steps is a number of over 300 digits",
        ),
        ("cosine_decay", {"steps_per_epoch": "five"}, r"steps_per_epoch='five' is not a number"),
        ("cosine_decay", {"steps_per_epoch": float("nan")}, r"steps_per_epoch=nan is not finite"),
        ("linear_warmup_cosine_decay", {"steps_per_epoch": -5, "warmup_steps": "2ep"}, r"epoch=-5 is out .* above 0"),
        ("cosine_decay", {"steps_per_epoch": 0}, r"steps_per_epoch=0 is out of range: give a number above 0"),
        ("polynomial_decay", {"power": 0}, r"power=0 is out of range: give a number above 0"),
        ("phases", {}, r"phases is missing: give a list such as"),
        ("phases", {"warmup_steps": 5}, r"'phases', which has no warmup: set warmup_steps=0, or take a schedule"),
        ("cosine_decay", {"total_steps": 0}, r"total_steps=0 is no number of steps"),
        ("cosine_decay", {"total_steps": 10.0}, r"total_steps=10.0 is no number of steps"),
    ],
)
def test_a_mistake_is_told_with_its_value_and_the_remedy(name: str, options: dict[str, Any], words: str) -> None:
    with pytest.raises(StrategyError) as raised:
        schedule(name, **({"total_steps": 100} | options))
    assert re.search(words, str(raised.value))
    assert "\n" not in str(raised.value)


def test_numbers_may_come_as_text_as_flags_and_yaml_give_them() -> None:
    text = schedule("exponential_warmup_step_decay", total_steps=50, warmup_steps="5", gamma="5e-1", step_size="10")
    same = schedule("exponential_warmup_step_decay", total_steps=50, warmup_steps=5, gamma=0.5, step_size=10)
    assert text.learning_rates(1.0) == same.learning_rates(1.0)
    assert dict(text.parameters) == {"warmup_start": 0.01, "gamma": 0.5, "step_size": 10, "min_lr_ratio": 0.0}


def test_steps_per_epoch_may_come_as_text() -> None:
    assert schedule("linear_warmup_cosine_decay", total_steps=50, warmup_steps="2ep", steps_per_epoch="5")(5) == 0.5


@pytest.mark.parametrize("name", [["cosine_decay"], None, 3, {"a": 1}])
def test_a_name_that_is_no_text_is_refused(name: Any) -> None:
    with pytest.raises(StrategyError, match=r"is no text: give a name such as 'cosine_decay'"):
        schedule(name, total_steps=10)


def test_a_milestone_may_be_the_very_end() -> None:
    case = schedule("multi_step_decay", total_steps=10, milestones=[5, 10], gamma=0.5)
    assert [case(step) for step in (4, 5, 9, 10)] == [1.0, 0.5, 0.5, 0.25]


def test_numbers_of_numpy_are_numbers() -> None:
    case = schedule(
        "linear_warmup_step_decay",
        total_steps=np.int64(50),
        warmup_steps=np.int32(5),
        gamma=np.float32(0.5),
        step_size=np.int64(10),
    )
    assert (case.total_steps, case.warmup_steps, case(15), case(25)) == (50, 5, 0.5, 0.25)
    kinds = [type(value) for value in (case.total_steps, case.warmup_steps, *case.parameters.values())]
    assert kinds == [int, int, float, float, int, float]  # start, gamma, step_size, floor


def test_a_plan_is_kept_as_plain_values_so_that_every_checkpoint_can_hold_it() -> None:
    given = {"milestones": range(10, 50, 10), "gamma": np.float32(0.5), "phases": ({"length": (1, np.int64(2))},)}
    plan = SavedPlan("multi_step_decay", np.int64(100), 0, given, horizon=np.int64(100))
    assert plan.parameters == {"milestones": [10, 20, 30, 40], "gamma": 0.5, "phases": [{"length": [1, 2]}]}
    assert SavedPlan.of_json(plan.to_json()) == plan


@pytest.mark.parametrize("value", [{1, 2}, [object], b"12", {1: 2}, [{"a": 1j}]])
def test_a_value_that_no_checkpoint_can_hold_is_refused_when_the_plan_is_made(value: Any) -> None:
    with pytest.raises(StrategyError, match=r"^milestones.* cannot be kept in a checkpoint: give numbers, text"):
        SavedPlan("multi_step_decay", 100, 0, {"milestones": value}, horizon=100)
