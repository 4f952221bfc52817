"""Early stopping in the stock Trainer, with the values of the metric given."""

import json
import logging
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import Trainer, TrainerCallback

from hf_strategies import EarlyStopping, StrategyError
from tests.tiny import flat, learning_rates
from tests.trainer.callbacks.stopping_runs import EACH_STEP, FLAT, SAVING, SCORES, record, stopping, what_happened


def test_stops_at_the_step_worked_out_by_hand_and_restores_the_best_weights(make_trainer: Callable[..., Any]) -> None:
    trainer = make_trainer(SCORES, callbacks=[stopping()], **EACH_STEP)
    trainer.train()
    assert trainer.state.global_step == 5
    assert sorted(trainer.weights_at) == [1, 2, 3, 4, 5]
    assert torch.equal(flat(trainer.model), trainer.weights_at[3])
    assert not torch.equal(trainer.weights_at[3], trainer.weights_at[5])


def test_without_restoring_the_last_weights_stay(make_trainer: Callable[..., Any]) -> None:
    trainer = make_trainer(SCORES, callbacks=[stopping(restore_best_weights=False)], **EACH_STEP)
    trainer.train()
    assert torch.equal(flat(trainer.model), trainer.weights_at[5])
    assert record(trainer)["restored_best_weights"] is False


def test_restores_the_best_weights_too_when_the_budget_ends_training(make_trainer: Callable[..., Any]) -> None:
    trainer = make_trainer(SCORES, callbacks=[stopping(patience=9)], **(EACH_STEP | {"max_steps": 5}))
    trainer.train()
    assert trainer.state.global_step == 5
    assert torch.equal(flat(trainer.model), trainer.weights_at[3])
    assert record(trainer)["stopped"] is False


@pytest.mark.parametrize("monitor", ["score", "eval_score"])
def test_the_metric_may_be_named_with_or_without_eval(make_trainer: Callable[..., Any], monitor: str) -> None:
    trainer = make_trainer(SCORES, callbacks=[stopping(monitor=monitor)], **EACH_STEP)
    trainer.train()
    assert trainer.state.global_step == 5


def test_the_record_is_in_trainer_state_json_even_without_checkpoints(
    make_trainer: Callable[..., Any], tmp_path: Path
) -> None:
    trainer = make_trainer(SCORES, callbacks=[stopping(min_delta=0.01)], **EACH_STEP)
    trainer.train()
    state = json.loads((tmp_path / "out" / "trainer_state.json").read_text())
    found = state["stateful_callbacks"]["early_stopping"]
    assert found == record(trainer)
    assert (found["stop_step"], found["best_step"], found["best_value"]) == (5, 3, 0.8)
    assert found["restored_best_weights"] is True
    assert found["reason"].startswith(
        "Stopped early at step 5 (epoch 1.25): eval_score has not improved by more than"
    )


def test_one_line_of_the_log_says_why(make_trainer: Callable[..., Any], caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, logger="hf_strategies"):
        make_trainer(SCORES, callbacks=[stopping()], **EACH_STEP).train()
    said = [entry.getMessage() for entry in caplog.records if entry.name.startswith("hf_strategies")]
    assert said == [
        "Stopped early at step 5 (epoch 1.25): eval_score has not improved for 2 evaluations;"
        " best 0.8 at step 3 (epoch 0.75).",
        "Restored the best weights, of step 3.",
    ]


@pytest.mark.parametrize("strategy", ["no", "steps", "epoch", "best"])
def test_does_not_depend_on_the_save_strategy(make_trainer: Callable[..., Any], strategy: str) -> None:
    options = EACH_STEP | {"save_strategy": strategy, "save_steps": 4, "save_total_limit": 1}
    if strategy == "best":
        options |= {"metric_for_best_model": "loss"}
    trainer = make_trainer(SCORES, callbacks=[stopping()], **options)
    trainer.train()
    assert trainer.state.global_step == 5
    assert torch.equal(flat(trainer.model), trainer.weights_at[3])


def test_has_the_last_word_over_load_best_model_at_end(make_trainer: Callable[..., Any]) -> None:
    options = EACH_STEP | {"save_strategy": "steps", "save_steps": 1}
    options |= {"load_best_model_at_end": True, "metric_for_best_model": "score", "greater_is_better": False}
    trainer = make_trainer(SCORES, callbacks=[stopping()], **options)
    trainer.train()
    assert trainer.state.best_global_step == 1
    assert torch.equal(flat(trainer.model), trainer.weights_at[3])


def test_an_evaluation_per_epoch_is_an_evaluation(make_trainer: Callable[..., Any]) -> None:
    trainer = make_trainer(SCORES, callbacks=[stopping()], eval_strategy="epoch", num_train_epochs=20)
    trainer.train()
    assert (trainer.state.global_step, trainer.state.epoch) == (20, 5.0)
    assert torch.equal(flat(trainer.model), trainer.weights_at[12])


class EvaluateTwice(TrainerCallback):
    """Ask for an evaluation at the end of each epoch, where the Trainer makes one anyway."""

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        control.should_evaluate = state.global_step % 4 == 0


def test_two_evaluations_at_one_step_count_once(make_trainer: Callable[..., Any]) -> None:
    scores = [score for score in SCORES for _ in range(2)]
    callbacks = [stopping(), EvaluateTwice()]
    trainer = make_trainer(scores, callbacks=callbacks, eval_strategy="epoch", num_train_epochs=20)
    trainer.train()
    assert trainer.state.global_step == 20
    assert record(trainer)["evaluations"] == 5


def test_nan_does_not_improve_and_infinity_is_not_best_for_ever(make_trainer: Callable[..., Any]) -> None:
    scores = [0.5, math.inf, 0.6, math.nan, 0.7, 0.6, math.nan, 1.0]
    trainer = make_trainer(scores, callbacks=[stopping()], **EACH_STEP)
    trainer.train()
    assert trainer.state.global_step == 7
    assert torch.equal(flat(trainer.model), trainer.weights_at[5])


def test_steady_small_gains_are_an_improvement_once_they_add_up(make_trainer: Callable[..., Any]) -> None:
    scores = [0.500 + 0.004 * index for index in range(12)]
    trainer = make_trainer(scores, callbacks=[stopping(patience=3, min_delta=0.005)], **EACH_STEP)
    trainer.train()
    assert trainer.state.global_step == 12


def test_an_evaluation_after_training_changes_nothing(make_trainer: Callable[..., Any]) -> None:
    trainer = make_trainer(SCORES, callbacks=[stopping()], **EACH_STEP)
    trainer.train()
    before, weights = record(trainer), flat(trainer.model)
    trainer.evaluate()
    assert record(trainer) == before
    assert torch.equal(flat(trainer.model), weights)


def test_a_second_train_starts_afresh(make_trainer: Callable[..., Any]) -> None:
    trainer = make_trainer([*SCORES[:5], *SCORES[:5]], callbacks=[stopping()], **EACH_STEP)
    trainer.train()
    trainer.train()
    assert trainer.state.global_step == 5
    assert torch.equal(flat(trainer.model), trainer.weights_at[3])


def test_two_of_them_keep_two_records(make_trainer: Callable[..., Any]) -> None:
    callbacks = [stopping(patience=4), stopping(patience=2)]
    trainer = make_trainer(SCORES, callbacks=callbacks, **EACH_STEP)
    trainer.train()
    records: Any = trainer.state.stateful_callbacks
    kept = {name: value["criterion"] for name, value in records.items() if name.startswith("early_stopping")}
    assert kept == {"early_stopping": "patience(4)", "early_stopping_2": "patience(2)"}
    assert trainer.state.global_step == 5


def test_one_of_several_evaluation_sets_is_watched(make_trainer: Callable[..., Any]) -> None:
    scores = [score for value in SCORES for score in (0.1, value)]
    trainer = make_trainer(scores, callbacks=[stopping(monitor="b_score")], **EACH_STEP)
    trainer.eval_dataset = {"a": trainer.eval_dataset, "b": trainer.eval_dataset}
    trainer.train()
    assert trainer.state.global_step == 5
    assert record(trainer)["monitor"] == "eval_b_score"


@pytest.mark.parametrize("as_dict", [False, True])
def test_a_metric_that_no_evaluation_has_is_an_error_with_near_matches(
    make_trainer: Callable[..., Any], as_dict: bool
) -> None:
    trainer = make_trainer(SCORES, callbacks=[stopping(monitor="scor")], **EACH_STEP)
    if as_dict:
        trainer.eval_dataset = {"a": trainer.eval_dataset}
    name = "eval_a_score" if as_dict else "eval_score"
    with pytest.raises(StrategyError, match=f"monitor='eval_scor' is not among .*did you mean '{name}'"):
        trainer.train()
    assert trainer.state.global_step == 1


def test_without_evaluations_it_refuses_to_start(make_trainer: Callable[..., Any]) -> None:
    trainer = make_trainer(SCORES, callbacks=[stopping()], max_steps=3)
    with pytest.raises(StrategyError, match="eval_strategy='no' has nothing to watch: set eval_strategy='epoch'"):
        trainer.train()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"patience": 0}, r"patience=0 is out of range: give a whole number of evaluations \(at least 1\)"),
        ({"min_delta": -1}, "min_delta=-1 is out of range: give a number of at least 0"),
        ({"mode": None}, "no telling whether lower or higher is better"),
        ({"mode": "down"}, "mode='down' is no direction"),
    ],
)
def test_a_bad_setting_is_told_before_there_is_a_trainer(options: dict[str, Any], words: str) -> None:
    with pytest.raises(StrategyError, match=words):
        stopping(**options)


# --- resume ---------------------------------------------------------------------------------------------------


def resume(make_trainer: Callable[..., Any], step: int, scores: list[float], **options: Any) -> Trainer:
    """Resume the run in the folder "out" from a checkpoint, as a new process would; later checkpoints are gone."""
    trainer: Trainer = make_trainer(scores, callbacks=[stopping()], **options)
    folder = Path(str(trainer.args.output_dir))
    for later in range(step + 1, 20):
        shutil.rmtree(folder / f"checkpoint-{later}", ignore_errors=True)
    trainer.train(resume_from_checkpoint=str(folder / f"checkpoint-{step}"))
    return trainer


@pytest.mark.parametrize("step", [1, 2, 3, 4])
def test_a_resumed_run_stops_and_restores_as_the_uninterrupted_one(
    make_trainer: Callable[..., Any], step: int
) -> None:
    whole = make_trainer(SCORES, callbacks=[stopping()], **SAVING)
    whole.train()
    resumed = resume(make_trainer, step, SCORES[step:], **SAVING)
    assert resumed.state.global_step == whole.state.global_step == 5
    assert torch.equal(flat(resumed.model), flat(whole.model))
    assert torch.equal(flat(resumed.model), whole.weights_at[3])
    assert what_happened(resumed) == what_happened(whole)
    assert learning_rates(resumed) == learning_rates(whole)


def test_a_run_that_had_stopped_does_not_train_on(
    make_trainer: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    whole = make_trainer(SCORES, callbacks=[stopping()], **SAVING)
    whole.train()
    with caplog.at_level(logging.WARNING, logger="hf_strategies"):
        resumed = resume(make_trainer, 5, SCORES[5:], **SAVING)
    assert "This run has stopped already and does not train on." in caplog.text
    assert torch.equal(flat(resumed.model), flat(whole.model))
    assert (resumed.state.global_step, resumed.state.epoch) == (5, 1.25)


def test_a_run_whose_budget_has_ended_in_an_epoch_stays_as_it_is_when_it_is_resumed(
    make_trainer: Callable[..., Any],
) -> None:
    options = SAVING | {"max_steps": 6, "lr_scheduler_type": "constant"}  # a quarter of the second epoch is left
    rising = [0.1 * step for step in range(1, 9)]
    whole = make_trainer(rising, callbacks=[stopping()], **options)
    whole.train()
    again = make_trainer(rising[6:], callbacks=[stopping()], **options)
    again.train(resume_from_checkpoint=str(Path(whole.args.output_dir) / "checkpoint-6"))
    assert (again.state.global_step, again.state.epoch) == (6, 1.5)
    assert torch.equal(flat(again.model), flat(whole.model))
    assert learning_rates(again) == learning_rates(whole)
    assert [row["step"] for row in again.state.log_history if "eval_score" in row] == [1, 2, 3, 4, 5, 6]
    assert "checkpoint-7" not in {path.name for path in Path(again.args.output_dir).iterdir()}


def test_the_step_after_a_stop_moves_no_weight(make_trainer: Callable[..., Any]) -> None:
    options = {"callbacks": [stopping(restore_best_weights=False)]}
    whole = make_trainer(SCORES, **options, **SAVING)
    whole.train()
    again = make_trainer(SCORES[5:], callbacks=[stopping(restore_best_weights=False)], **SAVING)
    again.train(resume_from_checkpoint=str(Path(whole.args.output_dir) / "checkpoint-5"))
    assert torch.equal(flat(again.model), flat(whole.model))


def test_more_patience_given_on_resume_lets_a_stopped_run_go_on(make_trainer: Callable[..., Any]) -> None:
    whole = make_trainer(SCORES, callbacks=[stopping()], **SAVING)
    whole.train()
    again = make_trainer([0.7, 0.7, 0.7, 0.7, 0.7, 0.7, 0.7], callbacks=[stopping(patience=4)], **SAVING)
    again.train(resume_from_checkpoint=str(Path(whole.args.output_dir) / "checkpoint-5"))
    assert again.state.global_step == 7
    assert torch.equal(flat(again.model), whole.weights_at[3])


def test_a_callback_that_is_new_on_resume_begins_to_wait_there_and_knows_the_best_so_far(
    make_trainer: Callable[..., Any],
) -> None:
    before = make_trainer(SCORES[:4], **(FLAT | {"max_steps": 4}))
    before.train()
    resumed = resume(make_trainer, 4, [0.7] * 8, **FLAT)
    # 5 is the first evaluation that it waits from, 6 and 7 are no better
    assert resumed.state.global_step == 7
    assert record(resumed)["best_step"] == 3


def test_lost_best_weights_are_said_to_be_lost_and_nothing_else_is_restored(
    make_trainer: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    before = make_trainer(SCORES[:4], callbacks=[stopping()], **(FLAT | {"max_steps": 4}))
    before.train()
    (file,) = (Path(before.args.output_dir) / "checkpoint-4").glob("best_weights*")
    file.unlink()
    with caplog.at_level(logging.WARNING, logger="hf_strategies"):
        resumed = resume(make_trainer, 4, SCORES[4:], **FLAT)
    assert "The best weights so far (eval_score=0.8 at step 3) are lost" in caplog.text
    assert record(resumed)["restored_best_weights"] is False
    assert torch.equal(flat(resumed.model), resumed.weights_at[5])  # type: ignore[attr-defined]


def test_with_the_trainer_s_own_restoring_of_callbacks_it_decides_the_same(make_trainer: Callable[..., Any]) -> None:
    options = SAVING | {"restore_callback_states_from_checkpoint": True}
    whole = make_trainer(SCORES, callbacks=[stopping()], **options)
    whole.train()
    resumed = resume(make_trainer, 4, SCORES[4:], **options)
    assert resumed.state.global_step == 5
    assert torch.equal(flat(resumed.model), whole.weights_at[3])


# --- whose weights -----------------------------------------------------------------------------------------------


def test_best_weights_of_another_run_are_not_taken_for_this_one_s(
    make_trainer: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    make_trainer(SCORES, callbacks=[stopping()], folder="mine", **SAVING).train()
    other = make_trainer(SCORES, callbacks=[stopping()], folder="other", **(SAVING | {"learning_rate": 0.2}))
    other.train()
    mine = str(Path(other.args.output_dir).parent / "mine" / "checkpoint-4")
    (file,) = Path(mine).glob("best_weights*")
    file.unlink()
    with caplog.at_level(logging.WARNING, logger="hf_strategies"):
        resumed = make_trainer(SCORES[4:], callbacks=[stopping()], folder="other", **SAVING)
        resumed.train(resume_from_checkpoint=mine)
    assert "are lost" in caplog.text
    assert record(resumed)["restored_best_weights"] is False
    assert not torch.equal(flat(resumed.model), other.weights_at[3])


def test_best_weights_are_found_in_the_checkpoint_that_training_resumes_from(
    make_trainer: Callable[..., Any],
) -> None:
    whole = make_trainer(SCORES, callbacks=[stopping()], folder="old", **SAVING)
    whole.train()
    checkpoint = str(Path(whole.args.output_dir) / "checkpoint-4")
    resumed = make_trainer(SCORES[4:], callbacks=[stopping()], folder="new", **SAVING)
    resumed.train(resume_from_checkpoint=checkpoint)
    assert torch.equal(flat(resumed.model), whole.weights_at[3])


def test_a_trainer_that_saves_elsewhere_as_in_a_search_is_not_hindered(make_trainer: Callable[..., Any]) -> None:
    class Elsewhere(Trainer):
        def _get_output_dir(self, trial: Any) -> str:
            return f"{self.args.output_dir}/run-0"

    trainer = make_trainer(SCORES, callbacks=[stopping()], trainer_class=Elsewhere, **SAVING)
    trainer.train()
    assert torch.equal(flat(trainer.model), trainer.weights_at[3])


def test_a_metric_with_a_slash_in_its_name_can_be_saved(make_trainer: Callable[..., Any]) -> None:
    trainer = make_trainer(SCORES, callbacks=[stopping(monitor="ner/f1")], **SAVING)
    scores = list(SCORES)
    trainer.compute_metrics = lambda _: {"ner/f1": scores.pop(0)}
    trainer.train()
    assert trainer.state.global_step == 5
    assert torch.equal(flat(trainer.model), trainer.weights_at[3])


def test_the_record_of_an_earlier_patience_does_not_stay(make_trainer: Callable[..., Any]) -> None:
    whole = make_trainer(SCORES, callbacks=[stopping()], **SAVING)
    whole.train()
    again = make_trainer([0.7] * 7, callbacks=[stopping(patience=4)], **SAVING)
    again.train(resume_from_checkpoint=str(Path(whole.args.output_dir) / "checkpoint-5"))
    assert (record(again)["criterion"], record(again)["stop_step"]) == ("patience(4)", 7)


def test_the_step_after_a_stop_is_neither_saved_nor_evaluated(make_trainer: Callable[..., Any]) -> None:
    whole = make_trainer(SCORES, callbacks=[stopping()], **SAVING)
    whole.train()
    resumed = resume(make_trainer, 5, [], **SAVING)
    assert not (Path(str(resumed.args.output_dir)) / "checkpoint-6").exists()
    assert what_happened(resumed) == what_happened(whole)


@pytest.mark.parametrize("monitor", [None, 3, ""])
def test_a_monitor_that_is_no_name_is_told(monitor: Any) -> None:
    with pytest.raises(StrategyError, match="is no metric's name"):
        EarlyStopping(monitor=monitor)
