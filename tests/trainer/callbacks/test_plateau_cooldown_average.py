"""`PlateauCooldown(average=...)`: the hold is judged by an average of its weights, which may be the result."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import TrainerCallback

from hf_strategies import PlateauCooldown, StrategyArguments, StrategyError, WeightAveraging
from tests.tiny import flat, learning_rates
from tests.trainer.callbacks.cooldown_runs import EXPECTED, OPTIONS, PEAK, SCORES, cooldown, record

EMA = "ema(decay=0.5)"


def average_after(weights_at: dict[int, torch.Tensor], step: int) -> torch.Tensor:
    """The average, in float64, after the warmup of 2 steps: c is 1, 2/3, then 1/2."""
    result = weights_at[3].double()
    for number, at in enumerate(range(4, step + 1), start=2):
        result += max(0.5, 2 / (number + 1)) * (weights_at[at].double() - result)
    return result


class Raw(TrainerCallback):
    """The weights after each step, before any evaluation."""

    def __init__(self) -> None:
        self.at: dict[int, torch.Tensor] = {}

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.at[state.global_step] = flat(kwargs["model"])


def seen(trainer: Any) -> dict[int, torch.Tensor]:
    """Let a Trainer record the weights that each evaluation is of."""
    weights: dict[int, torch.Tensor] = {}
    measure = trainer.evaluation_loop

    def evaluation_loop(*args: Any, **kwargs: Any) -> Any:
        weights[trainer.state.global_step] = flat(trainer.model).clone()
        return measure(*args, **kwargs)

    trainer.evaluation_loop = evaluation_loop
    return weights


def test_evaluations_of_the_hold_are_of_the_average_and_those_of_the_cooldown_of_the_weights(
    make_trainer: Callable[..., Any],
) -> None:
    recorder = Raw()
    callbacks = [cooldown(average=EMA, restore_best_weights="end"), recorder]
    trainer = make_trainer(SCORES, callbacks=callbacks, **OPTIONS)
    evaluated, raw = seen(trainer), recorder.at
    trainer.train()
    for step in range(3, 7):  # the hold ends at step 6
        torch.testing.assert_close(evaluated[step].double(), average_after(raw, step), rtol=0, atol=1e-6)
    for step in (1, 2, 7, 8, 9):
        assert torch.equal(evaluated[step], raw[step])
    assert torch.equal(flat(trainer.model), raw[9])


def test_neither_the_rates_nor_the_weights_change(make_trainer: Callable[..., Any]) -> None:
    recorders = Raw(), Raw()
    for average, recorder in zip((None, EMA), recorders, strict=True):
        callbacks = [cooldown(average=average, restore_best_weights="end"), recorder]
        trainer = make_trainer(SCORES, callbacks=callbacks, **OPTIONS)
        trainer.train()
        assert learning_rates(trainer) == pytest.approx(EXPECTED, abs=1e-15)
    assert all(torch.equal(recorders[0].at[step], recorders[1].at[step]) for step in range(1, 10))


def test_the_best_average_comes_back_where_the_end_of_the_cooldown_is_worse(make_trainer: Callable[..., Any]) -> None:
    scores = [0.5, 0.6, 0.6, 0.7, *[0.6] * 3, *[0.5] * 30]
    recorder = Raw()
    trainer = make_trainer(scores, callbacks=[cooldown(average=EMA), recorder], **OPTIONS)
    trainer.train()
    ended = record(trainer)
    assert (ended["best_step"], ended["cooldown_start"], ended["kept"]) == (4, 7, "average")
    assert "kept the average, 0.7 at step 4" in ended["reason"]
    torch.testing.assert_close(flat(trainer.model).double(), average_after(recorder.at, 4), rtol=0, atol=1e-6)


def test_the_end_of_the_cooldown_stays_where_it_is_better_than_the_average(make_trainer: Callable[..., Any]) -> None:
    trainer = make_trainer([*SCORES[:8], 0.9], callbacks=[cooldown(average=EMA)], **OPTIONS)
    trainer.train()
    assert record(trainer)["kept"] == "end"
    assert torch.equal(flat(trainer.model), trainer.weights_at[9])


@pytest.mark.parametrize("strategy", ["steps", "epoch"])
def test_without_a_cooldown_training_ends_at_the_plateau_with_the_average(
    make_trainer: Callable[..., Any], strategy: str
) -> None:
    options = OPTIONS | {"eval_strategy": strategy}
    recorder = Raw()
    trainer = make_trainer(SCORES, callbacks=[cooldown(average=EMA, cooldown=0), recorder], **options)
    trainer.train()
    steps = trainer.state.global_step
    ended = record(trainer)
    assert (steps, ended["cooldown_start"], ended["cooldown_end"], ended["stop_step"]) == (
        (6, 6, 6, 6) if strategy == "steps" else (steps, steps, steps, steps)
    )
    assert learning_rates(trainer)[2:] == pytest.approx([PEAK] * (steps - 2))
    expected = average_after(recorder.at, ended["best_step"])
    torch.testing.assert_close(flat(trainer.model).double(), expected, rtol=0, atol=1e-6)


def test_without_a_plateau_and_a_cooldown_the_average_of_all_steps_is_the_result(
    make_trainer: Callable[..., Any],
) -> None:
    rising = [0.01 * step for step in range(1, 40)]
    recorder = Raw()
    callbacks = [cooldown(average=EMA, cooldown=0), recorder]
    trainer = make_trainer(rising, callbacks=callbacks, **(OPTIONS | {"max_steps": 8}))
    trainer.train()
    torch.testing.assert_close(flat(trainer.model).double(), average_after(recorder.at, 8), rtol=0, atol=1e-6)


@pytest.mark.parametrize("length", [0.5, 0])
def test_resumed_at_any_step_it_is_the_uninterrupted_run(make_trainer: Callable[..., Any], length: float) -> None:
    options = OPTIONS | {"save_strategy": "steps", "save_steps": 1}
    scores = [0.5, 0.6, 0.6, 0.7, *[0.6] * 3, *[0.5] * 30]
    recorder = Raw()
    whole = make_trainer(scores, callbacks=[cooldown(average=EMA, cooldown=length), recorder], **options)
    whole.train()
    end = whole.state.global_step
    assert end == (11 if length else 7)
    saved = Path(whole.args.output_dir)
    for step in range(2, end):
        start = saved.parent / f"from-{length}" / f"checkpoint-{step}"
        shutil.copytree(saved / start.name, start)
        resumed = make_trainer(
            scores[step:],
            callbacks=[cooldown(average=EMA, cooldown=length), again := Raw()],
            folder=f"resumed-{step}",
            **options,
        )
        resumed.train(resume_from_checkpoint=str(start))
        assert learning_rates(resumed) == learning_rates(whole)
        assert torch.equal(flat(resumed.model), flat(whole.model))
        assert torch.equal(again.at[end], recorder.at[end])


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"cooldown": 0}, "cooldown=0 ends training at the plateau at the full rate: give average="),
        ({"average": "ema(over='1ep')", "rewind": "weights"}, "rewind='weights' with average="),
        ({"average": "emma"}, "there is no average 'emma': did you mean 'ema'"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(StrategyError, match=words):
        PlateauCooldown("loss", **settings)


def test_two_averages_are_refused(make_trainer: Callable[..., Any]) -> None:
    with pytest.raises(StrategyError, match="would average the weights twice"):
        make_trainer(SCORES, callbacks=[cooldown(average=EMA), WeightAveraging(EMA)], **OPTIONS).train()


def test_the_flags_give_the_callback() -> None:
    flags = {"plateau_cooldown_patience": 3, "plateau_cooldown_average": EMA, "plateau_cooldown_length": "0"}
    (callback,) = StrategyArguments(**flags).callbacks()
    assert isinstance(callback, PlateauCooldown)
    assert str(callback.average) == EMA
