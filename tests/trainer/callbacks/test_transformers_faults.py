"""The faults of transformers' EarlyStoppingCallback: each shown on the stock Trainer, and ours on the same scores."""

import json
import logging
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import EarlyStoppingCallback, Trainer, TrainerCallback

from hf_strategies import EarlyStopping, StrategyError
from tests.tiny import flat

EACH_STEP = {"eval_strategy": "steps", "eval_steps": 1, "max_steps": 12}
SAVING = EACH_STEP | {"save_strategy": "steps", "save_steps": 1, "lr_scheduler_type": "constant"}
HIGHER = {"metric_for_best_model": "score", "greater_is_better": True}
LOWER = HIGHER | {"greater_is_better": False}
# best at step 3, patience 2 is used up at step 5
SCORES = [0.5, 0.6, 0.8, 0.7, 0.75, 0.7, 0.7, 0.7, 0.7, 0.7, 0.7, 0.7]
BEGUN = SCORES[:4]

Make = Callable[..., Any]


def steps_of_both(
    make_trainer: Make, scores: Sequence[float], theirs: TrainerCallback, ours: TrainerCallback, **options: Any
) -> tuple[int, int]:
    """Train with each on the same scores and return the step at which each ended."""
    trainers = [
        make_trainer(scores, callbacks=[callback], folder=name, **(EACH_STEP | options))
        for name, callback in (("theirs", theirs), ("ours", ours))
    ]
    for trainer in trainers:
        trainer.train()
    return trainers[0].state.global_step, trainers[1].state.global_step


def resume(
    make_trainer: Make, make: Callable[[], list[Any]], whole: Sequence[float], rest: Sequence[float], **options: Any
) -> tuple[Trainer, Trainer]:
    """Train on the first scores, then resume in a new Trainer with new callbacks on the rest; return both."""
    folder = options.pop("folder")
    first = make_trainer(whole, callbacks=make(), folder=folder, **(SAVING | options | {"max_steps": len(whole)}))
    first.train()
    second = make_trainer(rest, callbacks=make(), folder=folder, **(SAVING | options))
    second.train(resume_from_checkpoint=True)
    return first, second


def test_steady_gains_below_the_threshold_stop_theirs_while_the_metric_always_improves(make_trainer: Make) -> None:
    gains = [0.500 + 0.004 * index for index in range(12)]  # against the best: 0.004, and for ours 0.004, 0.008, ...
    theirs, ours = EarlyStoppingCallback(3, 0.005), EarlyStopping("score", 3, min_delta=0.005, mode="max")
    assert steps_of_both(make_trainer, gains, theirs, ours, **HIGHER) == (4, 12)


@pytest.mark.parametrize("metric", ["perplexity", "wer", "rmse", "nll"])
def test_a_metric_of_which_less_is_better_is_maximised_by_theirs(make_trainer: Make, metric: str) -> None:
    steps = {}
    for name, callback in (("theirs", EarlyStoppingCallback(2)), ("ours", EarlyStopping(metric, 2))):
        falling = [10.0 - index for index in range(12)]
        options = SAVING | {"metric_for_best_model": metric, "load_best_model_at_end": True}
        trainer = make_trainer(callbacks=[callback], folder=name, **options)
        trainer.compute_metrics = lambda _, left=falling: {metric: left.pop(0)}
        trainer.train()
        if name == "theirs":
            assert torch.equal(flat(trainer.model), trainer.weights_at[1])  # the worst model
        else:
            assert torch.equal(flat(trainer.model), trainer.weights_at[12])
        steps[name] = trainer.state.global_step
    assert steps == {"theirs": 3, "ours": 12}


def test_a_metric_of_unknown_direction_is_maximised_by_theirs_and_refused_by_ours(make_trainer: Make) -> None:
    falling = [10.0 - index for index in range(12)]
    trainer = make_trainer(falling, callbacks=[EarlyStoppingCallback(2)], **EACH_STEP, metric_for_best_model="score")
    trainer.train()
    assert trainer.state.global_step == 3
    with pytest.raises(StrategyError, match="no telling whether lower or higher is better"):
        EarlyStopping("score", 2)


def test_theirs_forgets_its_patience_on_resume(make_trainer: Make) -> None:
    rest = [0.75] * 8
    _, theirs = resume(make_trainer, lambda: [EarlyStoppingCallback(2)], BEGUN, rest, folder="theirs", **HIGHER)
    _, ours = resume(make_trainer, lambda: [EarlyStopping("score", 2, mode="max")], BEGUN, rest, folder="ours")
    assert (theirs.state.global_step, ours.state.global_step) == (6, 5)


def test_a_run_that_theirs_had_stopped_trains_on_when_it_is_resumed(make_trainer: Make) -> None:
    stopped, rest = SCORES[:5], [0.7] * 7
    first, second = resume(make_trainer, lambda: [EarlyStoppingCallback(2)], stopped, rest, folder="theirs", **HIGHER)
    assert (first.state.global_step, second.state.global_step) == (5, 7)
    assert not torch.equal(flat(second.model), flat(first.model))

    def ours() -> list[Any]:
        return [EarlyStopping("score", 2, mode="max", restore_best_weights=False)]

    first, second = resume(make_trainer, ours, stopped, rest, folder="ours")
    assert torch.equal(flat(second.model), flat(first.model))
    assert len(second.state.log_history) > 0
    assert [entry["step"] for entry in second.state.log_history if "eval_score" in entry] == [1, 2, 3, 4, 5]


def test_theirs_needs_metric_for_best_model(make_trainer: Make) -> None:
    theirs = make_trainer(SCORES, callbacks=[EarlyStoppingCallback(2)], **EACH_STEP)
    with pytest.raises(AssertionError, match="requires metric_for_best_model"):
        theirs.train()
    ours = make_trainer(SCORES, callbacks=[EarlyStopping("score", 2, mode="max")], **EACH_STEP)
    ours.train()
    assert ours.args.metric_for_best_model is None
    assert ours.state.global_step == 5


@pytest.mark.parametrize("patience", [0, -1])
def test_a_patience_of_nothing_stops_theirs_at_the_first_evaluation(make_trainer: Make, patience: int) -> None:
    rising = [float(index) for index in range(12)]
    theirs = make_trainer(rising, callbacks=[EarlyStoppingCallback(patience)], **EACH_STEP, **HIGHER)
    theirs.train()
    assert theirs.state.global_step == 1
    with pytest.raises(StrategyError, match=f"patience={patience} is out of range"):
        EarlyStopping("score", patience, mode="max")


def test_one_infinity_is_the_best_for_ever_for_theirs(make_trainer: Make) -> None:
    falling = [1.0, -math.inf, *(0.9 - 0.05 * index for index in range(10))]
    theirs, ours = EarlyStoppingCallback(2), EarlyStopping("score", 2, mode="min")
    assert steps_of_both(make_trainer, falling, theirs, ours, **LOWER) == (4, 12)


def test_nan_is_a_lack_of_improvement_to_theirs_and_ours_can_stop_at_once(make_trainer: Make) -> None:
    diverged = [0.5, 0.6, *[math.nan] * 10]
    ours = EarlyStopping("score", mode="max", stop_when="patience(4) or divergence()")
    assert steps_of_both(make_trainer, diverged, EarlyStoppingCallback(4), ours, **HIGHER) == (6, 3)


@pytest.mark.parametrize(("scale", "expected"), [(1.0, (6, 6)), (0.001, (3, 6))])
def test_the_threshold_of_theirs_depends_on_the_unit_of_the_metric(
    make_trainer: Make, scale: float, expected: tuple[int, int]
) -> None:
    losses = [scale * loss for loss in [10.0, 9.0, 8.1, 7.29, 7.25, 7.22, *[7.2] * 6]]  # 10 % three times, then less
    ours = EarlyStopping("score", 2, mode="min", relative_delta=0.06)
    assert steps_of_both(make_trainer, losses, EarlyStoppingCallback(2, 0.5), ours, **LOWER) == expected


def test_theirs_leaves_no_reason(
    make_trainer: Make, tmp_path: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    options = SAVING | HIGHER
    with caplog.at_level(logging.INFO):
        theirs = make_trainer(SCORES, callbacks=[EarlyStoppingCallback(2)], folder="theirs", **options)
        theirs.train()
    state = json.loads((tmp_path / "theirs" / "checkpoint-5" / "trainer_state.json").read_text())
    kept = state["stateful_callbacks"]["EarlyStoppingCallback"]
    assert kept.keys() == {"args", "attributes"}
    assert kept["attributes"] == {"early_stopping_patience_counter": 2}
    said = caplog.text + capsys.readouterr().out + json.dumps(theirs.state.log_history)
    assert "patience" not in said
    assert "Stopped" not in said
    ours = make_trainer(SCORES, callbacks=[EarlyStopping("score", 2, mode="max")], folder="ours", **options)
    ours.train()
    state = json.loads((tmp_path / "ours" / "trainer_state.json").read_text())
    record = state["stateful_callbacks"]["early_stopping"]
    assert record["reason"].startswith("Stopped early at step 5 (epoch 1.25): eval_score has not improved for 2")
    assert "Stopped early at step 5" in caplog.text


def test_two_of_theirs_lose_their_states_though_these_are_restored(make_trainer: Make) -> None:
    options = HIGHER | {"restore_callback_states_from_checkpoint": True}
    # against steps of 0.004: any gain will do for the first; the second waits since step 1
    rising = [0.500 + 0.004 * index for index in range(12)]

    def theirs() -> list[Any]:
        return [EarlyStoppingCallback(2, 0.0), EarlyStoppingCallback(4, 0.1)]

    def ours() -> list[Any]:
        second = EarlyStopping("score", 4, 0.1, mode="max", restore_best_weights=False)
        return [EarlyStopping("score", 2, mode="max"), second]

    found = {}
    for name, make in (("theirs", theirs), ("ours", ours)):
        whole = make_trainer(rising, callbacks=make(), folder=f"{name} whole", **(SAVING | options))
        whole.train()
        _, resumed = resume(make_trainer, make, rising[:3], rising[3:], folder=name, **options)
        found[name] = (whole.state.global_step, resumed.state.global_step)
    assert found == {"theirs": (5, 7), "ours": (5, 5)}
