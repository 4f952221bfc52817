"""Runs that are resumed with another schedule, or from a checkpoint without the states of scheduler and optimizer."""

import copy
import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import hf_strategies.auto  # noqa: F401  so that the names are valid, whichever tests run before these
from hf_strategies import EarlyStopping, PlateauCooldown, ReduceOnPlateau, ScheduleLR, StrategyError, schedule
from tests.tiny import learning_rates

PEAK = 0.05
# after 8 of 20 steps, 4 of them a warmup, the line has fallen to 12 / 16 of the peak
PLAN = {"total_steps": 20, "warmup_steps": 4}
OLD, LEVEL = "linear_warmup_linear_decay", 0.75


def optimizer(peak: float = 1.0) -> torch.optim.Optimizer:
    return torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=peak)


def after_8_steps(name: str = OLD, **options: Any) -> dict[str, Any]:
    scheduler = ScheduleLR(optimizer(), name, **(PLAN | options))
    for _ in range(8):
        scheduler.optimizer.step()
        scheduler.step()
    return scheduler.state_dict()


def resumed(state: dict[str, Any], name: str = OLD, **options: Any) -> ScheduleLR:
    scheduler = ScheduleLR(optimizer(), name, **(PLAN | options))
    scheduler.load_state_dict(state)
    return scheduler


def rates(scheduler: ScheduleLR, last: int = 20) -> list[float]:
    """The rates of the updates after step 8, the one that is set and those of the steps that follow."""
    return [float(scheduler.get_last_lr()[0]), *(scheduler.schedule(step) for step in range(9, last + 1))]


CHANGES: dict[str, tuple[dict[str, Any], str]] = {
    "decay": ({"name": "linear_warmup_cosine_decay"}, "lr_scheduler_type='linear_warmup_cosine_decay' where"),
    "warmup": ({"warmup_steps": 12}, "warmup_steps=12 where warmup_steps=4 was planned"),
    "floor": ({"min_lr_ratio": 0.5}, "min_lr_ratio=0.5 where no min_lr_ratio was planned"),
    "floor as a rate": ({"min_lr": 0.5}, "min_lr=0.5 where no min_lr was planned"),
    "parameter": ({"name": "linear_warmup_polynomial_decay", "power": 3.0}, "power=3.0 where no power was planned"),
    "curve and length": (
        {"name": "linear_warmup_cosine_decay", "total_steps": 40},
        "planned, and with 40 training steps where 20 were planned",
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_another_plan_is_refused_and_the_jump_is_shown(change: str) -> None:
    options, words = CHANGES[change]
    options = dict(options)
    new = schedule(
        options.get("name", OLD), **(PLAN | {k: v for k, v in options.items() if k not in ("name", "min_lr")})
    )
    after = 0.875 if "min_lr" in options else new(8)
    with pytest.raises(StrategyError) as raised:
        resumed(after_8_steps(), options.pop("name", OLD), **options)
    assert words in str(raised.value)
    assert f"would jump from {LEVEL:.4g} to {after:.4g} at step 8" in str(raised.value)
    assert all(f"'{choice}'" in str(raised.value) for choice in ("keep", "replan", "jump"))


@pytest.mark.parametrize("change", CHANGES)
def test_keep_goes_on_with_the_old_curve(change: str) -> None:
    options = dict(CHANGES[change][0])
    scheduler = resumed(after_8_steps(), options.pop("name", OLD), **options, on_extend="keep")
    assert rates(scheduler) == pytest.approx([1 - (step - 4) / 16 for step in range(8, 21)])


@pytest.mark.parametrize("change", CHANGES)
def test_jump_takes_the_new_curve(change: str) -> None:
    options = dict(CHANGES[change][0])
    name = options.pop("name", OLD)
    scheduler = resumed(after_8_steps(), name, **options, on_extend="jump")
    fresh = ScheduleLR(optimizer(), name, **(PLAN | options))
    assert rates(scheduler) == [fresh.schedule(step) for step in range(8, 21)]


def test_replan_goes_on_with_the_new_curve_from_the_present_rate() -> None:
    # a line from 0.75 to the new floor of 0.5 in twelve steps
    scheduler = resumed(after_8_steps(), min_lr_ratio=0.5, on_extend="replan")
    assert rates(scheduler) == pytest.approx([0.75 - 0.25 * step / 12 for step in range(13)])


def test_replan_within_a_new_warmup_has_no_jump_and_stays_below_the_peak() -> None:
    values = rates(resumed(after_8_steps(), warmup_steps=12, on_extend="replan"))
    # the new warmup is at 8 / 12: 0.75 * (9 / 12) / (8 / 12) follows
    assert values[:2] == pytest.approx([0.75, 0.75 * 9 / 8])
    assert max(values) == 1.0
    assert values[-1] == 0.0


def test_replan_to_a_constant_rate_holds_the_present_one() -> None:
    scheduler = resumed(after_8_steps(), "linear_warmup_constant_decay", on_extend="replan")
    assert rates(scheduler) == [LEVEL] * 13


@pytest.mark.parametrize("how", ["keep", "replan", "jump"])
@pytest.mark.parametrize("change", CHANGES)
def test_resumed_again_the_changed_run_goes_on_as_it_was(how: str, change: str) -> None:
    options = dict(CHANGES[change][0])
    name = options.pop("name", OLD)
    once = resumed(after_8_steps(), name, **options, on_extend=how)
    text = json.dumps(once.state_dict()["hf_strategies_planned"])
    again = resumed(once.state_dict() | {"hf_strategies_planned": json.loads(text)}, name, **options)
    assert rates(again) == rates(once)


def test_the_same_plan_in_other_words_is_no_change() -> None:
    scheduler = resumed(after_8_steps(), min_lr_ratio=0.0)
    assert rates(scheduler) == [schedule(OLD, **PLAN)(step) for step in range(8, 21)]


def test_a_change_that_has_not_begun_yet_is_no_jump() -> None:
    options = {"cooldown": 2, "cooldown_shape": "linear"}
    state = after_8_steps("linear_warmup_stable_decay", **options)
    scheduler = resumed(state, "linear_warmup_stable_decay", **(options | {"cooldown": 10}))
    assert rates(scheduler)[:4] == pytest.approx([1.0, 1.0, 1.0, 0.9])


def test_a_scheduler_of_another_kind_is_told_by_its_rate() -> None:
    old = optimizer()
    theirs = torch.optim.lr_scheduler.LambdaLR(old, lambda step: 1 - step / 20)
    for _ in range(8):
        old.step()
        theirs.step()
    with pytest.raises(StrategyError, match=r"where another scheduler was in use: .* from 0.6 to 0.75 at step 8"):
        resumed(theirs.state_dict())
    assert rates(resumed(theirs.state_dict(), on_extend="jump"))[0] == LEVEL


# --- checkpoints without some states ----------------------------------------------------------------------------

EACH = {"lr_scheduler_type": OLD, "max_steps": 8, "warmup_steps": 3, "save_strategy": "steps", "save_steps": 5}
WATCHING = EACH | {"eval_strategy": "steps", "eval_steps": 1}


def go_on(make_trainer: Callable[..., Any], first: dict[str, Any], then: dict[str, Any], lost: list[str]) -> Any:
    """Train, remove the files ``lost`` from the checkpoint of step 5, and resume from it."""
    whole = make_trainer(**first)
    whole.train()
    folder = Path(whole.args.output_dir) / "checkpoint-5"
    for name in lost:
        (folder / name).unlink()
    again = make_trainer(**then)
    again.train(resume_from_checkpoint=str(folder))
    return learning_rates(whole)[5:], learning_rates(again)[5:]


@pytest.mark.parametrize(
    ("options", "lost", "missing"),
    [
        ({"save_only_model": True}, [], "optimizer.pt, scheduler.pt, rng_state.pth"),
        ({}, ["scheduler.pt"], "scheduler.pt"),
        ({}, ["optimizer.pt"], "optimizer.pt"),
    ],
)
def test_without_states_the_schedule_goes_on_at_its_step_and_the_losses_are_told(
    make_trainer: Callable[..., Any],
    caplog: pytest.LogCaptureFixture,
    options: dict[str, Any],
    lost: list[str],
    missing: str,
) -> None:
    with caplog.at_level(logging.WARNING, logger="hf_strategies"):
        before, after = go_on(make_trainer, EACH | options, EACH | options, lost)
    assert after == before
    assert f"has no {missing}, as after save_only_model=True: the optimizer's moments" in caplog.text
    assert "The learning rate goes on at step 5." in caplog.text
    assert ("random numbers" in caplog.text) is ("rng_state" in missing)


def test_without_states_another_plan_is_refused_too(make_trainer: Callable[..., Any]) -> None:
    options = EACH | {"save_only_model": True}
    with pytest.raises(
        StrategyError, match=r"lr_scheduler_type='constant_decay' where .* would jump from 0.03 to 0.05"
    ):
        go_on(make_trainer, options, options | {"lr_scheduler_type": "constant_decay", "warmup_steps": 0}, [])


@pytest.mark.parametrize("name", ["constant_with_warmup", "linear", "cosine"])
def test_without_states_a_stock_schedule_under_a_callback_goes_on_at_its_step(
    make_trainer: Callable[..., Any], name: str
) -> None:
    options = WATCHING | {"lr_scheduler_type": name, "save_only_model": True}
    callback = {"callbacks": [ReduceOnPlateau(patience=9)]}
    before, after = go_on(make_trainer, options | callback, options | callback, [])
    assert after == before


# --- callbacks that are gone --------------------------------------------------------------------------------------


def without_the_reduction(make_trainer: Callable[..., Any], **kwargs: Any) -> Any:
    options = WATCHING | {"lr_scheduler_type": "linear_warmup_constant_decay"}
    # every evaluation is a stall, so that the first five have halved the rate four times
    first = options | {"callbacks": [ReduceOnPlateau(patience=1, factor=0.5, min_delta=1e9)]}
    return go_on(make_trainer, first, options | {"lr_scheduler_kwargs": kwargs}, [])[1]


def test_a_reduction_that_would_be_undone_is_told(make_trainer: Callable[..., Any]) -> None:
    with pytest.raises(StrategyError, match=r"without the callback .* jump from 0.003125 to 0.05 at step 5"):
        without_the_reduction(make_trainer)


@pytest.mark.parametrize(("how", "ratio"), [("keep", 1 / 16), ("jump", 1.0)])
def test_without_its_callback_a_reduced_rate_stays_or_jumps(
    make_trainer: Callable[..., Any], how: str, ratio: float
) -> None:
    last = without_the_reduction(make_trainer, on_extend=how)[1:]
    assert last == pytest.approx([PEAK * ratio] * 2)


def test_a_stock_schedule_that_jumps_under_a_callback_is_told(
    make_trainer: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    callback = PlateauCooldown(patience=9, cooldown=1, hold="schedule")
    options = WATCHING | {"lr_scheduler_type": "linear", "callbacks": [callback]}
    with caplog.at_level(logging.WARNING, logger="hf_strategies"):
        go_on(make_trainer, options, options | {"warmup_steps": 0}, [])
    assert "The learning rate jumps from 0.03 to 0.01875 at step 5" in caplog.text


def test_the_state_of_a_scheduler_that_is_no_function_of_the_step_is_refused() -> None:
    old = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer())
    with pytest.raises(StrategyError, match="is of a scheduler of another kind: resume with the lr_scheduler_type"):
        resumed(old.state_dict())


def test_a_scheduler_given_to_the_trainer_goes_on_at_the_step_of_a_checkpoint_without_its_state(
    make_trainer: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    options = {"save_strategy": "steps", "save_steps": 5, "save_only_model": True, "max_steps": 20}

    def trainer(folder: str) -> Any:
        watcher = EarlyStopping("loss", patience=99, restore_best_weights=False)
        made = make_trainer(callbacks=[watcher], folder=folder, eval_strategy="steps", eval_steps=5, **options)
        made.optimizer = torch.optim.SGD(made.model.parameters(), lr=PEAK)
        made.lr_scheduler = ScheduleLR(made.optimizer, OLD, **PLAN)
        return made

    whole = trainer("whole")
    whole.train()
    again = trainer("again")
    with caplog.at_level(logging.WARNING, logger="hf_strategies"):
        again.train(resume_from_checkpoint=str(Path(whole.args.output_dir) / "checkpoint-5"))
    assert learning_rates(again) == learning_rates(whole)
    assert "The learning rate goes on at step 5." in caplog.text


def test_a_copied_scheduler_goes_on_by_itself() -> None:
    scheduler = resumed(after_8_steps())
    other = copy.deepcopy(scheduler)
    other.optimizer.step()
    other.step()
    assert (other.get_last_lr(), scheduler.get_last_lr()) == ([1 - 5 / 16], [LEVEL])
