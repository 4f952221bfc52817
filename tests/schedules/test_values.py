"""Values worked out by hand."""

import pytest

from hf_strategies import schedule


@pytest.mark.parametrize(
    ("name", "options", "values"),
    [
        # linear warmup over 4 steps, then 4 steps down
        (
            "linear_warmup_linear_decay",
            {"total_steps": 8, "warmup_steps": 4},
            [0, 0.25, 0.5, 0.75, 1, 0.75, 0.5, 0.25, 0],
        ),
        # from 1/16, doubled at every step
        (
            "exponential_warmup_constant_decay",
            {"total_steps": 6, "warmup_steps": 4, "warmup_start": 0.0625},
            [0.0625, 0.125, 0.25, 0.5, 1, 1, 1],
        ),
        (
            "exponential_warmup_step_decay",
            {"total_steps": 6, "warmup_steps": 2, "gamma": 0.5, "step_size": 2, "warmup_start": 0.25},
            [0.25, 0.5, 1, 1, 0.5, 0.5, 0.25],
        ),
        ("exponential_decay", {"total_steps": 4, "gamma": 0.5}, [1, 0.5, 0.25, 0.125, 0.0625]),
        ("exponential_decay", {"total_steps": 4, "gamma": 0.5, "min_lr_ratio": 0.2}, [1, 0.5, 0.25, 0.2, 0.2]),
        # without gamma down to the floor, by its fourth root at each step
        ("exponential_decay", {"total_steps": 4, "min_lr_ratio": 0.0625}, [1, 0.5, 0.25, 0.125, 0.0625]),
        # 0.5 (1 + cos(60 degrees)) = 0.75, 0.5 (1 + cos(120 degrees)) = 0.25
        ("cosine_decay", {"total_steps": 3}, [1, 0.75, 0.25, 0]),
        ("cosine_decay", {"total_steps": 3, "min_lr_ratio": 0.2}, [1, 0.8, 0.4, 0.2]),
        # by default a tenth after every third of the training
        ("step_decay", {"total_steps": 6}, [1, 1, 0.1, 0.1, 0.01, 0.01, 0.001]),
        # a fraction is of the whole training, warmup included: 0.25 of 8
        (
            "linear_warmup_step_decay",
            {"total_steps": 8, "warmup_steps": 0.25, "gamma": 0.5, "step_size": 0.25},
            [0, 0.5, 1, 1, 0.5, 0.5, 0.25, 0.25, 0.125],
        ),
        # epochs of 2 steps
        (
            "linear_warmup_step_decay",
            {"total_steps": 8, "warmup_steps": "1ep", "gamma": 0.5, "step_size": "1.5ep", "steps_per_epoch": 2},
            [0, 0.5, 1, 1, 1, 0.5, 0.5, 0.5, 0.25],
        ),
    ],
)
def test_each_step_has_the_value_worked_out_by_hand(name: str, options: dict, values: list[float]) -> None:
    case = schedule(name, **options)
    assert [case(step) for step in range(len(values))] == pytest.approx(values, abs=1e-15)
