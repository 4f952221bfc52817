"""A run with averaged weights that is resumed: bit for bit the run that was not interrupted."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file
from transformers import TrainerCallback

from hf_strategies import EarlyStopping, StrategyError, WeightAveraging
from tests.trainer.averaging_runs import Recorder, averaged_trainer, digests, ema_3, in_model, largest_difference
from tests.trainer.placements import digest

EACH = {"save_strategy": "steps", "save_steps": 1, "eval_strategy": "steps", "eval_steps": 1}
SCORES = [0.1, 0.2, 0.9, 0.3, 0.3, 0.3, 0.3, 0.3]


def train(folder: Path, resume: int | None = None, callbacks: Any = (), scores: Any = SCORES, **options: Any) -> Any:
    left = scores[resume:] if resume else scores
    trainer, recorder = averaged_trainer(folder, callbacks, left, **(EACH | options))
    trainer.train(resume_from_checkpoint=str(folder / f"checkpoint-{resume}") if resume else None)
    return trainer, recorder


def check_resumed(whole: Recorder, resumed: Recorder, step: int) -> None:
    later = {key: value for key, value in digests(whole.after).items() if key >= step}
    assert digests(resumed.after) == later
    assert digests(resumed.evaluated) == {key: value for key, value in digests(whole.evaluated).items() if key > step}


@pytest.mark.parametrize("average", ["ema(over=3)", "tail(over=2)"])
def test_from_every_checkpoint_raw_and_averaged_weights_are_bit_for_bit_the_same(
    tmp_path: Path, average: str
) -> None:
    trainer, whole = train(tmp_path, average=WeightAveraging(average))
    final = digest(in_model(trainer))
    for step in range(1, 6):
        saved = load_file(tmp_path / f"checkpoint-{step}" / "model.safetensors")
        name = "classifier.weight"
        assert digest({name: saved[name]}) == digest({name: whole.after[step][name]})
        assert (tmp_path / f"checkpoint-{step}" / "weight_average.safetensors").is_file()
    for step in range(1, 6):
        copy = tmp_path / f"from-{step}"
        shutil.copytree(tmp_path / f"checkpoint-{step}", copy / f"checkpoint-{step}")
        trainer, resumed = train(copy, step, average=WeightAveraging(average))
        check_resumed(whole, resumed, step)
        assert digest(in_model(trainer)) == final


def test_the_checkpoint_that_is_the_best_evaluation_has_the_average_as_best_weights(tmp_path: Path) -> None:
    """A naive one would take the checkpoint's own weights, which are raw, for those of the best evaluation."""
    trainer, whole = train(tmp_path, callbacks=[EarlyStopping("score", 2, mode="max")])
    best = digest(whole.evaluated[3])
    assert digest(in_model(trainer)) == best
    for step in (3, 4):
        trainer, resumed = train(tmp_path, step, [EarlyStopping("score", 2, mode="max")])
        assert trainer.state.global_step == 5
        assert digest(in_model(trainer)) == best
        check_resumed(whole, resumed, step)


@pytest.mark.parametrize("first", [True, False])
def test_a_run_that_had_stopped_ends_with_the_average_again(tmp_path: Path, first: bool) -> None:
    def callbacks() -> list[TrainerCallback]:
        both = [WeightAveraging("ema(over=3)"), EarlyStopping("score", 2, mode="max", restore_best_weights=False)]
        return both if first else both[::-1]

    trainer, _ = train(tmp_path, callbacks=callbacks(), average=None)
    final = digest(in_model(trainer))
    trainer, again = train(tmp_path, 5, callbacks(), average=None)
    assert trainer.state.global_step == 5
    assert not again.evaluated
    assert digest(in_model(trainer)) == final


@pytest.mark.parametrize("steps", [6, 8])
def test_a_run_that_had_made_all_steps_ends_with_the_average_again(tmp_path: Path, steps: int) -> None:
    """Eight steps are a whole epoch; from within an epoch the Trainer would make a step more."""
    trainer, _ = train(tmp_path, max_steps=steps)
    final = digest(in_model(trainer))
    trainer, _ = train(tmp_path, steps, max_steps=steps)
    assert trainer.state.global_step == steps
    assert trainer.state.stateful_callbacks["weight_averaging"]["updates"] == steps
    assert digest(in_model(trainer)) == final


def test_a_run_that_lacks_its_last_evaluation_makes_it_with_the_average(tmp_path: Path) -> None:
    """Saved by steps, evaluated by epochs: the checkpoint of step 8 is written before its evaluation."""
    options = {"eval_strategy": "epoch", "max_steps": 8}
    _, whole = train(tmp_path, **options)
    shutil.copytree(tmp_path / "checkpoint-8", tmp_path / "late" / "checkpoint-8")
    stopping = EarlyStopping("score", 5, mode="max")
    trainer, recorder = averaged_trainer(tmp_path / "late", [stopping], [0.5], **(EACH | options))
    trainer.train(resume_from_checkpoint=str(tmp_path / "late" / "checkpoint-8"))
    assert digests(recorder.evaluated) == digests(whole.evaluated)


def test_a_checkpoint_without_an_average_begins_it_there(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    train(tmp_path, average=None)
    caplog.clear()
    _, recorder = train(tmp_path, 3)
    assert "the run has no average up to step 3" in caplog.text
    assert largest_difference(recorder.evaluated[6], ema_3([recorder.after[n] for n in (4, 5, 6)])) < 2e-6


def test_a_run_that_has_trained_on_without_the_callback_begins_the_average_anew(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    train(tmp_path)
    train(tmp_path, 2, average=None)
    _, recorder = train(tmp_path, 4)
    assert "the run has no average up to step 4" in caplog.text
    assert digest(recorder.evaluated[5]) == digest(recorder.after[5])


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (WeightAveraging("ema(over=4)"), "has an average with average .*3 steps.*, not .*4 steps"),
        (WeightAveraging("tail(over=3)"), "has an average with average .*ema.*, not .*tail"),
        (WeightAveraging("ema(over=3)", start_from=1), "has an average with start_from None, not '1 steps'"),
    ],
)
def test_the_average_of_other_settings_is_refused(tmp_path: Path, other: WeightAveraging, message: str) -> None:
    train(tmp_path)
    with pytest.raises(StrategyError, match=message) as raised:
        train(tmp_path, 4, average=other)
    assert "\n" not in str(raised.value)


def test_an_average_over_epochs_of_another_length_is_refused(tmp_path: Path) -> None:
    train(tmp_path, average=WeightAveraging("ema(over='1ep')"))
    with pytest.raises(StrategyError, match=r"with lengths \{'over': 8\}, not \{'over': 16\}"):
        train(tmp_path, 4, average=WeightAveraging("ema(over='1ep')"), per_device_train_batch_size=2)


def test_a_longer_budget_changes_no_average(tmp_path: Path) -> None:
    _, whole = train(tmp_path / "whole", max_steps=8, average=WeightAveraging("tail(over=0.5)"))
    train(tmp_path / "part", max_steps=5, average=WeightAveraging("tail(over=0.5)"))
    _, extended = train(tmp_path / "part", 5, max_steps=8, average=WeightAveraging("tail(over=0.5)"))
    check_resumed(whole, extended, 5)


@pytest.mark.parametrize("fault", ["missing", "damaged", "of another run"])
def test_an_average_that_is_lost_is_refused_in_a_line(tmp_path: Path, fault: str) -> None:
    train(tmp_path)
    file = tmp_path / "checkpoint-4" / "weight_average.safetensors"
    if fault == "missing":
        file.unlink()
    elif fault == "damaged":
        file.write_bytes(file.read_bytes()[:100])
    else:
        train(tmp_path / "other", learning_rate=0.02)
        shutil.copy(tmp_path / "other" / "checkpoint-4" / file.name, file)
    with pytest.raises(StrategyError, match=r"the average of 4 updates up to step 4 is lost: .*checkpoint-4'"):
        train(tmp_path, 4)


def test_rotation_deletes_the_averages_with_the_checkpoints(tmp_path: Path) -> None:
    train(tmp_path, save_total_limit=2)
    assert sorted(path.parent.name for path in tmp_path.rglob("weight_average*")) == ["checkpoint-5", "checkpoint-6"]
    assert not list(tmp_path.glob("_weight_average*"))


class DiesAfterSaving(TrainerCallback):
    """Ends as a killed process: the checkpoint is written, and `on_save` of the others has not run."""

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step == 4:
            raise KeyboardInterrupt


def test_killed_between_the_checkpoint_and_its_average_it_resumes_as_if_nothing_had_happened(tmp_path: Path) -> None:
    _, whole = train(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "killed", callbacks=[DiesAfterSaving()])
    assert not (tmp_path / "killed" / "checkpoint-4" / "weight_average.safetensors").exists()
    _, resumed = train(tmp_path / "killed", 4)
    check_resumed(whole, resumed, 4)


@pytest.mark.parametrize("kind", ["steps", "epoch"])
def test_checkpoints_by_epochs_and_steps_have_the_average(tmp_path: Path, kind: str) -> None:
    options = {"save_strategy": kind, "save_steps": 8, "max_steps": 10, "eval_strategy": "epoch"}
    _, whole = train(tmp_path, **options)
    shutil.copytree(tmp_path / "checkpoint-8", tmp_path / "again" / "checkpoint-8")
    trainer, recorder = averaged_trainer(tmp_path / "again", **(EACH | options))
    trainer.train(resume_from_checkpoint=str(tmp_path / "again" / "checkpoint-8"))
    assert digests(recorder.after) == {key: value for key, value in digests(whole.after).items() if key >= 8}
    assert digest(recorder.evaluated[10]) == digest(whole.evaluated[10])


def test_the_record_says_what_was_averaged(tmp_path: Path) -> None:
    train(tmp_path, average=WeightAveraging("ema(over=3)", start_from=2))
    written = json.loads((tmp_path / "trainer_state.json").read_text())["stateful_callbacks"]["weight_averaging"]
    assert written == {
        "average": "ema(over='3 steps')",
        "lengths": {"over": 3},
        "start_from": "2 steps",
        "start": 2,
        "updates": 4,
        "step": 6,
        "is_final": True,
    }
