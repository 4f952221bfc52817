"""Early stopping with several evaluation sets."""

from collections.abc import Callable
from typing import Any

import pytest
from transformers import Trainer, TrainerCallback

from hf_strategies import StrategyError
from tests.trainer.callbacks.stopping_runs import EACH_STEP, record, stopping

A = [0.1, 0.2, 0.9, 0.4, 0.5, 0.6, 0.7, 0.7]
B = [0.4, 0.05, 0.2, 0.8, 0.45, 0.1, 0.1, 0.1]
# mean: 0.25, 0.125, 0.55, 0.6, 0.475, 0.35; min: 0.1, 0.05, 0.2, 0.4, 0.45, 0.1, 0.1
MEAN, MIN = "mean(a_score, b_score)", "min(a_score, b_score)"

Make = Callable[..., Any]


def two_sets(make_trainer: Make, **options: Any) -> Trainer:
    """A Trainer that evaluates on a, then on b."""
    callbacks = [stopping(**options.pop("stopping", {})), *options.pop("others", [])]
    pairs = [score for pair in zip(A, B, strict=True) for score in pair]
    trainer = make_trainer(pairs, callbacks=callbacks, **(EACH_STEP | {"max_steps": 8} | options))
    trainer.eval_dataset = {"a": trainer.eval_dataset, "b": trainer.eval_dataset}
    return trainer


@pytest.mark.parametrize(
    ("monitor", "best", "stop"), [("a_score", 3, 5), ("eval_b_score", 1, 3), (MEAN, 4, 6), (MIN, 5, 7)]
)
def test_one_set_or_the_mean_or_the_least_of_several_is_watched(
    make_trainer: Make, monitor: str, best: int, stop: int
) -> None:
    trainer = two_sets(make_trainer, stopping={"monitor": monitor})
    trainer.train()
    assert trainer.state.global_step == stop
    found = record(trainer)
    assert (found["best_step"], found["stop_step"], found["evaluations"]) == (best, stop, stop)
    assert found["restored_best_weights"] is True


def test_the_direction_of_a_set_s_metric_is_not_guessed() -> None:
    with pytest.raises(StrategyError, match="no telling whether lower or higher is better"):
        stopping(monitor="mean(a_loss, b_loss)", mode=None)


def test_a_criterion_may_look_at_the_other_set(make_trainer: Make) -> None:
    rule = "patience(9) or target(0.75, monitor=b_score, mode=max)"
    trainer = two_sets(make_trainer, stopping={"monitor": "a_score", "stop_when": rule})
    trainer.train()
    found = record(trainer)
    assert (found["stop_step"], found["best_step"], found["values"]) == (4, 3, A[:4])
    assert "eval_b_score has reached 0.75 (0.8)" in found["reason"]


class EvaluateAnother(TrainerCallback):
    """Evaluate on a third set between the steps."""

    trainer: Trainer

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step:
            self.trainer.evaluate(self.trainer.train_dataset, metric_key_prefix="eval_c")


def test_an_evaluation_of_another_set_is_none_of_this_one(make_trainer: Make) -> None:
    another = EvaluateAnother()
    trainer = make_trainer(callbacks=[stopping(), another], **EACH_STEP, eval_accumulation_steps=1)
    watched = iter([0.1, 0.2, 0.9, 0.4, 0.5])
    trainer.compute_metrics = lambda found: {"score": next(watched) if len(found.label_ids) == 8 else 0.5}
    another.trainer = trainer
    trainer.train()
    found = record(trainer)
    assert [entry["eval_c_score"] for entry in trainer.state.log_history if "eval_c_score" in entry] == [0.5] * 4
    assert (found["values"], found["stop_step"], found["best_step"]) == ([0.1, 0.2, 0.9, 0.4, 0.5], 5, 3)


def test_a_name_that_only_one_of_the_sets_lacks_is_told(make_trainer: Make) -> None:
    trainer = two_sets(make_trainer, stopping={"monitor": "mean(a_score, c_score)"})
    with pytest.raises(StrategyError, match="monitor='eval_c_score' is not among the numbers that evaluate"):
        trainer.train()
