"""Runs that are resumed: the evaluation that a checkpoint lacks, evaluations that do not count, SIGTERM."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn.functional import dropout
from transformers import Trainer, TrainerCallback
from transformers.trainer_jit_checkpoint import JITCheckpointCallback

from hf_strategies import EarlyStopping, PlateauCooldown, ReduceOnPlateau, WeightAveraging
from tests.tiny import flat, learning_rates

# by epoch, of four steps each
SCORES = [0.5, 0.45, 0.47, 0.4, 0.46, 0.3, 0.3]
BY_EPOCH = {"eval_strategy": "epoch", "max_steps": -1, "num_train_epochs": 6}
WITH_WARMUP = {"lr_scheduler_type": "linear_warmup_plateau_cooldown", "warmup_steps": 2}
WATCH: dict[str, Any] = {"monitor": "score", "mode": "max"}
CASES: dict[str, tuple[Callable[[], TrainerCallback], dict[str, Any]]] = {
    "stopping": (lambda: EarlyStopping(**WATCH, patience=3, restore_best_weights=False), {}),
    "reducing": (lambda: ReduceOnPlateau(**WATCH, patience=1, factor=0.5), {"lr_scheduler_type": "constant"}),
    "cooldown": (lambda: PlateauCooldown(**WATCH, patience=2, restore_best_weights=False), WITH_WARMUP),
}


class SaveBeforeEvaluation(TrainerCallback):
    """Write a checkpoint at the end of each step, as a Trainer does on SIGTERM."""

    trainer: Trainer

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.trainer._save_checkpoint(self.trainer.model, trial=None)


def with_dropout(trainer: Any) -> Any:
    """Let each step depend on the random numbers."""
    trainer.model.linear.register_forward_pre_hook(
        lambda module, inputs: (dropout(inputs[0], 0.5, training=module.training),)
    )
    return trainer


def evaluated(trainer: Any) -> list[tuple[int, float, float]]:
    rows = [row for row in trainer.state.log_history if "eval_loss" in row]
    return [(row["step"], row["eval_score"], row["eval_loss"]) for row in rows]


@pytest.mark.parametrize("strategy", [BY_EPOCH, BY_EPOCH | {"eval_strategy": "steps", "eval_steps": 4}])
@pytest.mark.parametrize("case", CASES)
def test_an_evaluation_that_the_checkpoint_lacks_is_made_on_resume(
    make_trainer: Callable[..., Any], case: str, strategy: dict[str, Any]
) -> None:
    make, options = CASES[case]
    saver = SaveBeforeEvaluation()
    whole = with_dropout(make_trainer(SCORES, callbacks=[saver, make()], **strategy, **options))
    saver.trainer = whole
    whole.train()
    for step in (4, 7, 8, 12):
        again = with_dropout(make_trainer(SCORES[(step - 1) // 4 :], callbacks=[make()], **strategy, **options))
        again.train(resume_from_checkpoint=str(Path(whole.args.output_dir) / f"checkpoint-{step}"))
        # the loss of the last step before the checkpoint was not logged yet when that was written
        assert learning_rates(again)[step - 1 :] == learning_rates(whole)[step:], step
        assert evaluated(again) == evaluated(whole), step
        assert again.state.global_step == whole.state.global_step, step
        assert torch.equal(flat(again.model), flat(whole.model)), step


def test_the_run_that_the_missing_evaluation_stops_moves_no_weight(make_trainer: Callable[..., Any]) -> None:
    make, saver = CASES["stopping"][0], SaveBeforeEvaluation()
    whole = make_trainer(SCORES, callbacks=[saver, make()], **BY_EPOCH)
    saver.trainer = whole
    whole.train()
    assert whole.state.global_step == 16
    again = make_trainer(SCORES[3:], callbacks=[make()], **BY_EPOCH)
    again.train(resume_from_checkpoint=str(Path(whole.args.output_dir) / "checkpoint-16"))
    assert evaluated(again) == evaluated(whole)
    assert torch.equal(flat(again.model), flat(whole.model))


def test_the_last_evaluation_is_made_where_no_step_is_left(make_trainer: Callable[..., Any]) -> None:
    saver = SaveBeforeEvaluation()
    options = BY_EPOCH | {"num_train_epochs": 2}
    whole = make_trainer(SCORES, callbacks=[saver, EarlyStopping(**WATCH)], **options)
    saver.trainer = whole
    whole.train()
    again = make_trainer(SCORES[1:], callbacks=[EarlyStopping(**WATCH)], **options)
    again.train(resume_from_checkpoint=str(Path(whole.args.output_dir) / "checkpoint-8"))
    assert evaluated(again) == evaluated(whole)
    assert again.state.global_step == 8


def test_a_checkpoint_at_the_end_of_an_epoch_has_its_evaluation(make_trainer: Callable[..., Any]) -> None:
    options = BY_EPOCH | {"save_strategy": "steps", "save_steps": 2, "num_train_epochs": 2}
    trainer = make_trainer(SCORES, callbacks=[EarlyStopping(**WATCH)], **options)
    trainer.train()
    state = type(trainer.state)
    for step, count in ((2, 0), (4, 1), (6, 1), (8, 2)):
        file = Path(trainer.args.output_dir) / f"checkpoint-{step}" / "trainer_state.json"
        log = state.load_from_json(str(file)).log_history
        assert sum("eval_score" in row for row in log) == count


@pytest.mark.parametrize("step", [2, 3, 4])
def test_eval_on_start_counts_for_nothing_on_resume(make_trainer: Callable[..., Any], step: int) -> None:
    options = {"eval_strategy": "steps", "eval_steps": 2, "max_steps": 12, "save_strategy": "steps", "save_steps": 1}
    options |= {"eval_on_start": True, "lr_scheduler_type": "constant"}
    scores = [0.9, 0.5, 0.4, 0.3, 0.2, 0.1]  # at the start, and at 2, 4, ...: patience 3 is used up at step 6

    def stopping() -> EarlyStopping:
        return EarlyStopping(**WATCH, patience=3, restore_best_weights=False)

    whole = make_trainer(scores, callbacks=[stopping()], **options)
    whole.train()
    assert whole.state.global_step == 6
    again = make_trainer([1.0, *scores[1 + step // 2 :]], callbacks=[stopping()], **options)
    again.train(resume_from_checkpoint=str(Path(whole.args.output_dir) / f"checkpoint-{step}"))
    assert again.state.global_step == 6
    assert torch.equal(flat(again.model), flat(whole.model))


def test_early_stopping_with_less_patience_on_resume_ends_no_run_that_had_not_stopped(
    make_trainer: Callable[..., Any],
) -> None:
    options = {"eval_strategy": "steps", "eval_steps": 1, "max_steps": 9, "save_strategy": "steps", "save_steps": 1}
    scores = [0.5, 0.4, 0.4, 0.4, 0.6, 0.7, 0.8, 0.9, 1.0]
    make_trainer(scores, callbacks=[EarlyStopping(**WATCH, patience=4)], **options).train()
    again = make_trainer(scores[6:], callbacks=[EarlyStopping(**WATCH, patience=2)], **options)
    again.train(resume_from_checkpoint=str(Path(again.args.output_dir) / "checkpoint-6"))
    assert again.state.global_step == 9
    assert torch.equal(flat(again.model), again.weights_at[9])


def test_a_shorter_training_ends_no_run_whose_patience_is_a_fraction_of_it(make_trainer: Callable[..., Any]) -> None:
    options = {"eval_strategy": "steps", "eval_steps": 1, "save_strategy": "steps", "save_steps": 1}
    options |= {"lr_scheduler_type": "constant"}
    scores = [0.5, 0.4, 0.4, 0.4, 0.6, *[0.7] * 20]
    make_trainer(scores, callbacks=[EarlyStopping(**WATCH, patience=0.2)], max_steps=20, **options).train()
    again = make_trainer(scores[5:], callbacks=[EarlyStopping(**WATCH, patience=0.2)], max_steps=10, **options)
    again.train(resume_from_checkpoint=str(Path(again.args.output_dir) / "checkpoint-5"))
    # two steps in place of four: from step 6 on, 7 and 8 are no better
    assert again.state.global_step == 8


class Preempt(TrainerCallback):
    """Let the Trainer believe at an event of a step that it has got SIGTERM; given before what it tests."""

    def __init__(self, event: str, step: int) -> None:
        self.step = step
        setattr(self, event, self._request)

    def _request(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step == self.step:
            JITCheckpointCallback.on_step_begin(self.jit, args, state, control)

    def attach(self, trainer: Any) -> None:
        callbacks = trainer.callback_handler.callbacks
        (self.jit,) = (each for each in callbacks if isinstance(each, JITCheckpointCallback))
        self.jit.jit_manager.is_checkpoint_requested = False
        manager = self.jit.jit_manager
        original = self._request

        def request(args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            manager.is_checkpoint_requested = state.global_step == self.step
            original(args, state, control, **kwargs)

        for event in [name for name in vars(self) if name.startswith("on_")]:
            setattr(self, event, request)


@pytest.mark.parametrize("event", ["on_step_begin", "on_pre_optimizer_step", "on_step_end"])
def test_a_checkpoint_on_sigterm_has_the_best_weights(make_trainer: Callable[..., Any], event: str) -> None:
    options = {"eval_strategy": "steps", "eval_steps": 1, "max_steps": 8, "lr_scheduler_type": "constant"}
    scores = [0.5, 0.9, 0.4, 0.3, 0.2, 0.1, 0.1, 0.1, 0.1]
    stopping = {"patience": 20, **WATCH}
    preempt = Preempt(event, 4)
    first = make_trainer(
        scores, callbacks=[preempt, EarlyStopping(**stopping)], enable_jit_checkpoint=True, **options
    )
    preempt.attach(first)
    first.train()
    checkpoint = Path(first.args.output_dir) / "checkpoint-4"
    shutil.move(checkpoint, checkpoint.parent.parent / "saved" / "checkpoint-4")
    again = make_trainer([0.3, *scores[4:]], folder="new", callbacks=[EarlyStopping(**stopping)], **options)
    again.train(resume_from_checkpoint=str(checkpoint.parent.parent / "saved" / "checkpoint-4"))
    assert again.state.global_step == 8
    assert torch.equal(flat(again.model), first.weights_at[2])


@pytest.mark.parametrize("event", ["on_step_begin", "on_pre_optimizer_step", "on_step_end"])
@pytest.mark.parametrize("with_stopping", [False, True])
def test_a_checkpoint_on_sigterm_has_the_average(
    make_trainer: Callable[..., Any], event: str, with_stopping: bool
) -> None:
    options = {"eval_strategy": "steps", "eval_steps": 1, "max_steps": 8, "lr_scheduler_type": "constant"}
    scores = [0.5, 0.4, 0.4, 0.3, 0.2, 0.1, 0.9, 0.1, 0.1]

    def callbacks() -> list[TrainerCallback]:
        stopping = [EarlyStopping(patience=20, **WATCH)] if with_stopping else []
        return [*stopping, WeightAveraging("ema(over=3)")]

    whole = make_trainer(scores, folder="whole", callbacks=callbacks(), **options)
    whole.train()
    preempt = Preempt(event, 4)
    first = make_trainer(scores, callbacks=[preempt, *callbacks()], enable_jit_checkpoint=True, **options)
    preempt.attach(first)
    first.train()
    checkpoint = Path(first.args.output_dir) / "checkpoint-4"
    saved = checkpoint.parent.parent / "saved" / "checkpoint-4"
    shutil.move(checkpoint, saved)
    assert (saved / "weight_average.safetensors").is_file()
    # If the signal came with the end of the step, its evaluation is made on resume, where a callback watches it.
    left = scores[3:] if with_stopping and event == "on_step_end" else scores[4:]
    again = make_trainer(left, folder="new", callbacks=callbacks(), **options)
    again.train(resume_from_checkpoint=str(saved))
    assert again.state.global_step == 8
    assert torch.equal(flat(again.model), flat(whole.model))
