"""Weights that hold NaN or infinity are never kept as the best, whatever their evaluation was."""

import logging
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from transformers import TrainerCallback

from hf_strategies import BestWeights, EarlyStopping, PlateauCooldown, StrategyError
from tests.tiny import flat

Make = Callable[..., Any]
RISING = [0.1 * step for step in range(1, 9)]
OPTIONS = {"eval_strategy": "steps", "eval_steps": 1, "max_steps": 6, "lr_scheduler_type": "constant"}
LAST_GOOD = 3


class Poison(TrainerCallback):
    """Write a value into one weight at every update after the step `LAST_GOOD`."""

    def __init__(self, value: float) -> None:
        self.value = value

    def on_optimizer_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step >= LAST_GOOD:
            with torch.no_grad():
                kwargs["model"].linear.weight[0, 0] = self.value


def callback(kind: Any, where: str) -> TrainerCallback:
    return kind("score", patience=9, mode="max", weights_in=where)  # type: ignore[no-any-return]


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("where", ["memory", "disk"])
@pytest.mark.parametrize("kind", [EarlyStopping, PlateauCooldown])
def test_the_last_finite_weights_stay_the_best(
    kind: Any, where: str, value: float, make_trainer: Make, caplog: pytest.LogCaptureFixture
) -> None:
    trainer = make_trainer(RISING, callbacks=[callback(kind, where), Poison(value)], **OPTIONS)
    with caplog.at_level(logging.WARNING, logger="hf_strategies"):
        trainer.train()
    assert torch.equal(flat(trainer.model), trainer.weights_at[LAST_GOOD])
    assert [message for message in caplog.messages if "NaN" in message] == [
        "The weights at step 4 hold NaN or infinity and are not kept, although their evaluation is the best so far:"
        " those of step 3 stay the best."
    ]


@pytest.mark.parametrize("step", [4, 5])
@pytest.mark.parametrize("where", ["memory", "disk"])
def test_a_resumed_run_restores_the_same_weights(where: str, step: int, make_trainer: Make) -> None:
    def trainer() -> Any:
        saving = OPTIONS | {"save_strategy": "steps", "save_steps": 1}
        return make_trainer([*RISING[:4], 0.0, 0.0][-given:], callbacks=callbacks(), **saving)

    def callbacks() -> list[TrainerCallback]:
        return [callback(EarlyStopping, where), Poison(math.nan)]

    given = 6
    whole = trainer()
    whole.train()
    given -= step
    resumed = trainer()
    resumed.train(resume_from_checkpoint=str(Path(whole.args.output_dir) / f"checkpoint-{step}"))
    assert torch.equal(flat(resumed.model), flat(whole.model))
    assert torch.isfinite(flat(resumed.model)).all()


def test_without_finite_weights_none_are_restored(make_trainer: Make, caplog: pytest.LogCaptureFixture) -> None:
    always = Poison(math.nan)
    trainer = make_trainer(RISING, callbacks=[callback(EarlyStopping, "memory"), always], **OPTIONS)
    with torch.no_grad():
        trainer.model.linear.bias.fill_(math.nan)
    with caplog.at_level(logging.WARNING, logger="hf_strategies"):
        trainer.train()
    assert any("at step 1 hold NaN or infinity and are not kept" in message for message in caplog.messages)
    assert not any("Restored" in message for message in caplog.messages)


class Parts(nn.Module):
    """A weight, a bias that stays frozen, a mask and a running mean."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(2))
        self.bias = nn.Parameter(torch.ones(2), requires_grad=False)
        self.register_buffer("mask", torch.ones(2))
        self.register_buffer("count", torch.ones((), dtype=torch.int64))
        self.register_buffer("empty", torch.ones(0))


@pytest.mark.parametrize(
    ("name", "value", "finite"),
    [
        ("weight", 3.0e38, True),
        ("weight", math.nan, False),
        ("weight", -math.inf, False),
        ("bias", math.nan, True),  # not trained, so not copied
        ("mask", -math.inf, True),
        ("mask", math.nan, False),
    ],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_what_counts_as_finite(name: str, value: float, finite: bool, dtype: torch.dtype) -> None:
    model = Parts().to(dtype)
    getattr(model, name).data[1] = value
    assert BestWeights(model).is_finite() is finite


def test_a_model_that_is_no_module_is_refused_in_one_line() -> None:
    wrapper: Any = type("Pipeline", (), {"body": nn.Linear(2, 1)})()
    with pytest.raises(StrategyError, match=r"best weights of a Pipeline cannot be kept, .*no torch.nn.Module"):
        BestWeights(wrapper)
