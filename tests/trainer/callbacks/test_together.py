"""Callbacks beside each other, and runs that are resumed when something has been spent or is over."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import Trainer, TrainerCallback

from hf_strategies import EarlyStopping, PlateauCooldown, StrategyError, register_criterion
from hf_strategies.stopping import CRITERIA, Series
from hf_strategies.stopping.plateau_cooldown import cooldown_record
from hf_strategies.trainer.callbacks import metric_watch
from hf_strategies.trainer.callbacks.plateau_cooldown import run
from tests import tiny
from tests.tiny import TinyModel, tiny_trainer
from tests.trainer.callbacks.stopping_runs import EACH_STEP, SCORES

Make = Callable[..., Any]
PLATEAU = {"lr_scheduler_type": "linear_warmup_plateau_cooldown", "warmup_steps": 2}


class Counted(TinyModel):
    """One parameter, to whoever counts: 6 operations for each of the 8 inputs of a step; a buffer that moves."""

    main_input_name = "x"

    def __init__(self) -> None:
        super().__init__()
        self.norm = torch.nn.BatchNorm1d(2)

    def num_parameters(self, exclude_embeddings: bool = True) -> int:
        return 1

    def forward(self, x: torch.Tensor, labels: torch.Tensor) -> dict[str, torch.Tensor]:
        return super().forward(self.norm(x), labels)


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Make:
    monkeypatch.setattr(tiny, "TinyModel", Counted)

    def make(*callbacks: Any, folder: str = "out", **options: Any) -> Trainer:
        return tiny_trainer(tmp_path / folder, callbacks=callbacks, **options)

    return make


def evaluated(trainer: Trainer) -> list[int]:
    return [entry["step"] for entry in trainer.state.log_history if "eval_loss" in entry]


@pytest.mark.parametrize("order", [1, -1])
def test_two_that_would_restore_different_weights_are_refused(make_trainer: Make, order: int) -> None:
    callbacks = [EarlyStopping("score", 2, mode="max"), EarlyStopping("loss", stop_when="divergence()")]
    trainer = make_trainer(SCORES, callbacks=callbacks[::order], **EACH_STEP)
    with pytest.raises(StrategyError, match=r"would both restore weights.*set restore_best_weights=False on one"):
        trainer.train()
    assert trainer.state.global_step == 0


def test_two_that_agree_on_the_best_weights_go_together(make_trainer: Make) -> None:
    callbacks = [EarlyStopping("score", 2, mode="max"), EarlyStopping("score", 5, mode="max")]
    trainer = make_trainer(SCORES, callbacks=callbacks, **EACH_STEP)
    trainer.train()
    assert torch.equal(tiny.flat(trainer.model), trainer.weights_at[3])


def test_a_guard_beside_a_cooldown_must_not_restore(make_trainer: Make) -> None:
    guard = EarlyStopping("loss", stop_when="divergence()")
    trainer = make_trainer(SCORES, callbacks=[PlateauCooldown("score", 2, mode="max"), guard], **EACH_STEP, **PLATEAU)
    with pytest.raises(StrategyError, match="PlateauCooldown and EarlyStopping would both restore weights"):
        trainer.train()


def test_a_budget_that_was_spent_before_asks_for_no_evaluation_on_resume(counted: Make) -> None:
    """A step makes 48 operations: 100 are spent at step 3."""
    options = {"eval_strategy": "steps", "eval_steps": 4, "max_steps": 20, "save_strategy": "steps", "save_steps": 5}

    def trainer() -> Any:
        return counted(EarlyStopping("loss", stop_when="flop_budget(100) and patience(9)"), **options)

    whole = trainer()
    whole.train()
    assert evaluated(whole) == [3, 4, 8, 12, 16, 20]
    resumed = trainer()
    resumed.train(resume_from_checkpoint=str(Path(whole.args.output_dir) / "checkpoint-10"))
    assert evaluated(resumed) == evaluated(whole)


def test_a_cooldown_looks_at_every_budget_of_a_meter(counted: Make) -> None:
    """A step makes 48 operations: 500 are spent at step 11, before the evaluation at step 20."""
    when = "flop_budget(10) and patience(50) or flop_budget(500)"
    trainer = counted(
        PlateauCooldown("loss", stop_when=when), eval_strategy="steps", eval_steps=20, max_steps=80, **PLATEAU
    )
    trainer.train()
    found = trainer.state.stateful_callbacks["plateau_cooldown"]
    assert found["cooldown_start"] == 11


@pytest.mark.parametrize("kind", [EarlyStopping, PlateauCooldown])
def test_a_run_that_is_over_keeps_its_buffers_when_it_is_resumed(counted: Make, kind: type) -> None:
    options = {"eval_strategy": "steps", "eval_steps": 1, "max_steps": 30, "save_strategy": "steps", "save_steps": 1}

    def trainer() -> Any:
        # No gain is large enough: it stops at once.
        callback = kind("loss", 1, min_delta=99.0, restore_best_weights=False)
        return counted(callback, **options, **PLATEAU)

    first = trainer()
    first.train()
    steps = first.state.global_step
    assert steps < 30
    ended = {name: value.clone() for name, value in first.model.state_dict().items()}
    second = trainer()
    second.train(resume_from_checkpoint=True)
    assert ended["norm.num_batches_tracked"] == steps
    assert all(torch.equal(value, ended[name]) for name, value in second.model.state_dict().items())


def test_what_the_first_process_has_not_measured_no_process_has(
    make_trainer: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = make_trainer(SCORES, **EACH_STEP)
    trainer.train()
    here = metric_watch.MetricWatch("EarlyStopping", ["eval_score"], trainer.args)
    monkeypatch.setattr(metric_watch, "from_rank_zero", lambda _: {"eval_loss"})
    assert not here.completes({"eval_score": 1.0, "eval_loss": 2.0}, trainer.state)
    with pytest.raises(StrategyError, match="monitor='eval_score' is not among the numbers"):
        here.check(trainer.state)


class Elsewhere(TrainerCallback):
    """Evaluates another set before the Trainer has evaluated its own."""

    trainer: Trainer

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step == 1:
            self.trainer.evaluate(metric_key_prefix="eval_other")


@pytest.mark.parametrize("options", [{"eval_strategy": "epoch"}, {"eval_strategy": "steps", "eval_steps": 4}])
def test_another_set_may_be_evaluated_before_the_first_evaluation(
    make_trainer: Make, options: dict[str, Any]
) -> None:
    other = Elsewhere()
    trainer = make_trainer(
        [9.0, *SCORES], callbacks=[EarlyStopping("score", 2, mode="max"), other], max_steps=40, **options
    )
    other.trainer = trainer
    trainer.train()
    assert trainer.state.global_step == 20  # as with one evaluation a step: the fifth of its own
    assert torch.equal(tiny.flat(trainer.model), trainer.weights_at[12])


@pytest.mark.parametrize("options", [{"eval_strategy": "epoch"}, {"eval_strategy": "steps", "eval_steps": 4}])
def test_a_metric_that_the_trainer_s_own_evaluation_lacks_is_told(
    make_trainer: Make, options: dict[str, Any]
) -> None:
    trainer = make_trainer(SCORES, callbacks=[EarlyStopping("skore", 2, mode="max")], max_steps=40, **options)
    with pytest.raises(StrategyError, match=r"monitor='eval_skore' is not .*: did you mean 'eval_score'"):
        trainer.train()
    assert trainer.state.global_step == 4


@pytest.fixture
def fourth() -> Iterator[None]:
    """A user's criterion that stops at the fourth evaluation, as a safety stop."""

    def at_the_fourth(series: Series) -> list[str | None]:
        return ["four are enough" if index >= 3 else None for index in range(len(series))]

    register_criterion("fourth", at_the_fourth, summary="at the fourth evaluation", safety=True)
    yield
    del CRITERIA["fourth"]


@pytest.mark.usefixtures("fourth")
def test_a_user_s_safety_stop_goes_beside_a_cooldown(make_trainer: Make) -> None:
    guard = EarlyStopping("score", mode="max", stop_when="fourth", restore_best_weights=False)
    callbacks = [PlateauCooldown("score", 9, mode="max"), guard]
    trainer = make_trainer(SCORES, callbacks=callbacks, **(EACH_STEP | PLATEAU))
    trainer.train()
    assert trainer.state.global_step == 4


def test_the_record_of_a_cooldown_is_rendered_when_it_changes_and_not_at_every_step(
    make_trainer: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    rendered = []

    def counted(*given: Any) -> dict[str, Any]:
        rendered.append(given[3])  # the step
        return cooldown_record(*given)

    monkeypatch.setattr(run, "cooldown_record", counted)
    # patience 1 is used up at step 20, its cooldown of 10 steps ends at step 30
    callback = PlateauCooldown("score", 1, 10, mode="max")
    settings = PLATEAU | {"eval_strategy": "steps", "eval_steps": 10, "max_steps": 40}
    trainer = make_trainer([0.5, 0.4, 0.6], callbacks=[callback], **settings)
    trainer.train()
    assert trainer.state.global_step == 30
    assert set(rendered) == {0, 1, 10, 20, 30}  # the beginning, the first phase shown, evaluations, the end
