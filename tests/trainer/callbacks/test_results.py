"""The result that a callback has in Python, before, while and after it trains, and the short keys of its record."""

import copy
import dataclasses
import json
import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from transformers import TrainerCallback

from hf_strategies import EarlyStopping, PlateauCooldown, ReduceOnPlateau, WeightAveraging
from hf_strategies.stopping import results
from hf_strategies.stopping.results import AveragingResult, CooldownResult, ReductionResult, StoppingResult
from tests.trainer.callbacks.cooldown_runs import OPTIONS, cooldown
from tests.trainer.callbacks.cooldown_runs import SCORES as COOLED
from tests.trainer.callbacks.stopping_runs import EACH_STEP, SAVING, SCORES, stopping

Make = Callable[..., Any]
REASON = "Stopped early at step 5 (epoch 1.25): eval_score has not improved for 2 evaluations; best 0.8 at step 3"
STOPPED = StoppingResult("eval_score", 3, 0.8, True, 5, f"{REASON} (epoch 0.75).", "best", 3)

KINDS: dict[str, tuple[Callable[[], Any], str]] = {
    "EarlyStopping": (stopping, "early_stopping"),
    "PlateauCooldown": (lambda: cooldown(patience=2), "plateau_cooldown"),
    "ReduceOnPlateau": (lambda: ReduceOnPlateau("score", 1, mode="max"), "reduce_on_plateau"),
    "WeightAveraging": (lambda: WeightAveraging("ema(over=3)"), "weight_averaging"),
}
every_kind = pytest.mark.parametrize("kind", KINDS)


class Peek(TrainerCallback):
    """Write down, after each step, the result that another callback has."""

    def __init__(self, other: Any) -> None:
        self.other = other
        self.seen: dict[int, Any] = {}

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.seen[state.global_step] = self.other.result


# --- early stopping ---------------------------------------------------------------------------------------------


def test_the_result_of_early_stopping_is_none_then_what_is_known_then_what_happened(make_trainer: Make) -> None:
    callback = stopping()
    peek = Peek(callback)
    trainer = make_trainer(SCORES, callbacks=[callback, peek], **EACH_STEP)
    assert callback.result is None
    trainer.train()
    assert callback.result == STOPPED
    so_far = {step: (found.best_step, found.best_value, found.kept) for step, found in peek.seen.items()}
    assert so_far == {
        0: (None, None, None),
        1: (1, 0.5, None),
        2: (2, 0.6, None),
        3: (3, 0.8, None),
        4: (3, 0.8, None),
    }
    assert not any(found.stopped for found in peek.seen.values())


def test_it_cannot_be_changed_and_a_copy_of_the_callback_has_none(make_trainer: Make) -> None:
    callback = stopping()
    make_trainer(SCORES, callbacks=[callback], **EACH_STEP).train()
    with pytest.raises(dataclasses.FrozenInstanceError):
        callback.result.best_step = 1
    assert callback.result == STOPPED
    assert copy.deepcopy(callback).result is None
    assert pickle.loads(pickle.dumps(callback)).result is None


def test_where_nothing_is_restored_the_end_is_kept(make_trainer: Make) -> None:
    callback = stopping(restore_best_weights=False)
    make_trainer(SCORES, callbacks=[callback], **EACH_STEP).train()
    assert callback.result == dataclasses.replace(STOPPED, kept="end", kept_step=5)


def test_a_run_that_its_budget_ends_was_not_stopped(make_trainer: Make) -> None:
    callback = stopping(patience=9)
    make_trainer(SCORES[:4], callbacks=[callback], **(EACH_STEP | {"max_steps": 4})).train()
    found = callback.result
    assert (found.stopped, found.stop_step, found.best_step, found.kept, found.kept_step) == (
        False,
        None,
        3,
        "best",
        3,
    )
    assert found.reason == "Not stopped early: no improvement 1/9."


def test_a_second_training_begins_with_nothing(make_trainer: Make) -> None:
    callback = stopping()
    peek = Peek(callback)
    trainer = make_trainer([*SCORES[:5], *SCORES[:5]], callbacks=[callback, peek], **EACH_STEP)
    trainer.train()
    peek.seen.clear()
    trainer.train()
    assert (peek.seen[0].best_step, peek.seen[0].kept) == (None, None)
    assert callback.result == STOPPED


@pytest.mark.parametrize("step", [2, 3, 4, 5])
def test_a_resumed_run_has_the_result_of_the_whole_run(make_trainer: Make, tmp_path: Path, step: int) -> None:
    make_trainer(SCORES, callbacks=[stopping()], **SAVING).train()
    again = stopping()
    peek = Peek(again)
    trainer = make_trainer(SCORES[step:], callbacks=[again, peek], folder="again", **SAVING)
    trainer.train(resume_from_checkpoint=str(tmp_path / "out" / f"checkpoint-{step}"))
    assert again.result == STOPPED
    first = peek.seen[step]
    assert (first.best_step, first.stopped) == (min(step, 3), step == 5)


# --- plateau cooldown -------------------------------------------------------------------------------------------


def test_the_result_of_a_cooldown_has_the_best_evaluation_beside_the_weights_that_were_kept(
    make_trainer: Make,
) -> None:
    callback = cooldown(samples=20)
    peek = Peek(callback)
    make_trainer([*COOLED[:8], 0.6], callbacks=[callback, peek], **OPTIONS).train()
    found = callback.result
    assert (found.best_step, found.best_value) == (3, 0.7)
    assert (found.kept, found.kept_step, found.kept_value) == ("end", 9, 0.6)
    assert (found.stopped, found.stop_step, found.phase) == (True, 9, "over")
    assert (found.cooldown_start, found.cooldown_end, found.drops) == (6, 9, ())
    assert found.reason.startswith("Cooled down from step 6 to 9: eval_score has not improved for 3 evaluations")
    assert [peek.seen[step].phase for step in range(9)] == ["hold"] * 6 + ["cooldown"] * 3
    assert peek.seen[0].cooldown_start == 20  # the last step at which half of the steps before still fit in
    assert peek.seen[8].kept is None


@pytest.mark.parametrize(
    ("options", "kept"),
    [
        ({"restore_best_weights": "best"}, ("best", 3, 0.7)),
        ({"restore_best_weights": "end"}, ("end", 9, 0.55)),
        ({"average": "tail(over=2)", "restore_best_weights": "best"}, ("average", 3, 0.7)),
    ],
)
def test_what_was_kept_is_what_the_model_has(make_trainer: Make, options: Any, kept: Any) -> None:
    callback = cooldown(**options)
    make_trainer(COOLED, callbacks=[callback], **OPTIONS).train()
    found = callback.result
    assert (found.kept, found.kept_step, found.kept_value) == kept
    assert (found.best_step, found.best_value) == (3, 0.7)


def test_a_cooldown_that_something_else_ends_has_kept_the_best_so_far(make_trainer: Make) -> None:
    class Stop(TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            control.should_training_stop |= state.global_step == 5

    callback = cooldown()
    make_trainer(COOLED, callbacks=[callback, Stop()], **OPTIONS).train()
    found = callback.result
    assert (found.phase, found.stopped, found.kept, found.kept_step) == ("hold", False, "best", 3)


# --- reductions and averages ------------------------------------------------------------------------------------


def test_the_result_of_reductions_counts_them(make_trainer: Make) -> None:
    callback = ReduceOnPlateau("score", 1, factor=0.5, mode="max")
    peek = Peek(callback)
    options = EACH_STEP | {"max_steps": 5, "lr_scheduler_type": "constant"}
    make_trainer([0.5, 0.4, 0.6, 0.5, 0.7], callbacks=[callback, peek], **options).train()
    assert callback.result == ReductionResult("eval_score", (2, 4), 2, 0.25)
    assert [peek.seen[step].ratio for step in range(5)] == [1.0, 1.0, 0.5, 0.5, 0.25]


def test_the_result_of_an_average_counts_its_steps_and_says_whether_it_was_left_in_the_model(
    make_trainer: Make,
) -> None:
    callback = WeightAveraging("ema(over=3)", start_from=2)
    peek = Peek(callback)
    make_trainer(callbacks=[callback, peek], max_steps=4).train()
    average = "ema(over='3 steps')"
    assert callback.result == AveragingResult(average, 2, 2, "average")
    assert peek.seen[3] == AveragingResult(average, 2, 1, None)


def test_training_that_ends_before_an_average_begins_has_kept_the_end(make_trainer: Make) -> None:
    class Stop(TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            control.should_training_stop = True

    callback = WeightAveraging("ema(over=3)", start_from=2)
    make_trainer(callbacks=[callback, Stop()], max_steps=4).train()
    assert callback.result is not None
    assert (callback.result.updates, callback.result.kept) == (0, "end")


# --- for all ----------------------------------------------------------------------------------------------------


@every_kind
def test_the_record_s_key_is_short_and_no_callback_s_class(kind: str, make_trainer: Make, tmp_path: Path) -> None:
    make, key = KINDS[kind]
    callback = make()
    options = EACH_STEP | {"max_steps": 4, "lr_scheduler_type": "constant"}
    trainer = make_trainer([0.5, 0.4, 0.3, 0.2], callbacks=[callback], **options)
    trainer.train()
    trainer.save_state()
    written = json.loads((tmp_path / "out" / "trainer_state.json").read_text())["stateful_callbacks"]
    ours = [name for name in written if not name.startswith("hf_strategies_") and name != "TrainerControl"]
    assert ours == [key]
    read = {
        "early_stopping": lambda record: StoppingResult.of(record, callback.result.kept, callback.result.kept_step),
        "plateau_cooldown": lambda record: CooldownResult.of(record, callback.result.kept, callback.result.kept_step),
        "reduce_on_plateau": ReductionResult.of,
        "weight_averaging": lambda record: AveragingResult.of(record, has_ended=True),
    }
    assert read[key](written[key]) == callback.result


@every_kind
def test_every_entry_of_a_record_is_documented_in_the_one_place(kind: str, make_trainer: Make) -> None:
    make, key = KINDS[kind]
    options = EACH_STEP | {"max_steps": 4, "lr_scheduler_type": "constant"}
    averaged = [WeightAveraging("ema(over=3)")] if kind == "EarlyStopping" else []
    trainer = make_trainer([0.5, 0.4, 0.3, 0.2], callbacks=[make(), *averaged], **options)
    trainer.train()
    (about,) = [part for part in (results.__doc__ or "").split("\n- ") if part.startswith(f"``{key}``")]
    if kind == "PlateauCooldown":
        assert "as above" in about
    documented = set(re.findall(r"``(\w+)``", about)) | {"measured_on"}
    assert set(trainer.state.stateful_callbacks[key]) <= documented


@every_kind
def test_transformers_restoring_of_callbacks_finds_none_of_ours_to_replace(
    kind: str, make_trainer: Make, tmp_path: Path
) -> None:
    # By the key "WeightAveraging" it made a new callback without arguments, in place of the user's own.
    make, _ = KINDS[kind]
    scores = [0.5, 0.4, 0.3, 0.2]
    options = EACH_STEP | {"max_steps": 4, "lr_scheduler_type": "constant", "save_strategy": "steps", "save_steps": 2}
    make_trainer(scores, callbacks=[make()], **options).train()
    again = make()
    options |= {"restore_callback_states_from_checkpoint": True}
    trainer = make_trainer(scores[2:], callbacks=[again], folder="again", **options)
    trainer.train(resume_from_checkpoint=str(tmp_path / "out" / "checkpoint-2"))
    assert [each for each in trainer.callback_handler.callbacks if type(each) is type(again)] == [again]
    assert again.result is not None


def test_two_of_a_kind_keep_their_records_when_they_come_in_another_order(make_trainer: Make, tmp_path: Path) -> None:
    def pair() -> list[EarlyStopping]:
        return [stopping(patience=4), stopping(patience=9, restore_best_weights=False)]

    options = SAVING | {"max_steps": 4}
    make_trainer(SCORES, callbacks=pair(), **options).train()
    turned = pair()[::-1]
    trainer = make_trainer(SCORES[3:], callbacks=turned, folder="again", **options)
    trainer.train(resume_from_checkpoint=str(tmp_path / "out" / "checkpoint-3"))
    records = trainer.state.stateful_callbacks
    assert [records[name]["criterion"] for name in ("early_stopping", "early_stopping_2")] == [
        "patience(9)",
        "patience(4)",
    ]
    assert "hf_strategies_trained_on" not in records  # neither was taken for a new one


def test_the_result_of_a_cooldown_before_training_is_none() -> None:
    assert PlateauCooldown("accuracy").result is None
