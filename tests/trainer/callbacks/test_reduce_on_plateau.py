"""Reduce on plateau in the stock Trainer."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hf_strategies import ReduceOnPlateau, StrategyError
from tests.tiny import learning_rates

PEAK = 0.05
# an evaluation per step; stalls of patience 2 at steps 5 and 7
SCORES = [0.5, 0.6, 0.7, 0.7, 0.7, 0.7, 0.7, 0.8, 0.9, 1.0]
OPTIONS = {
    "lr_scheduler_type": "linear_warmup_constant_decay",
    "warmup_steps": 2,
    "eval_strategy": "steps",
    "eval_steps": 1,
    "max_steps": 10,
}
# updates 1 and 2 warm up; the one after a stall has the lower rate
EXPECTED = [PEAK * ratio for ratio in (0, 0.5, 1, 1, 1, 0.5, 0.5, 0.25, 0.25, 0.25)]


def reduce(**options: Any) -> ReduceOnPlateau:
    return ReduceOnPlateau(**({"monitor": "score", "mode": "max", "patience": 2, "factor": 0.5} | options))


def test_warms_up_then_falls_from_the_update_after_each_stall(make_trainer: Callable[..., Any]) -> None:
    trainer = make_trainer(SCORES, callbacks=[reduce()], **OPTIONS)
    trainer.train()
    assert learning_rates(trainer) == pytest.approx(EXPECTED, abs=1e-15)


@pytest.mark.parametrize("step", range(1, 10))
def test_a_resumed_run_has_the_same_rates_to_the_bit(make_trainer: Callable[..., Any], step: int) -> None:
    options = OPTIONS | {"save_strategy": "steps", "save_steps": 1}
    whole = make_trainer(SCORES, callbacks=[reduce()], **options)
    whole.train()
    resumed = make_trainer(SCORES[step:], callbacks=[reduce()], **options)
    resumed.train(resume_from_checkpoint=str(Path(whole.args.output_dir) / f"checkpoint-{step}"))
    assert learning_rates(resumed) == learning_rates(whole)


@pytest.mark.parametrize("name", ["linear", "cosine", "linear_warmup_cosine_decay"])
def test_multiplies_whatever_the_schedule_gives(make_trainer: Callable[..., Any], name: str) -> None:
    plain = make_trainer(SCORES, **(OPTIONS | {"lr_scheduler_type": name}))
    plain.train()
    trainer = make_trainer(SCORES, callbacks=[reduce()], **(OPTIONS | {"lr_scheduler_type": name}))
    trainer.train()
    factors = [1, 1, 1, 1, 1, 0.5, 0.5, 0.25, 0.25, 0.25]
    expected = [rate * factor for rate, factor in zip(learning_rates(plain), factors, strict=True)]
    assert learning_rates(trainer) == pytest.approx(expected, abs=1e-15)


def test_the_floor_holds_the_reductions_but_not_the_warmup(make_trainer: Callable[..., Any]) -> None:
    trainer = make_trainer(SCORES, callbacks=[reduce(min_lr_ratio=0.4)], **OPTIONS)
    trainer.train()
    expected = [PEAK * ratio for ratio in (0, 0.5, 1, 1, 1, 0.5, 0.5, 0.4, 0.4, 0.4)]
    assert learning_rates(trainer) == pytest.approx(expected, abs=1e-15)


def test_a_second_train_starts_afresh(make_trainer: Callable[..., Any]) -> None:
    trainer = make_trainer(SCORES + SCORES, callbacks=[reduce()], **OPTIONS)
    trainer.train()
    trainer.train()
    assert learning_rates(trainer) == pytest.approx(EXPECTED, abs=1e-15)


def test_says_so_at_each_stall(make_trainer: Callable[..., Any], caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, logger="hf_strategies"):
        make_trainer(SCORES, callbacks=[reduce()], **OPTIONS).train()
    said = [entry.getMessage() for entry in caplog.records if "stalled" in entry.getMessage()]
    assert said[0] == (
        "eval_score has stalled for 2 evaluations at step 5: the learning rate is multiplied by 0.5, to 0.025."
    )
    assert len(said) == 2


def test_transformers_own_ignores_the_warmup(make_trainer: Callable[..., Any]) -> None:
    options = OPTIONS | {"lr_scheduler_type": "reduce_lr_on_plateau", "metric_for_best_model": "score"}
    trainer = make_trainer(SCORES, **options)
    trainer.train()
    assert learning_rates(trainer)[:3] == [PEAK] * 3


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"factor": 1}, r"factor=1 is out of range: give a number in \(0, 1\)"),
        ({"factor": "half"}, "factor='half' is not a number"),
        ({"min_lr_ratio": 2}, r"min_lr_ratio=2 is out of range: give a number in \[0, 1\]"),
        ({"cooldown": -1}, "cooldown=-1 is no number of evaluations"),
        ({"patience": 0}, "patience=0 is out of range: give a whole number of at least 1"),
        ({"mode": None}, "no telling whether lower or higher is better"),
    ],
)
def test_a_bad_setting_is_told(options: dict[str, Any], words: str) -> None:
    with pytest.raises(StrategyError, match=words):
        reduce(**options)


def test_what_it_cannot_work_with_is_refused_when_training_starts(make_trainer: Callable[..., Any]) -> None:
    with pytest.raises(StrategyError, match="eval_strategy='no' has nothing to watch"):
        make_trainer(callbacks=[reduce()], max_steps=3).train()
    options = OPTIONS | {"lr_scheduler_type": "reduce_lr_on_plateau", "metric_for_best_model": "score"}
    with pytest.raises(StrategyError, match="cannot reduce a ReduceLROnPlateau: take a schedule"):
        make_trainer(SCORES, callbacks=[reduce()], **options).train()


def test_on_a_scheduler_of_the_user_s_own_it_does_not_compound_over_trainings(
    make_trainer: Callable[..., Any],
) -> None:
    import torch

    callback = reduce()
    trainer = make_trainer(SCORES + SCORES, callbacks=[callback], **OPTIONS)
    trainer.create_optimizer()
    trainer.lr_scheduler = torch.optim.lr_scheduler.LambdaLR(trainer.optimizer, lambda step: 1.0)
    trainer.train()
    trainer.train()
    assert learning_rates(trainer) == pytest.approx([PEAK] * 5 + [PEAK / 2] * 2 + [PEAK / 4] * 3)


def resume(make_trainer: Callable[..., Any], before: list[ReduceOnPlateau], after: list[ReduceOnPlateau]) -> Any:
    """Train with the callbacks ``before``, and from step 7 on with those ``after`` and two stalled evaluations."""
    options = OPTIONS | {"save_strategy": "steps", "save_steps": 1}
    first = make_trainer(SCORES, callbacks=before, **options)
    first.train()
    resumed = make_trainer([0.5, 0.5, 0.5], callbacks=after, **options)
    resumed.train(resume_from_checkpoint=str(Path(first.args.output_dir) / "checkpoint-7"))
    return learning_rates(resumed)[7:]


def test_added_on_resume_it_counts_the_evaluations_from_there(make_trainer: Callable[..., Any]) -> None:
    # at step 8 the first value is the best so far; steps 9 and 10 are a stall
    assert resume(make_trainer, [], [reduce()]) == [PEAK] * 3


def test_added_on_resume_it_reduces_at_the_next_stall(make_trainer: Callable[..., Any]) -> None:
    assert resume(make_trainer, [], [reduce(patience=1)]) == pytest.approx([PEAK, PEAK, PEAK / 2])


@pytest.mark.parametrize(
    ("settings", "ratios"),
    [
        ({"factor": 0.1}, [0.25, 0.25, 0.25]),
        ({"factor": 0.1, "patience": 1}, [0.25, 0.25, 0.025]),
        ({"patience": 1}, [0.25, 0.25, 0.125]),
        ({"min_lr_ratio": 0.5}, [0.25, 0.25, 0.25]),
        ({"patience": 1, "min_lr_ratio": 0.2}, [0.25, 0.25, 0.2]),
        ({"patience": 9}, [0.25, 0.25, 0.25]),
    ],
)
def test_other_settings_on_resume_hold_from_there_and_undo_no_reduction(
    make_trainer: Callable[..., Any], settings: dict[str, Any], ratios: list[float]
) -> None:
    rates = resume(make_trainer, [reduce()], [reduce(**settings)])
    assert rates == pytest.approx([PEAK * ratio for ratio in ratios], abs=1e-15)


def test_a_longer_patience_keeps_what_was_waited_where_nothing_was_reduced(make_trainer: Callable[..., Any]) -> None:
    # best at step 3: at step 8 patience 5 is used up, which has begun under patience 9
    rates = resume(make_trainer, [reduce(patience=9)], [reduce(patience=5)])
    assert rates == pytest.approx([PEAK, PEAK / 2, PEAK / 2])


def test_a_mistyped_metric_is_told(make_trainer: Callable[..., Any]) -> None:
    with pytest.raises(StrategyError, match=r"monitor='eval_scor' is not among .*did you mean 'eval_score'"):
        make_trainer(SCORES, callbacks=[reduce(monitor="scor")], **OPTIONS).train()


def test_the_schedule_s_own_floor_holds(make_trainer: Callable[..., Any]) -> None:
    options = OPTIONS | {"lr_scheduler_type": "linear_warmup_cosine_decay"}
    options |= {"lr_scheduler_kwargs": {"min_lr": 0.4 * PEAK}}
    trainer = make_trainer(SCORES, callbacks=[reduce(factor=0.01)], **options)
    trainer.train()
    assert learning_rates(trainer)[5:] == pytest.approx([0.4 * PEAK] * 5)


STOCK_FLOORS: list[tuple[str, dict[str, Any]]] = [
    ("cosine_with_min_lr", {"min_lr": 0.4 * PEAK}),
    ("cosine_with_min_lr", {"min_lr_rate": 0.4}),
    ("cosine_warmup_with_min_lr", {"min_lr_rate": 0.4}),
    ("warmup_stable_decay", {"num_decay_steps": 4, "min_lr_ratio": 0.4}),
    ("polynomial", {"lr_end": 0.4 * PEAK}),
]


@pytest.mark.parametrize(("name", "kwargs"), STOCK_FLOORS)
def test_the_floor_of_a_schedule_of_transformers_holds(
    name: str, kwargs: dict[str, Any], make_trainer: Callable[..., Any]
) -> None:
    options = OPTIONS | {"lr_scheduler_type": name, "lr_scheduler_kwargs": kwargs}
    trainer = make_trainer(SCORES, callbacks=[reduce(factor=0.01)], **options)
    trainer.train()
    assert learning_rates(trainer)[5:] == pytest.approx([0.4 * PEAK] * 5)


def test_an_evaluation_of_a_trainer_that_does_not_train_is_let_be(make_trainer: Callable[..., Any]) -> None:
    callback = reduce()
    make_trainer(SCORES, callbacks=[callback], **OPTIONS).train()
    other = make_trainer([0.1] * 4, callbacks=[callback], folder="other", **OPTIONS)
    assert other.evaluate()["eval_score"] == 0.1
