"""Evaluations that lack what is watched: in the metrics, in the log, or before the end of training."""

import logging
from collections.abc import Callable
from typing import Any

import pytest
import torch
from transformers import Trainer, TrainerCallback

from hf_strategies import EarlyStopping, PlateauCooldown, ReduceOnPlateau, StrategyError
from tests.tiny import tiny_examples
from tests.trainer.callbacks.cooldown_runs import record

Make = Callable[..., Any]
EACH_STEP = {"eval_strategy": "steps", "eval_steps": 1, "max_steps": 6, "lr_scheduler_type": "constant"}
WATCHERS: list[Callable[[], TrainerCallback]] = [
    lambda: EarlyStopping("score", patience=9, mode="max"),
    lambda: ReduceOnPlateau("score", patience=9, mode="max"),
    lambda: PlateauCooldown("score", patience=9, mode="max"),
]
every_watcher = pytest.mark.parametrize("watcher", WATCHERS)


def printed(trainer: Any, caplog: pytest.LogCaptureFixture) -> list[str]:
    """Train, and return the messages about what is watched."""
    caplog.clear()
    with caplog.at_level(logging.WARNING, logger="hf_strategies"):
        trainer.train()
    return [message for message in caplog.messages if " watches " in message]


# --- when the first evaluation is due ---------------------------------------------------------------------------


@every_watcher
@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"eval_steps": 7}, "the first evaluation is due at step 7, while training ends at step 6"),
        ({"eval_steps": 2, "eval_delay": 5}, "the first evaluation is due at step 6, while training ends at step 6"),
        ({"eval_strategy": "epoch", "max_steps": 3}, "due at epoch 1, while training ends at epoch 0.75"),
        (
            {"eval_strategy": "epoch", "max_steps": 8, "eval_delay": 1.5},
            "due at epoch 2, while training ends",
        ),
    ],
)
def test_a_single_evaluation_at_the_end_is_one_message(
    watcher: Any, options: dict[str, Any], words: str, make_trainer: Make, caplog: pytest.LogCaptureFixture
) -> None:
    (message,) = printed(make_trainer([0.5] * 9, callbacks=[watcher()], **(EACH_STEP | options)), caplog)
    assert words in message


@every_watcher
@pytest.mark.parametrize("options", [{"eval_delay": 7}, {"eval_strategy": "epoch", "eval_delay": 2}])
def test_no_evaluation_before_the_end_is_refused(watcher: Any, options: dict[str, Any], make_trainer: Make) -> None:
    trainer = make_trainer([0.5] * 9, callbacks=[watcher()], **(EACH_STEP | options))
    with pytest.raises(StrategyError, match=r"monitor='eval_score'.* has nothing to watch with eval_delay="):
        trainer.train()
    assert trainer.state.global_step == 0


def test_a_budget_needs_no_evaluation_of_the_schedule(make_trainer: Make, caplog: pytest.LogCaptureFixture) -> None:
    stopping = EarlyStopping("score", stop_when="time_budget(1e-9)", mode="max")
    assert printed(make_trainer([0.5] * 9, callbacks=[stopping], **(EACH_STEP | {"eval_steps": 99})), caplog) == []


def test_two_evaluations_or_more_are_no_message(make_trainer: Make, caplog: pytest.LogCaptureFixture) -> None:
    for options in ({}, {"eval_steps": 5}, {"eval_strategy": "epoch"}):
        trainer = make_trainer([0.5] * 9, callbacks=[WATCHERS[0]()], **(EACH_STEP | options))
        assert printed(trainer, caplog) == []


# --- metrics that stop coming -----------------------------------------------------------------------------------


def scores_until(step: int, box: list[Trainer]) -> Callable[[Any], dict[str, float]]:
    return lambda _: {"score": 0.5} if box[0].state.global_step <= step else {}


@every_watcher
@pytest.mark.parametrize("last", [2, 5])
def test_a_metric_that_stops_coming_is_one_message(
    watcher: Any, last: int, make_trainer: Make, caplog: pytest.LogCaptureFixture
) -> None:
    trainer = make_trainer([0.5], callbacks=[watcher()], **EACH_STEP)
    trainer.compute_metrics = scores_until(last, [trainer])
    (message,) = printed(trainer, caplog)
    assert f"the evaluation at step {last + 1} has no 'eval_score', which earlier ones had" in message


def test_a_set_that_is_evaluated_besides_is_no_message(make_trainer: Make, caplog: pytest.LogCaptureFixture) -> None:
    class Besides(TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            if state.global_step == 3:  # no step of the schedule
                trainer.evaluate(metric_key_prefix="eval_other")

    trainer = make_trainer([0.5], callbacks=[WATCHERS[0](), Besides()], **(EACH_STEP | {"eval_steps": 2}))
    trainer.compute_metrics = lambda _: {"score": 0.5}
    assert printed(trainer, caplog) == []


# --- Trainers with an evaluate() of their own -------------------------------------------------------------------


class WithoutLog(Trainer):
    """Reports its metrics to the callbacks only."""

    def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        metrics = {"eval_score": 0.5}
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics


class LogsLate(WithoutLog):
    """Logs its metrics after the callbacks have been called."""

    def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        metrics = super().evaluate()
        self.log(metrics)
        return metrics


class Silent(Trainer):
    """Returns its metrics, and neither logs nor reports them."""

    def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        return {"eval_score": 0.5}


@every_watcher
@pytest.mark.parametrize("kind", [WithoutLog, LogsLate])
def test_an_evaluation_that_is_not_logged_in_time_is_refused(kind: Any, watcher: Any, make_trainer: Make) -> None:
    trainer = make_trainer(callbacks=[watcher()], trainer_class=kind, **EACH_STEP)
    with pytest.raises(StrategyError, match=r"step 1 are not in state.log_history .* self.log\(metrics\) before"):
        trainer.train()


@every_watcher
def test_an_evaluation_that_reaches_no_callback_is_one_message(
    watcher: Any, make_trainer: Make, caplog: pytest.LogCaptureFixture
) -> None:
    (message,) = printed(make_trainer(callbacks=[watcher()], trainer_class=Silent, **EACH_STEP), caplog)
    assert "no evaluation was reported to it at step 1" in message


def test_a_training_that_ends_before_its_first_evaluation_is_one_message(
    make_trainer: Make, caplog: pytest.LogCaptureFixture
) -> None:
    class Stop(TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            control.should_training_stop = True

    trainer = make_trainer([0.5], callbacks=[WATCHERS[0](), Stop()], **(EACH_STEP | {"eval_steps": 2}))
    assert printed(trainer, caplog) == [
        "EarlyStopping watches eval_score, and training has ended at step 1 without an evaluation."
    ]


# --- a default cooldown without a loss --------------------------------------------------------------------------


class WithoutLoss(torch.nn.Module):
    """Gives a loss in training only."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = torch.nn.Linear(2, 1)

    def forward(self, x: torch.Tensor, labels: torch.Tensor | None = None) -> dict[str, torch.Tensor]:
        predicted = self.linear(x).squeeze(-1)
        return {"logits": predicted} | ({"loss": predicted.square().mean()} if labels is not None else {})


def without_loss(make_trainer: Make, **options: Any) -> Any:
    trainer = make_trainer([0.5] * 9, callbacks=[PlateauCooldown("score", mode="max")], **(EACH_STEP | options))
    trainer.model = trainer.model_wrapped = WithoutLoss()
    trainer.eval_dataset = [{"x": row["x"]} for row in tiny_examples(4)]
    trainer.compute_metrics = None
    own = trainer.evaluation_loop

    def loop(*args: Any, **kwargs: Any) -> Any:
        output = own(*args, **kwargs)
        output.metrics["eval_score"] = 0.5
        return output

    trainer.evaluation_loop = loop
    return trainer


def test_without_a_loss_the_metric_is_watched_alone(make_trainer: Make, caplog: pytest.LogCaptureFixture) -> None:
    trainer = without_loss(make_trainer, max_steps=12)
    (message,) = printed(trainer, caplog)
    assert message.startswith("PlateauCooldown watches eval_score alone, because the evaluations have no eval_loss")
    assert all("eval_loss" not in entry for entry in trainer.state.log_history)
    ended = record(trainer)
    # the best is the first of equal scores, and the third evaluation after it is the plateau
    assert (ended["criterion"], ended["cooldown_start"], ended["cooldown_end"]) == ("patience(3)", 4, 6)


def test_a_run_without_a_loss_resumes_with_the_same_rule(make_trainer: Make) -> None:
    options = {"max_steps": 12, "save_strategy": "steps", "save_steps": 1}
    whole = without_loss(make_trainer, **options)
    whole.train()
    resumed = without_loss(make_trainer, **options)
    resumed.train(resume_from_checkpoint=f"{whole.args.output_dir}/checkpoint-2")
    assert record(resumed) == record(whole)


def test_with_a_loss_both_are_watched(make_trainer: Make, caplog: pytest.LogCaptureFixture) -> None:
    trainer = make_trainer([0.5] * 9, callbacks=[PlateauCooldown("score", mode="max")], **EACH_STEP)
    assert printed(trainer, caplog) == []
    assert "loss" in record(trainer)["criterion"]


def test_a_metric_that_was_reported_before_a_resume_is_known(make_trainer: Make) -> None:
    def trainer(folder: str) -> Any:
        watcher = EarlyStopping("score", patience=2, mode="max", restore_best_weights=False)
        made = make_trainer(callbacks=[watcher], folder=folder, save_strategy="steps", save_steps=1, **EACH_STEP)
        # every second evaluation has it, and the one after the resume has not
        made.compute_metrics = lambda _: {"score" if made.state.global_step % 2 else "other": 1.0}
        return made

    whole = trainer("whole")
    whole.train()
    again = trainer("again")
    again.train(resume_from_checkpoint=f"{whole.args.output_dir}/checkpoint-3")
    assert again.state.global_step == whole.state.global_step == 5
