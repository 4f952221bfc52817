"""Trainers that pass something else than the trained module to callbacks, as SetFit's does."""

from pathlib import Path
from typing import Any

import torch
from transformers import Trainer

from hf_strategies import EarlyStopping, PlateauCooldown, WeightAveraging
from tests.tiny import Weights, flat, tiny_trainer


class Wrapped:
    """No module: it has one, as `SetFitModel` has its ``model_body``."""

    def __init__(self, body: Any) -> None:
        self.model_body = body


class WrappingTrainer(Trainer):
    """Passes a `Wrapped` to each callback but those of transformers, in the way of SetFit's Trainer."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        handler = self.callback_handler
        wrapped = Wrapped(self.model)

        def call_event(event: str, args: Any, state: Any, control: Any, **others: Any) -> Any:
            for callback in handler.callbacks:
                model = handler.model if isinstance(callback, Weights) else wrapped
                found = getattr(callback, event)(
                    args,
                    state,
                    control,
                    model=model,
                    processing_class=handler.processing_class,
                    optimizer=handler.optimizer,
                    lr_scheduler=handler.lr_scheduler,
                    train_dataloader=handler.train_dataloader,
                    eval_dataloader=handler.eval_dataloader,
                    **others,
                )
                control = control if found is None else found
            return control

        handler.call_event = call_event  # type: ignore[method-assign]


def trained(folder: Path, callback: Any, scores: list[float], **options: Any) -> Trainer:
    options = {"max_steps": 12, "eval_strategy": "steps", "eval_steps": 2} | options
    trainer = tiny_trainer(folder, scores, callbacks=[callback], trainer_class=WrappingTrainer, **options)
    trainer.train()
    return trainer


def test_early_stopping_restores_the_best_weights(tmp_path: Path) -> None:
    trainer = trained(tmp_path, EarlyStopping("score", mode="max", patience=2), [1.0, 3.0, 2.0, 1.0, 0.0, 0.0])
    assert trainer.state.global_step == 8
    assert torch.equal(flat(trainer.model), trainer.weights_at[4])  # type: ignore[arg-type, attr-defined]


def test_a_cooldown_ends_the_run(tmp_path: Path) -> None:
    callback = PlateauCooldown("score", mode="max", patience=1, cooldown=2, restore_best_weights="best")
    trainer = trained(tmp_path, callback, [1.0, 3.0, 2.0, 1.0, 0.0], lr_scheduler_type="constant")
    assert (callback.result.best_step, callback.result.stop_step) == (4, 8)
    assert torch.equal(flat(trainer.model), trainer.weights_at[4])  # type: ignore[arg-type, attr-defined]


def test_averages_are_what_is_left(tmp_path: Path) -> None:
    callback = WeightAveraging("tail(over=0.5)")
    plain = tiny_trainer(tmp_path, max_steps=12)
    plain.train()
    averaged = trained(tmp_path, callback, [0.0] * 6)
    assert callback.result.kept == "average"
    assert not torch.equal(flat(averaged.model), flat(plain.model))  # type: ignore[arg-type]


def test_a_run_that_had_ended_is_resumed_without_a_step(tmp_path: Path) -> None:
    scores = [1.0, 3.0, 2.0, 1.0]
    options = {"save_strategy": "steps", "save_steps": 2}
    first = trained(tmp_path, EarlyStopping("score", mode="max", patience=2), list(scores), **options)
    again = tiny_trainer(
        tmp_path,
        [9.0],
        callbacks=[EarlyStopping("score", mode="max", patience=2)],
        trainer_class=WrappingTrainer,
        max_steps=12,
        eval_strategy="steps",
        eval_steps=2,
        **options,
    )
    again.train(resume_from_checkpoint=str(tmp_path / "checkpoint-8"))
    assert again.state.global_step == first.state.global_step == 8
    assert torch.equal(flat(again.model), flat(first.model))  # type: ignore[arg-type]
