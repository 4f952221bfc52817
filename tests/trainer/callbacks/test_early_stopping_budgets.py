"""Early stopping by budgets and by lengths of training, and what a stopped run does when it is resumed."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import Trainer

from hf_strategies import StrategyError
from hf_strategies.trainer.callbacks import usage
from tests.tiny import flat, learning_rates
from tests.trainer.bert_runs import arguments, bert_trainer
from tests.trainer.callbacks.stopping_runs import EACH_STEP, FLAT, SAVING, SCORES, record, records, stopping
from tests.trainer.programs.stopping_on_ranks import Clock

Make = Callable[..., Any]
PER_EPOCH = {"eval_strategy": "epoch", "max_steps": 12}  # an epoch has 4 steps


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """A clock on which each step takes a second."""
    found = Clock(1.0)
    monkeypatch.setattr(usage, "time", found)
    return found


# --- budgets --------------------------------------------------------------------------------------------------


def test_a_time_budget_stops_in_mid_epoch(make_trainer: Make, clock: Clock) -> None:
    callbacks = [clock, stopping(stop_when="time_budget(5.5)")]
    trainer = make_trainer(SCORES, callbacks=callbacks, **PER_EPOCH)
    trainer.train()
    assert (trainer.state.global_step, trainer.state.epoch) == (6, 1.5)
    assert sorted(trainer.weights_at) == [4, 6]
    assert (record(trainer)["best_step"], record(trainer)["wall_seconds"]) == (6, 6.0)


def test_the_time_of_the_parts_of_a_resumed_run_adds_up(make_trainer: Make, clock: Clock) -> None:
    options = FLAT | {"eval_steps": 100, "save_steps": 1}

    def trainer(steps: int) -> Trainer:
        rule = stopping(stop_when="time_budget(5.5)")
        made: Trainer = make_trainer(SCORES, callbacks=[clock, rule], **(options | {"max_steps": steps}))
        return made

    trainer(4).train()
    clock.now = 1000.0  # what passes between the two parts does not count
    clock.rate = 2.0  # seconds a step, of a clock that is at 1000 at step 4 and goes on from there
    clock.on_step_end = lambda args, state, control, **_: setattr(clock, "now", 992.0 + 2.0 * state.global_step)  # type: ignore[method-assign]
    second = trainer(12)
    second.train(resume_from_checkpoint=True)
    assert second.state.global_step == 5  # 4 + 2 seconds
    assert record(second)["wall_seconds"] == 6.0


def test_every_one_of_several_budgets_is_looked_at(make_trainer: Make, clock: Clock) -> None:
    rule = stopping(stop_when="time_budget(2) and target(9) or time_budget(5)")
    trainer = make_trainer(SCORES, callbacks=[clock, rule], **(PER_EPOCH | {"num_train_epochs": 3}))
    trainer.train()
    assert sorted(trainer.weights_at) == [2, 4, 5]
    assert trainer.state.global_step == 5


def test_a_token_budget_stops_in_mid_epoch(tmp_path: Path) -> None:
    args = arguments(tmp_path, eval_strategy="epoch", include_num_input_tokens_seen="all")
    rule = stopping(monitor="loss", mode=None, stop_when="token_budget(100)")
    trainer, _ = bert_trainer(args, callbacks=[rule])
    trainer.train()  # 4 examples of 6 tokens a step: 24, 48, 72, 96, 120
    assert (trainer.state.global_step, record(trainer)["stop_epoch"]) == (5, 1.25)
    assert "training has seen 120 of 100 tokens" in record(trainer)["reason"]


@pytest.mark.parametrize("logging_steps", [1, 500])
def test_a_flop_budget_stops_at_the_step_that_spends_it_however_seldom_it_is_logged(
    tmp_path: Path, logging_steps: int
) -> None:
    args = arguments(tmp_path, eval_strategy="epoch", logging_steps=logging_steps)
    trainer, _ = bert_trainer(args)
    each = trainer.floating_point_ops({"input_ids": torch.ones(4, 6)})
    assert each == 6 * 24 * trainer.model.num_parameters(exclude_embeddings=True)
    trainer, _ = bert_trainer(
        args, callbacks=[stopping(monitor="loss", mode=None, stop_when=f"flop_budget({4.5 * each})")]
    )
    trainer.train()
    assert trainer.state.global_step == 5
    assert record(trainer)["stop_epoch"] == 1.25


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ("token_budget(100)", "token_budget has no tokens to count with include_num_input_tokens_seen="),
        ("flop_budget(100)", "TinyModel has no num_parameters"),
    ],
)
def test_a_budget_of_what_is_not_counted_is_told_before_training(make_trainer: Make, rule: str, words: str) -> None:
    trainer = make_trainer(SCORES, callbacks=[stopping(stop_when=rule)], **PER_EPOCH)
    with pytest.raises(StrategyError, match=words):
        trainer.train()
    assert trainer.state.global_step == 0


# --- lengths of training --------------------------------------------------------------------------------------


@pytest.mark.parametrize("patience", [3, "3 evals", "3 steps", "0.75ep", 0.25])
def test_patience_in_evaluations_steps_epochs_or_a_fraction(make_trainer: Make, patience: Any) -> None:
    trainer = make_trainer([0.5, 0.6, 0.8, *[0.7] * 9], callbacks=[stopping(patience=patience)], **EACH_STEP)
    trainer.train()
    assert (trainer.state.global_step, record(trainer)["best_step"]) == (6, 3)


def test_patience_in_steps_waits_for_the_evaluation_at_which_it_is_used_up(make_trainer: Make) -> None:
    options = EACH_STEP | {"eval_steps": 2}
    trainer = make_trainer([0.8, *[0.7] * 5], callbacks=[stopping(patience="3 steps")], **options)
    trainer.train()
    assert (trainer.state.global_step, record(trainer)["best_step"]) == (6, 2)


# --- a stopped run, resumed -----------------------------------------------------------------------------------


def test_a_stopped_run_trains_on_when_it_is_told_to(make_trainer: Make, caplog: pytest.LogCaptureFixture) -> None:
    make_trainer(SCORES, callbacks=[stopping()], **SAVING).train()
    again = make_trainer([0.7, 0.85, 0.7, 0.7, 0.9], callbacks=[stopping(train_on=True)], **SAVING)
    again.train(resume_from_checkpoint=True)
    assert "This run had stopped and trains on from step 5, as train_on=True asks." in caplog.text
    assert (again.state.global_step, record(again)["best_step"]) == (9, 7)
    assert torch.equal(flat(again.model), again.weights_at[7])
    uninterrupted = make_trainer([0.0] * 12, folder="other", **SAVING)
    uninterrupted.train()
    assert learning_rates(again) == learning_rates(uninterrupted)[:9]


@pytest.mark.parametrize("step", [5, 6, 7, 8])
@pytest.mark.parametrize("both", [False, True])
def test_that_it_trains_on_survives_another_resume(make_trainer: Make, step: int, both: bool) -> None:
    def callbacks(**options: Any) -> list[Any]:
        return [*([stopping(patience=8, restore_best_weights=False)] if both else []), stopping(**options)]

    options = SAVING | {"eval_steps": 2, "max_steps": 24}  # best at step 6, stopped at 10
    whole = make_trainer(SCORES, callbacks=callbacks(), **options)
    whole.train()
    assert whole.state.global_step == 10
    rest = [0.7, 0.85, 0.7, 0.7, 0.9]  # best at step 14, stopped at 18
    told = make_trainer(rest, callbacks=callbacks(train_on=True), **options)
    told.train(resume_from_checkpoint=True)
    assert told.state.global_step == 18
    folder = Path(told.args.output_dir)
    for later in range(step + 6, 19):
        shutil.rmtree(folder / f"checkpoint-{later + 1}", ignore_errors=True)
    left = rest[(step + 6) // 2 - 5 :]  # of the evaluations at 12, 14, ...
    again = make_trainer(left, callbacks=callbacks(), **options)
    again.train(resume_from_checkpoint=str(folder / f"checkpoint-{step + 6}"))
    assert again.state.global_step == 18
    assert [(each["stop_step"], each["best_step"]) for each in records(again)][-1] == (18, 14)
    assert torch.equal(flat(again.model), flat(told.model))


def count_passes(model: Any, *_: Any) -> None:
    model.passes += float(model.training)


def test_the_step_after_a_stop_changes_no_buffer_either(make_trainer: Make) -> None:
    def trainer(scores: list[float]) -> Trainer:
        made: Trainer = make_trainer(scores, callbacks=[stopping(restore_best_weights=False)], **SAVING)
        # As the running mean of a batch normalisation does, it changes with each pass.
        made.model.register_buffer("passes", torch.zeros(1))
        made.model.register_forward_hook(count_passes)
        return made

    whole = trainer(SCORES)
    whole.train()
    assert whole.model.passes.item() == 5
    again = trainer([])
    again.train(resume_from_checkpoint=True)
    assert again.state.global_step == 5  # the step that is undone does not count
    assert again.model.passes.item() == 5
    assert torch.equal(flat(again.model), flat(whole.model))


def test_a_stopped_run_leaves_load_best_model_at_end_its_way(make_trainer: Make) -> None:
    options = SAVING | {"load_best_model_at_end": True, "metric_for_best_model": "score", "greater_is_better": True}
    whole = make_trainer(SCORES, callbacks=[stopping(restore_best_weights=False)], **options)
    whole.train()
    assert torch.equal(flat(whole.model), whole.weights_at[3])
    again = make_trainer([], callbacks=[stopping(restore_best_weights=False)], **options)
    again.train(resume_from_checkpoint=str(Path(whole.args.output_dir) / "checkpoint-5"))
    assert torch.equal(flat(again.model), whole.weights_at[3])


def test_the_best_weights_are_back_before_the_final_evaluation_and_save(make_trainer: Make, tmp_path: Path) -> None:
    trainer = make_trainer([*SCORES[:5], 0.0], callbacks=[stopping()], **EACH_STEP)
    trainer.train()
    losses = {entry["step"]: entry["eval_loss"] for entry in trainer.state.log_history if "eval_loss" in entry}
    assert trainer.evaluate()["eval_loss"] == losses[3] != losses[5]
    trainer.save_model(str(tmp_path / "final"))
    from safetensors.torch import load_file

    saved = load_file(str(tmp_path / "final" / "model.safetensors"))
    assert torch.equal(
        torch.cat([saved[name].flatten() for name in ("linear.weight", "linear.bias")]), trainer.weights_at[3]
    )
