"""Runs with a cooldown that are taken up again: the learning rates of the uninterrupted run, to the bit."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from hf_strategies import StrategyError
from tests.tiny import flat, learning_rates
from tests.trainer.callbacks.cooldown_runs import (
    EXPECTED,
    OPTIONS,
    PEAK,
    RISING,
    SCORES,
    Skip,
    cooldown,
    record,
)

EACH = OPTIONS | {"save_strategy": "steps", "save_steps": 1}
# the callbacks' settings, the Trainer's, the updates that are skipped, the scores: the run ends at step 9 or 12
CASES: dict[str, tuple[dict[str, Any], dict[str, Any], tuple[int, ...], list[float]]] = {
    "plateau": ({}, {}, (), SCORES),
    "budget": ({}, {"max_steps": 12}, (), RISING),
    "constant": ({}, {"lr_scheduler_type": "constant"}, (), SCORES),
    "cosine": ({"cooldown_shape": "sqrt", "hold": "schedule"}, {"lr_scheduler_type": "cosine"}, (), SCORES),
    "skipped": ({"hold": "schedule"}, {"lr_scheduler_type": "cosine"}, (2, 5, 8), SCORES),
    "staged": ({"stages": 1, "patience": 2, "cooldown": 3}, {"max_steps": 40}, (), SCORES),
    "accumulated": ({}, {"gradient_accumulation_steps": 2}, (), SCORES),
    "weights": ({"rewind": "weights"}, {}, (), SCORES),
    "optimizer": ({"rewind": "optimizer"}, {}, (), SCORES),
    "staged, rewound": ({"stages": 1, "patience": 2, "rewind": "optimizer"}, {}, (), SCORES),
}


def folder(trainer: Any, step: int) -> str:
    return str(Path(trainer.args.output_dir) / f"checkpoint-{step}")


@pytest.mark.parametrize("case", CASES)
def test_resumed_at_any_step_it_is_the_uninterrupted_run(make_trainer: Callable[..., Any], case: str) -> None:
    """Rates, log of losses, last weights and restored weights."""
    settings, more, skipped, scores = CASES[case]
    options = EACH | more
    whole = make_trainer(scores, callbacks=[cooldown(**settings), Skip(*skipped)], **options)
    whole.train()
    end = whole.state.global_step
    for step in range(1, end):
        # a copy: what the resumed run saves is not what the next one reads
        shutil.copytree(folder(whole, step), Path(whole.args.output_dir).parent / "from" / f"checkpoint-{step}")
    for step in range(1, end):
        start = str(Path(whole.args.output_dir).parent / "from" / f"checkpoint-{step}")
        resumed = make_trainer(
            scores[step:],
            callbacks=[cooldown(**settings), Skip(*skipped)],
            folder="resumed",
            **options,
            resume_from_checkpoint=start,
        )
        resumed.train(resume_from_checkpoint=start)
        assert learning_rates(resumed) == learning_rates(whole), step
        losses = [[row["loss"] for row in each.state.log_history if "loss" in row] for each in (whole, resumed)]
        assert losses[0] == losses[1], step
        assert torch.equal(resumed.weights_at[end], whole.weights_at[end]), step
        assert torch.equal(flat(resumed.model), flat(whole.model)), step
        assert record(resumed) == record(whole), step


def test_resumed_after_its_end_it_does_not_train_on(make_trainer: Callable[..., Any]) -> None:
    whole = make_trainer(SCORES, callbacks=[cooldown()], **EACH)
    whole.train()
    resumed = make_trainer([], callbacks=[cooldown()], **EACH)
    resumed.train(resume_from_checkpoint=folder(whole, 9))
    assert torch.equal(flat(resumed.model), whole.weights_at[3])
    assert learning_rates(resumed) == learning_rates(whole)
    assert not Path(folder(whole, 10)).exists()


@pytest.mark.parametrize("step", [9, 13, 17])
def test_in_the_middle_of_an_epoch_too(make_trainer: Callable[..., Any], step: int) -> None:
    # an evaluation per epoch of 4 steps; patience 2 ends at step 12, the cooldown at step 18
    options = EACH | {"eval_strategy": "epoch", "max_steps": -1, "num_train_epochs": 20}
    scores = [0.7, *[0.6] * 9]
    whole = make_trainer(scores, callbacks=[cooldown(patience=2)], **options)
    whole.train()
    resumed = make_trainer(scores[step // 4 :], callbacks=[cooldown(patience=2)], **options)
    resumed.train(resume_from_checkpoint=folder(whole, step))
    assert learning_rates(resumed) == learning_rates(whole)
    assert len(learning_rates(whole)) == 18


def test_added_on_resume_it_looks_at_what_comes(make_trainer: Callable[..., Any]) -> None:
    """The plateau of the past is past: at step 8 of 30 the wait begins."""
    before = make_trainer(SCORES, **(EACH | {"lr_scheduler_type": "constant"}))
    before.train()
    resumed = make_trainer(SCORES[8:], callbacks=[cooldown()], **(EACH | {"lr_scheduler_type": "constant"}))
    resumed.train(resume_from_checkpoint=folder(before, 8))
    # 9 is the first that counts; stalled at 12, 6 steps
    assert learning_rates(resumed) == pytest.approx([PEAK] * 12 + [PEAK * (1 - step / 6) for step in range(6)])


def test_another_length_in_the_hold_is_taken_up(make_trainer: Callable[..., Any]) -> None:
    whole = make_trainer(SCORES, callbacks=[cooldown()], **EACH)
    whole.train()
    resumed = make_trainer(SCORES[5:], callbacks=[cooldown(cooldown=2)], **EACH)
    resumed.train(resume_from_checkpoint=folder(whole, 5))
    assert learning_rates(resumed) == pytest.approx([*EXPECTED[:7], PEAK / 2])


def test_a_shorter_patience_does_not_reach_into_the_past(make_trainer: Callable[..., Any]) -> None:
    whole = make_trainer(SCORES, callbacks=[cooldown(patience=5)], **EACH)
    whole.train()
    resumed = make_trainer(SCORES[7:], callbacks=[cooldown(patience=2)], **EACH)
    resumed.train(resume_from_checkpoint=folder(whole, 7))
    # patience 2 was used up at step 5 already: the wait begins at step 7, with step 8
    assert (record(resumed)["cooldown_start"], record(resumed)["cooldown_end"]) == (10, 15)


@pytest.mark.parametrize("step", [6, 7])
def test_another_length_in_the_cooldown_is_refused(make_trainer: Callable[..., Any], step: int) -> None:
    whole = make_trainer(SCORES, callbacks=[cooldown()], **EACH)
    whole.train()
    resumed = make_trainer(SCORES[step:], callbacks=[cooldown(cooldown=2)], **EACH)
    with pytest.raises(StrategyError, match=r"would jump: .*since step 6 .*or from a checkpoint before step 6"):
        resumed.train(resume_from_checkpoint=folder(whole, step))


@pytest.mark.parametrize(
    ("settings", "change"),
    [
        ({}, {"cooldown_shape": "cosine"}),
        ({}, {"min_lr_ratio": 0.1}),
        ({"stages": 1, "patience": 2, "factor": 0.1}, {"factor": 0.5}),
    ],
)
def test_another_curve_over_the_same_steps_is_refused(
    make_trainer: Callable[..., Any], settings: dict[str, Any], change: dict[str, Any]
) -> None:
    # the cooldown is from 6 to 9; with two stages the rate is lowered at step 5
    options = EACH | {"lr_scheduler_type": "constant"}
    whole = make_trainer(SCORES, callbacks=[cooldown(**settings)], **options)
    whole.train()
    resumed = make_trainer(SCORES[8:], callbacks=[cooldown(**(settings | change))], **options)
    with pytest.raises(StrategyError, match=r"would jump: .* is resumed with settings .* in place of "):
        resumed.train(resume_from_checkpoint=folder(whole, 8))


@pytest.mark.parametrize("name", ["linear_warmup_plateau_cooldown", "constant_with_warmup"])
def test_a_longer_training_goes_on_holding(make_trainer: Callable[..., Any], name: str) -> None:
    """At step 7 of 12, one before the cooldown would have started."""
    options = EACH | {"lr_scheduler_type": name, "max_steps": 12}
    kwargs = {"lr_scheduler_kwargs": {"cooldown": 0.5}} if "plateau" in name else {}
    short = make_trainer(RISING, callbacks=[cooldown()], **options, **kwargs)
    short.train()
    longer = make_trainer(RISING[7:], callbacks=[cooldown()], **(options | {"max_steps": 18}), **kwargs)
    longer.train(resume_from_checkpoint=folder(short, 7))
    # 12 + 6 = 18
    expected = [0, 0.5, *[1] * 10, *[1 - step / 6 for step in range(6)]]
    assert learning_rates(longer) == pytest.approx([PEAK * ratio for ratio in expected], abs=1e-15)


def test_a_longer_training_in_the_budget_s_cooldown_is_refused(make_trainer: Callable[..., Any]) -> None:
    options = EACH | {"lr_scheduler_type": "constant", "max_steps": 12}
    short = make_trainer(RISING, callbacks=[cooldown()], **options)
    short.train()
    longer = make_trainer(RISING[10:], callbacks=[cooldown()], **(options | {"max_steps": 18}))
    with pytest.raises(StrategyError, match="is resumed with budget 18 in place of 12"):
        longer.train(resume_from_checkpoint=folder(short, 10))


@pytest.mark.parametrize(
    ("on_extend", "expected"),
    [
        ("keep", [0, 0.5, *[1] * 6, 1, 0.75, 0.5, 0.25]),
        # the peak again at step 10, and at step 12 the cooldown to step 18
        ("jump", [0, 0.5, *[1] * 6, 1, 0.75, 1, 1, *[1 - step / 6 for step in range(6)]]),
    ],
)
def test_or_goes_on_as_the_schedule_was_told(
    make_trainer: Callable[..., Any], on_extend: str, expected: list[float]
) -> None:
    kwargs = {"on_extend": on_extend, "cooldown": 0.5, "cooldown_shape": "linear"}
    short = make_trainer(RISING, callbacks=[cooldown()], **(EACH | {"max_steps": 12}), lr_scheduler_kwargs=kwargs)
    short.train()
    longer = make_trainer(
        RISING[10:], callbacks=[cooldown()], **(EACH | {"max_steps": 18}), lr_scheduler_kwargs=kwargs
    )
    longer.train(resume_from_checkpoint=folder(short, 10))
    assert learning_rates(longer) == pytest.approx([PEAK * ratio for ratio in expected], abs=1e-15)


def test_replanning_by_the_schedule_is_refused(make_trainer: Callable[..., Any]) -> None:
    kwargs = {"on_extend": "replan"}
    short = make_trainer(RISING, callbacks=[cooldown()], **(EACH | {"max_steps": 12}), lr_scheduler_kwargs=kwargs)
    short.train()
    longer = make_trainer(
        RISING[10:], callbacks=[cooldown()], **(EACH | {"max_steps": 18}), lr_scheduler_kwargs=kwargs
    )
    with pytest.raises(StrategyError, match="'replan' cannot go with PlateauCooldown"):
        longer.train(resume_from_checkpoint=folder(short, 10))


def test_a_shorter_training_cools_down_from_where_it_is(make_trainer: Callable[..., Any]) -> None:
    """With 9 of 30 steps done there are 12: too late for half of it."""
    options = EACH | {"lr_scheduler_type": "constant"}
    long = make_trainer(RISING, callbacks=[cooldown()], **options)
    long.train()
    shorter = make_trainer(RISING[9:], callbacks=[cooldown()], **(options | {"max_steps": 12}))
    shorter.train(resume_from_checkpoint=folder(long, 9))
    assert learning_rates(shorter) == pytest.approx([PEAK * ratio for ratio in (*[1] * 9, 1, 2 / 3, 1 / 3)])
