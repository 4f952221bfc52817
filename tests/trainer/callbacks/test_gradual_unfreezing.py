"""Gradual unfreezing in the stock Trainer: who moves at which step, worked out by hand."""

import json
import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from accelerate import Accelerator
from accelerate.utils import DistributedType
from torch import nn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from hf_strategies import BestWeights, EarlyStopping, StrategyError
from hf_strategies.trainer.arguments import StrategyArguments
from hf_strategies.trainer.callbacks import gradual_unfreezing
from hf_strategies.trainer.callbacks.gradual_unfreezing import GradualUnfreezing
from hf_strategies.trainer.lr.layer_decay import layer_decay_optimizer
from tests.tiny import TinyModel, learning_rates
from tests.trainer.bert_runs import arguments, bert, bert_trainer, weights
from tests.two_processes import run_in_processes

# A layer every two steps: the head (4) alone, then the layers 3, 2, 1, then the embeddings (0).
EVERY_TWO = [[4], [4], [3, 4], [3, 4], [2, 3, 4], [2, 3, 4], [1, 2, 3, 4], [1, 2, 3, 4], *([[0, 1, 2, 3, 4]] * 4)]


def requires_grad(model: nn.Module) -> dict[str, bool]:
    return {name: parameter.requires_grad for name, parameter in model.named_parameters()}


@pytest.mark.parametrize("every", [2, "2", "0.5ep", 0.16])
def test_a_weight_is_bit_identical_until_its_turn_and_moves_from_then_on(
    every: int | float | str, tmp_path: Path
) -> None:
    trainer, watch = bert_trainer(arguments(tmp_path), callbacks=[GradualUnfreezing(every)])
    trainer.train()
    assert [watch.moved(step) for step in range(1, 13)] == EVERY_TWO


def test_the_default_is_a_layer_each_epoch(tmp_path: Path) -> None:
    args = arguments(tmp_path, max_steps=-1, num_train_epochs=3, gradient_accumulation_steps=2)
    trainer, watch = bert_trainer(args, callbacks=[GradualUnfreezing()])
    trainer.train()
    assert trainer.state.global_step == 6
    assert [watch.moved(step) for step in range(1, 7)] == EVERY_TWO[:6]


def test_what_is_frozen_has_no_gradient_to_clip_and_no_moments(tmp_path: Path) -> None:
    trainer, watch = bert_trainer(arguments(tmp_path, max_steps=3), callbacks=[GradualUnfreezing(2)])
    trainer.train()
    assert watch.with_gradient == {1: {4}, 2: {4}, 3: {3, 4}}
    model: Any = trainer.model
    optimizer: Any = trainer.optimizer
    head = [*model.bert.pooler.parameters(), *model.classifier.parameters()]
    assert set(optimizer.state) == {*head, *model.bert.encoder.layer[2].parameters()}


def test_every_group_is_in_the_schedule_from_the_start(tmp_path: Path) -> None:
    args = arguments(tmp_path, lr_scheduler_type="linear")
    optimizer = layer_decay_optimizer(args, layer_decay=0.5)
    trainer, watch = bert_trainer(args, callbacks=[GradualUnfreezing(2)], optimizer_cls_and_kwargs=optimizer)
    trainer.train()
    # Update k uses the schedule's value after k - 1 of the 12 steps; the embeddings are three layers down.
    assert watch.rates[9][0] == pytest.approx(0.01 * 0.5**3 * (1 - 8 / 12))
    assert [watch.moved(step) for step in range(1, 13)] == EVERY_TWO


@pytest.mark.parametrize("step", [1, 4, 7])
def test_a_resumed_run_goes_on_with_the_layers_of_its_step(step: int, tmp_path: Path) -> None:
    args = arguments(tmp_path, save_strategy="steps", save_steps=1)
    whole, seen = bert_trainer(args, callbacks=[GradualUnfreezing(2)])
    whole.train()
    resumed, again = bert_trainer(args, callbacks=[GradualUnfreezing(2)])
    resumed.train(resume_from_checkpoint=str(tmp_path / f"checkpoint-{step}"))
    assert [again.moved(later) for later in range(step + 1, 13)] == EVERY_TWO[step:]
    assert all(torch.equal(vector, again.weights[12][depth]) for depth, vector in seen.weights[12].items())


def test_a_second_train_begins_with_the_head_again(tmp_path: Path) -> None:
    trainer, watch = bert_trainer(arguments(tmp_path), callbacks=[GradualUnfreezing(2)])
    trainer.train()
    trainer.train()
    assert [watch.moved(step) for step in range(1, 13)] == EVERY_TWO


@pytest.mark.parametrize("steps", [1, 12])
def test_afterwards_every_parameter_requires_a_gradient_as_before(steps: int, tmp_path: Path) -> None:
    trainer, _ = bert_trainer(arguments(tmp_path, max_steps=steps), callbacks=[GradualUnfreezing(2)])
    model: Any = trainer.model
    model.bert.embeddings.requires_grad_(False)
    before = requires_grad(model)
    trainer.train()
    assert requires_grad(model) == before
    assert not all(before.values())


class BreakOff(TrainerCallback):
    """End the training with an error, once."""

    def __init__(self) -> None:
        self.done = False

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if not self.done:
            self.done = True
            raise KeyboardInterrupt


def test_after_a_training_that_was_broken_off_the_next_one_trains_all(tmp_path: Path) -> None:
    trainer, watch = bert_trainer(arguments(tmp_path), callbacks=[GradualUnfreezing(2), BreakOff()])
    with pytest.raises(KeyboardInterrupt):
        trainer.train()
    trainer.train()
    assert [watch.moved(step) for step in range(1, 13)] == EVERY_TWO


class BreakOffIn(TrainerCallback):
    """End the training with an error at an event, or in the model's forward or backward pass, of the third step."""

    def __init__(self, place: str) -> None:
        self.place, self.step = place, -1
        if place.startswith("on_"):
            setattr(self, place, self.interrupt)

    def interrupt(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step >= 2:
            raise KeyboardInterrupt

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        def hook(*_: Any) -> None:
            raise KeyboardInterrupt

        if state.global_step == 2 and self.place == "forward":
            kwargs["model"].classifier.register_forward_hook(hook)
        if state.global_step == 2 and self.place == "backward":
            kwargs["model"].classifier.register_full_backward_hook(hook)


@pytest.mark.parametrize("place", ["forward", "backward", "on_step_end", "on_evaluate", "on_pre_optimizer_step"])
def test_a_training_that_was_interrupted_leaves_nothing_frozen_but_what_you_froze(place: str, tmp_path: Path) -> None:
    args = arguments(tmp_path, eval_strategy="steps", eval_steps=3)
    trainer, _ = bert_trainer(args, callbacks=[GradualUnfreezing(2), BreakOffIn(place)])
    model: Any = trainer.model
    model.bert.embeddings.word_embeddings.requires_grad_(False)
    before = requires_grad(model)
    with pytest.raises(KeyboardInterrupt):
        trainer.train()
    assert requires_grad(model) == before


def test_a_trainer_whose_training_was_interrupted_trains_all_layers_without_the_callback(tmp_path: Path) -> None:
    callback, interrupt = GradualUnfreezing(2), BreakOffIn("on_step_end")
    trainer, watch = bert_trainer(arguments(tmp_path), callbacks=[callback, interrupt])
    with pytest.raises(KeyboardInterrupt):
        trainer.train()
    trainer.remove_callback(callback)
    trainer.remove_callback(interrupt)
    trainer.train()
    assert [watch.moved(step) for step in range(1, 13)] == [[0, 1, 2, 3, 4]] * 12


def test_afterwards_the_trainer_has_its_own_training_step(tmp_path: Path) -> None:
    trainer, _ = bert_trainer(arguments(tmp_path, max_steps=2), callbacks=[GradualUnfreezing(2)])
    own = trainer.training_step
    trainer.train()
    assert "training_step" not in vars(trainer)
    trainer.training_step = own  # type: ignore[method-assign]
    trainer.train()
    assert vars(trainer)["training_step"] is own


def test_a_trainer_that_makes_its_steps_in_another_way_is_refused(tmp_path: Path) -> None:
    trainer, _ = bert_trainer(arguments(tmp_path), callbacks=[GradualUnfreezing(2)])
    own = trainer.training_step

    class SetLater(TrainerCallback):
        def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            trainer.training_step = own  # type: ignore[method-assign]

    trainer.add_callback(SetLater())
    with pytest.raises(StrategyError, match=r"freezes layers in training_step\(\), which this Trainer does not call"):
        trainer.train()


def test_a_loop_without_a_trainer_freezes_between_the_events(tmp_path: Path) -> None:
    args, state, control, model = arguments(tmp_path), TrainerState(max_steps=9), TrainerControl(), bert()
    Accelerator(cpu=True)
    callback = GradualUnfreezing(4)
    callback.on_train_begin(args, state, control, model=model)
    callback.on_step_begin(args, state, control, model=model)
    trained = {name for name, trains in requires_grad(model).items() if trains}
    assert trained == {name for name, _ in model.named_parameters() if name.startswith(("bert.pooler", "classifier"))}
    callback.on_step_end(args, state, control, model=model)
    callback.on_train_end(args, state, control, model=model)
    assert all(requires_grad(model).values())


def test_what_you_froze_yourself_stays_frozen_and_has_no_turn(tmp_path: Path) -> None:
    trainer, watch = bert_trainer(arguments(tmp_path), callbacks=[GradualUnfreezing(2)])
    model: Any = trainer.model
    model.bert.encoder.layer[2].requires_grad_(False)
    trainer.train()
    expected = [[4], [4], [2, 4], [2, 4], [1, 2, 4], [1, 2, 4], *([[0, 1, 2, 4]] * 6)]
    assert [watch.moved(step) for step in range(1, 13)] == expected


@pytest.mark.parametrize("reentrant", [True, False])
def test_checkpointing_of_activations_does_not_lose_the_gradient(reentrant: bool, tmp_path: Path) -> None:
    options = {"activation_checkpointing": True, "activation_checkpointing_kwargs": {"use_reentrant": reentrant}}
    trainer, watch = bert_trainer(arguments(tmp_path, **options), callbacks=[GradualUnfreezing(2)])
    trainer.train()
    assert [watch.moved(step) for step in range(1, 13)] == EVERY_TWO


# --- with the best weights ------------------------------------------------------------------------------------


@pytest.mark.parametrize("first", [True, False])
def test_a_layer_frozen_at_the_best_evaluation_and_trained_later_is_restored(first: bool, tmp_path: Path) -> None:
    args = arguments(tmp_path, eval_strategy="steps", eval_steps=1)
    callbacks: list[TrainerCallback] = [EarlyStopping("score", patience=5, mode="max"), GradualUnfreezing(2)]
    scores = [0.5, 0.6, 0.9, 0.8, 0.8, 0.8, 0.8, 0.8]  # best at step 3, stopped at step 8
    trainer, watch = bert_trainer(args, callbacks=callbacks if first else callbacks[::-1], scores=scores)
    trainer.train()
    assert trainer.state.global_step == 8
    assert watch.moved(8) == [1, 2, 3, 4]
    for depth, vector in weights(trainer.model).items():  # type: ignore[arg-type]
        assert torch.equal(vector, watch.weights[3][depth])


def test_a_resumed_run_restores_it_too(tmp_path: Path) -> None:
    args = arguments(tmp_path, eval_strategy="steps", eval_steps=1, save_strategy="steps", save_steps=1)
    scores = [0.5, 0.6, 0.9, 0.8, 0.8, 0.8, 0.8, 0.8]

    def callbacks() -> list[TrainerCallback]:
        return [EarlyStopping("score", patience=5, mode="max"), GradualUnfreezing(2)]

    whole, seen = bert_trainer(args, callbacks=callbacks(), scores=scores)
    whole.train()
    resumed, again = bert_trainer(args, callbacks=callbacks(), scores=scores[5:])
    resumed.train(resume_from_checkpoint=str(tmp_path / "checkpoint-5"))
    assert again.moved(8) == [1, 2, 3, 4]
    for depth, vector in weights(resumed.model).items():  # type: ignore[arg-type]
        assert torch.equal(vector, seen.weights[3][depth])


def test_best_weights_copy_what_was_trainable_when_they_were_made() -> None:
    model = nn.Linear(2, 1)
    best = BestWeights(model)
    model.weight.requires_grad_(False)
    best.keep()
    before = model.weight.clone()
    nn.init.zeros_(model.weight)
    best.restore()
    assert torch.equal(model.weight, before)


# --- mistakes -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("every", "words"),
    [
        (0, "every=0 is less than one step: give a number of steps from 1, or '1ep'"),
        ("0ep", "every='0ep' is less than one step"),
        (-1, "every=-1 is out of range"),
        (2.5, "every=2.5 is ambiguous: give a whole number of steps .*, epochs as '2ep', or a fraction"),
        ("often", "every='often' is no length of training"),
    ],
)
def test_a_bad_length_is_told_before_there_is_a_trainer(every: Any, words: str) -> None:
    with pytest.raises(StrategyError, match=words):
        GradualUnfreezing(every)


def test_a_length_that_rounds_to_no_step_is_told_when_training_starts(tmp_path: Path) -> None:
    trainer, _ = bert_trainer(arguments(tmp_path), callbacks=[GradualUnfreezing("0.1ep")])
    with pytest.raises(StrategyError, match=r"every='0.1ep' is less than one step"):
        trainer.train()


def test_a_training_too_short_for_all_layers_is_told_in_one_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, logger="hf_strategies"):
        bert_trainer(arguments(tmp_path, max_steps=9), callbacks=[GradualUnfreezing(2)])[0].train()
        assert not any("would unfreeze" in message for message in caplog.messages)
        bert_trainer(arguments(tmp_path, max_steps=8), callbacks=[GradualUnfreezing(2)])[0].train()
    assert [message for message in caplog.messages if "would unfreeze" in message] == [
        "GradualUnfreezing(every=2) would unfreeze the last of 5 groups after step 8, and training ends at step 8:"
        " lower layers stay as they are. Give a smaller every, or train longer."
    ]


def begin(args: TrainingArguments, model: nn.Module) -> None:
    Accelerator(cpu=True)
    GradualUnfreezing(1).on_train_begin(args, TrainerState(max_steps=9), TrainerControl(), model=model)


def test_a_model_without_numbered_layers_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StrategyError, match=r"TinyModel has no numbered layers .* leave out .* gradual unfreezing"):
        begin(arguments(tmp_path), TinyModel())


@pytest.mark.parametrize(
    "options",
    [
        {"ddp_find_unused_parameters": False},
        {"activation_checkpointing": True},
        {"ddp_find_unused_parameters": True, "ddp_static_graph": True},
    ],
)
def test_ddp_that_would_wait_for_frozen_gradients_is_refused(
    options: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    args = arguments(tmp_path, **options)
    begin(args, bert())  # in one process nothing waits
    monkeypatch.setattr(TrainingArguments, "world_size", property(lambda self: 2))
    with pytest.raises(StrategyError, match=r"would wait for the gradients .*: set ddp_find_unused_parameters=True"):
        begin(args, bert())
    begin(arguments(tmp_path, activation_checkpointing=True, ddp_find_unused_parameters=True), bert())


def test_checkpointing_at_the_model_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = bert()
    model._set_gradient_checkpointing()
    begin(arguments(tmp_path), model)
    monkeypatch.setattr(TrainingArguments, "world_size", property(lambda self: 2))
    with pytest.raises(StrategyError, match="with checkpointing of activations at the model, would wait"):
        begin(arguments(tmp_path), model)
    begin(arguments(tmp_path, ddp_find_unused_parameters=True), model)


def test_a_model_that_is_no_module_is_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(StrategyError, match=r"^SimpleNamespace is no torch.nn.Module, so its parameters have no"):
        begin(arguments(tmp_path), SimpleNamespace(body=bert()))  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", [DistributedType.FSDP, DistributedType.DEEPSPEED])
def test_sharded_parameters_are_refused(
    kind: DistributedType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    args = arguments(tmp_path)
    monkeypatch.setattr(gradual_unfreezing, "AcceleratorState", lambda: SimpleNamespace(distributed_type=kind))
    with pytest.raises(StrategyError, match=f"that {kind.value} shards: leave it out, or train with DDP"):
        begin(args, bert())


# --- two processes --------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_in_two_processes_the_same_weights_move_and_both_ranks_have_them(tmp_path: Path) -> None:
    options = json.dumps({"every": 2, "layer_decay": 0.5, "gradient_accumulation_steps": 2})
    first, second = run_in_processes("tests.trainer.programs.layers_on_ranks", tmp_path, options)
    assert [first["world_size"], second["world_size"]] == [2, 2]
    assert first["wrapped_model"] == second["wrapped_model"] == "DistributedDataParallel"
    assert first["moved"] == second["moved"] == EVERY_TWO
    assert first["weights"] == second["weights"]


# --- what it says, and the warmup of what is unfrozen -----------------------------------------------------------


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [line for line in caplog.messages if line.startswith("GradualUnfreezing: ")]


def test_each_unfreezing_is_told_once_with_the_weights_that_train(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    args = arguments(tmp_path, save_strategy="steps", save_steps=4)
    bert_trainer(args, callbacks=[GradualUnfreezing(4)])[0].train()
    # Units of 8 and 16: the head has 8 * 8 + 8 + 2 * 8 + 2 = 90 weights, a layer 4 * 72 + 144 + 136 + 2 * 16 = 600.
    assert told(caplog) == [
        "GradualUnfreezing: from step 0 on, 90 of 2,498 weights train (head); next, from step 4 on: layer 3.",
        "GradualUnfreezing: from step 4 on, 690 of 2,498 weights train (head to layer 3); next, from step 8 on:"
        " layer 2.",
        "GradualUnfreezing: from step 8 on, 1,290 of 2,498 weights train (head to layer 2); next, from step 12 on:"
        " layer 1.",
    ]
    caplog.clear()
    resumed, _ = bert_trainer(args, callbacks=[GradualUnfreezing(4)])
    resumed.train(resume_from_checkpoint=str(tmp_path / "checkpoint-4"))
    assert [line.split(",")[0] for line in told(caplog)] == [
        "GradualUnfreezing: from step 4 on",
        "GradualUnfreezing: from step 8 on",
    ]


def test_the_rate_of_a_newly_unfrozen_layer_rises_below_the_schedule_and_the_log_does_not_change(
    tmp_path: Path,
) -> None:
    args = arguments(tmp_path, lr_scheduler_type="linear")
    optimizer = layer_decay_optimizer(args, layer_decay=1.0)
    trainer, watch = bert_trainer(
        args, callbacks=[GradualUnfreezing(4, warmup=3)], optimizer_cls_and_kwargs=optimizer
    )
    trainer.train()
    planned = [0.01 * (1 - step / 12) for step in range(12)]
    factors = {4: [1.0] * 12, 3: [1.0] * 4 + [0.25, 0.5, 0.75] + [1.0] * 5, 2: [1.0] * 8 + [0.25, 0.5, 0.75, 1.0]}
    for depth, factor in factors.items():
        expected = [rate * each for rate, each in zip(planned, factor, strict=True)]
        assert [watch.rates[step][depth] for step in range(1, 13)] == pytest.approx(expected)
    assert learning_rates(trainer) == pytest.approx(planned)


@pytest.mark.parametrize("step", [4, 5, 6])
def test_a_run_resumed_within_a_warmup_of_a_layer_ends_with_the_same_weights(step: int, tmp_path: Path) -> None:
    args = arguments(tmp_path, save_strategy="steps", save_steps=1, lr_scheduler_type="linear")
    both = []
    for folder in (None, str(tmp_path / f"checkpoint-{step}")):
        optimizer = layer_decay_optimizer(args, layer_decay=1.0)
        trainer, watch = bert_trainer(
            args, callbacks=[GradualUnfreezing(4, warmup=3)], optimizer_cls_and_kwargs=optimizer
        )
        trainer.train(resume_from_checkpoint=folder)
        both.append(watch.weights[12])
    assert all(torch.equal(both[0][depth], both[1][depth]) for depth in both[0])


def test_a_warmup_needs_groups_by_depth(tmp_path: Path) -> None:
    trainer, _ = bert_trainer(arguments(tmp_path), callbacks=[GradualUnfreezing(4, warmup=3)])
    with pytest.raises(StrategyError, match=r"needs an optimizer whose groups are by depth: give layer_decay"):
        trainer.train()


@pytest.mark.parametrize("length", [0, -1, 1.5, "soon"])
def test_a_bad_length_of_the_warmup_is_refused_when_the_callback_is_made(length: Any) -> None:
    with pytest.raises(StrategyError, match="warmup="):
        GradualUnfreezing(4, warmup=length)


def test_a_warmup_without_unfreezing_is_refused() -> None:
    with pytest.raises(StrategyError, match="unfreeze_warmup='3' has no effect without unfreeze_every"):
        StrategyArguments(unfreeze_warmup="3")
