"""What a tracker of ``report_to`` gets: events at the steps at which they happen, with their reasons."""

from pathlib import Path
from typing import Any

import pytest
from transformers import TrainerCallback
from transformers.integrations import integration_utils

from hf_strategies import EarlyStopping, PlateauCooldown, StrategyArguments
from tests.trainer.bert_runs import arguments, bert_trainer

Got = list[tuple[int, str, Any]]


class Tracker(TrainerCallback):
    """Keep each event that is logged, with its step."""

    got: Got

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        self.got += [(state.global_step, name, value) for name, value in logs.items() if name.startswith(PREFIXES)]


PREFIXES = ("strategy_", "learning_rate/")


@pytest.fixture
def got(monkeypatch: pytest.MonkeyPatch) -> Got:
    """What a tracker that takes texts has got."""
    Tracker.got = []
    monkeypatch.setitem(integration_utils.INTEGRATION_TO_CALLBACK, "wandb", Tracker)
    return Tracker.got


def events(got: Got) -> list[tuple[int, str, float]]:
    return [(step, name.removeprefix("strategy_"), value) for step, name, value in got if isinstance(value, float)]


EACH_TWO = {"eval_strategy": "steps", "eval_steps": 2, "report_to": ["wandb"], "warmup_steps": 3}


def test_a_cooldown_is_a_plateau_its_start_its_end_and_a_stop(tmp_path: Path, got: Got) -> None:
    cooldown = PlateauCooldown("score", mode="max", patience=2, cooldown=2)
    args = arguments(tmp_path, lr_scheduler_type="linear_warmup_plateau_cooldown", **EACH_TWO)
    bert_trainer(args, callbacks=[cooldown], scores=[0.5, 0.7, 0.6, 0.6, 0.8, 0.8])[0].train()
    # The evaluation at step 2 is in the warmup. Two without improvement after step 4: the plateau is at step 8.
    assert events(got) == [
        (2, "best", 0.5),
        (3, "warmup_end", 3.0),
        (4, "best", 0.7),
        (8, "plateau", 8.0),
        (8, "cooldown_start", 8.0),
        (10, "best", 0.8),
        (10, "cooldown_end", 10.0),
        (10, "stop", 10.0),
    ]
    texts = {name: value for _, name, value in got if isinstance(value, str)}
    assert texts["strategy_cooldown_start_reason"].startswith("Cooldown started at step 8, ends at step 10")
    assert texts["strategy_best_reason"] == "eval_score=0.8"


def test_of_two_callbacks_one_alone_tells_of_the_warmup(tmp_path: Path, got: Got) -> None:
    callbacks = [
        EarlyStopping("score", mode="max", patience=2),
        EarlyStopping("loss", patience=9, restore_best_weights=False),
    ]
    args = arguments(tmp_path, lr_scheduler_type="linear", **EACH_TWO)
    bert_trainer(args, callbacks=callbacks, scores=[0.5, 0.4, 0.4, 0.4])[0].train()
    assert [each for each in events(got) if each[1] == "warmup_end"] == [(3, "warmup_end", 3.0)]
    assert (6, "stop", 6.0) in events(got)


def test_the_rate_of_each_group_is_that_of_the_update_in_the_log_too(tmp_path: Path, got: Got) -> None:
    args = arguments(tmp_path, lr_scheduler_type="linear", report_to=["wandb"], max_steps=4)
    strategy = StrategyArguments(parameter_groups={"bias": {"lr_ratio": 0.5}})
    trainer, _ = bert_trainer(args, **strategy.trainer_kwargs(args))
    trainer.train()
    planned = [0.01, 0.0075, 0.005, 0.0025]
    for name, ratio in (("bias", 0.5), ("other parameters", 1.0)):
        key = f"learning_rate/{name}"
        expected = pytest.approx([rate * ratio for rate in planned])
        assert [value for _, each, value in got if each == key] == expected
        assert [entry[key] for entry in trainer.state.log_history if "learning_rate" in entry] == expected
