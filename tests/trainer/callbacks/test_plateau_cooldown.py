"""Plateau-triggered cooldown in the stock Trainer, with the values of the metric given."""

import json
import logging
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import EarlyStoppingCallback, TrainerCallback

from hf_strategies import EarlyStopping, PlateauCooldown, ReduceOnPlateau, StrategyError
from tests.tiny import flat, learning_rates
from tests.trainer.callbacks.cooldown_runs import EXPECTED, OPTIONS, PEAK, RISING, SCORES, Skip, cooldown, record


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [entry.getMessage() for entry in caplog.records if entry.name.startswith("hf_strategies")]


def test_holds_until_the_plateau_then_cools_down_and_stops(make_trainer: Callable[..., Any]) -> None:
    trainer = make_trainer(SCORES, callbacks=[cooldown()], **OPTIONS)
    trainer.train()
    assert trainer.state.global_step == 9
    assert learning_rates(trainer) == pytest.approx(EXPECTED, abs=1e-15)
    assert sorted(trainer.weights_at) == list(range(1, 10))


@pytest.mark.parametrize(
    ("settings", "step"),
    [
        ({"monitor": "score", "mode": "max"}, 6),  # two evaluations after the best score, 2, and the best loss, 4
        ({"monitor": "score", "mode": "max", "patience": 2}, 4),
        ({"monitor": "score", "mode": "max", "stop_when": "patience(4)"}, 6),
        ({}, 7),  # three after the best loss
        ({"patience": 2}, 6),
    ],
)
def test_a_metric_has_stalled_when_the_loss_has_too_unless_told_otherwise(
    settings: dict[str, Any], step: int
) -> None:
    values = zip((0.5, 0.7, *[0.6] * 6), (1.0, 0.9, 0.8, 0.7, *[0.75] * 4), strict=True)
    log = [{"eval_score": s, "eval_loss": loss, "step": k} for k, (s, loss) in enumerate(values, start=1)]
    stop = PlateauCooldown(**settings).rule.judge(log).stop
    assert stop is not None
    assert stop.step == step


@pytest.mark.parametrize(
    ("name", "kwargs"),
    [
        ("cosine_with_min_lr", {"min_lr": 0.1 * PEAK}),
        ("cosine_with_min_lr", {"min_lr_rate": 0.1}),
        ("cosine_warmup_with_min_lr", {"min_lr_rate": 0.1}),
        ("linear_warmup_cosine_decay", {"min_lr_ratio": 0.1}),
        ("linear_warmup_cosine_decay", {"min_lr": 0.1 * PEAK}),
    ],
)
@pytest.mark.parametrize("settings", [{}, {"min_lr_ratio": 0.0}, {"stages": 1, "factor": 0.001, "patience": 2}])
def test_the_floor_of_the_schedule_is_the_end_of_the_cooldown(
    name: str, kwargs: dict[str, Any], settings: dict[str, Any], make_trainer: Callable[..., Any]
) -> None:
    options = OPTIONS | {"lr_scheduler_type": name, "lr_scheduler_kwargs": kwargs, "max_steps": 200}
    trainer = make_trainer(SCORES, callbacks=[cooldown(hold="schedule", **settings)], **options)
    trainer.train()
    rates = learning_rates(trainer)[2:]
    assert min(rates) >= 0.1 * PEAK * (1 - 1e-12)
    ended = record(trainer)
    steps = ended["cooldown_end"] - ended["cooldown_start"]
    start = rates[ended["cooldown_start"] - 2]
    # The last update comes one step before the floor is reached.
    assert rates[-1] == pytest.approx(start + (0.1 * PEAK - start) * (steps - 1) / steps)
    assert trainer.state.global_step < 200


@pytest.mark.parametrize("name", ["constant_with_warmup", "cosine", "linear_warmup_cosine_decay"])
@pytest.mark.parametrize("warmup", [12, 30])
def test_a_warmup_that_leaves_no_step_for_a_cooldown_is_refused(
    name: str, warmup: int, make_trainer: Callable[..., Any]
) -> None:
    options = OPTIONS | {"lr_scheduler_type": name, "max_steps": 12, "warmup_steps": warmup}
    with pytest.raises(StrategyError, match=rf"warmup_steps={warmup} .* leaves nothing of the 12 training steps"):
        make_trainer(SCORES, callbacks=[cooldown(cooldown=None)], **options).train()


def test_without_a_plateau_it_lands_at_the_end_of_the_budget(make_trainer: Callable[..., Any]) -> None:
    """As the schedule does by its name alone, to the bit."""
    options = OPTIONS | {"max_steps": 12}
    trainer = make_trainer(RISING, callbacks=[cooldown()], **options)
    trainer.train()
    # 8 + 0.5 * 8 = 12
    expected = [PEAK * ratio for ratio in (0, 0.5, 1, 1, 1, 1, 1, 1, 1, 0.75, 0.5, 0.25)]
    assert learning_rates(trainer) == pytest.approx(expected, abs=1e-15)
    kwargs = {"cooldown": 0.5, "cooldown_shape": "linear"}
    alone = make_trainer(RISING, **options, lr_scheduler_kwargs=kwargs)
    alone.train()
    assert learning_rates(alone) == learning_rates(trainer)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"cooldown": 2}, [1, 0.5]),
        ({"cooldown": "1ep"}, [1, 0.75, 0.5, 0.25]),
        ({"cooldown": 0.2}, [1, 0.5]),  # 1.2 steps, rounded up
        ({"cooldown_shape": "sqrt"}, [1, 1 - math.sqrt(1 / 3), 1 - math.sqrt(2 / 3)]),
        ({"cooldown_shape": None}, [1, 1 - math.sqrt(1 / 3), 1 - math.sqrt(2 / 3)]),
        ({"cooldown_shape": "cosine", "cooldown": 2}, [1, 0.5]),
        ({"min_lr_ratio": 0.4, "cooldown": 3}, [1, 0.8, 0.6]),
        ({"cooldown_shape": "exponential", "min_lr_ratio": 0.25, "cooldown": 2}, [1, 0.5]),
        ({"cooldown": 20}, [1 - step / 20 for step in range(20)]),
    ],
)
def test_length_shape_and_floor_are_those_given(
    make_trainer: Callable[..., Any], options: dict[str, Any], expected: list[float]
) -> None:
    trainer = make_trainer(SCORES, callbacks=[cooldown(**options)], **OPTIONS)
    trainer.train()
    assert learning_rates(trainer)[6:] == pytest.approx([PEAK * ratio for ratio in expected], abs=1e-15)


def test_what_is_not_given_is_the_schedule_s(make_trainer: Callable[..., Any]) -> None:
    kwargs = {"cooldown": 2, "cooldown_shape": "linear", "min_lr": 0.2 * PEAK}
    callback = PlateauCooldown("score", 3, mode="max")
    trainer = make_trainer(SCORES, callbacks=[callback], **OPTIONS, lr_scheduler_kwargs=kwargs)
    trainer.train()
    assert learning_rates(trainer)[6:] == pytest.approx([PEAK, 0.6 * PEAK])


def test_what_both_say_differently_is_refused(make_trainer: Callable[..., Any]) -> None:
    options = OPTIONS | {"lr_scheduler_kwargs": {"cooldown": 0.2}}
    with pytest.raises(StrategyError, match=r"than lr_scheduler_kwargs, cooldown=0.5, not 0.2: give them once"):
        make_trainer(SCORES, callbacks=[cooldown()], **options).train()
    options = OPTIONS | {"lr_scheduler_kwargs": {"cooldown": "0.5"}}
    make_trainer(SCORES, callbacks=[cooldown()], **options).train()  # the same, as text


@pytest.mark.parametrize(
    "name",
    ["constant", "constant_with_warmup", "cosine", "linear", "inverse_sqrt", "exponential_warmup_cosine_decay"],
)
def test_over_any_schedule_it_goes_down_from_where_that_is(make_trainer: Callable[..., Any], name: str) -> None:
    options = OPTIONS | {"lr_scheduler_type": name}
    plain = make_trainer(SCORES, **options)
    plain.train()
    trainer = make_trainer(SCORES, callbacks=[cooldown(hold="schedule")], **options)
    trainer.train()
    held = learning_rates(plain)[:7]
    assert learning_rates(trainer)[:7] == held
    assert learning_rates(trainer)[7:] == pytest.approx([held[6] * 2 / 3, held[6] / 3], abs=1e-15)


@pytest.mark.parametrize(
    ("name", "step"), [("linear", 3), ("cosine", 3), ("linear_warmup_step_decay", 12), ("one_cycle", 10)]
)
def test_a_schedule_that_falls_before_the_cooldown_is_refused_unless_it_is_to_be_followed(
    make_trainer: Callable[..., Any], name: str, step: int
) -> None:
    options = OPTIONS | {"lr_scheduler_type": name, "max_steps": 30}
    if name == "one_cycle":
        options |= {"warmup_steps": 0}
    words = f"lr_scheduler_type='{name}' lowers it by itself from step {step} on: take 'linear_warmup_plateau"
    with pytest.raises(StrategyError, match=words):
        make_trainer(SCORES, callbacks=[cooldown()], **options).train()


def test_a_schedule_that_falls_after_the_latest_start_of_the_cooldown_is_held(
    make_trainer: Callable[..., Any],
) -> None:
    options = OPTIONS | {"lr_scheduler_type": "linear_warmup_stable_decay", "max_steps": 30}
    trainer = make_trainer(SCORES, callbacks=[cooldown()], **options)
    trainer.train()
    assert learning_rates(trainer) == pytest.approx(EXPECTED, abs=1e-15)


def test_without_a_plateau_over_any_schedule_too(make_trainer: Callable[..., Any]) -> None:
    options = OPTIONS | {"lr_scheduler_type": "constant_with_warmup", "max_steps": 12}
    trainer = make_trainer(RISING, callbacks=[cooldown()], **options)
    trainer.train()
    assert learning_rates(trainer)[7:] == pytest.approx([PEAK * ratio for ratio in (1, 1, 0.75, 0.5, 0.25)])


def test_the_best_weights_of_hold_and_cooldown_come_back(make_trainer: Callable[..., Any]) -> None:
    trainer = make_trainer(SCORES, callbacks=[cooldown()], **OPTIONS)
    trainer.train()
    assert torch.equal(flat(trainer.model), trainer.weights_at[3])
    better = make_trainer([*SCORES[:6], 0.6, 0.7, 0.55], callbacks=[cooldown()], **OPTIONS)
    better.train()
    assert torch.equal(flat(better.model), better.weights_at[8])  # as good as the best of the hold
    last = make_trainer(SCORES, callbacks=[cooldown(restore_best_weights=False)], **OPTIONS)
    last.train()
    assert torch.equal(flat(last.model), last.weights_at[9])
    assert (record(trainer)["restored_best_weights"], record(last)["restored_best_weights"]) == (True, False)


def test_the_end_is_kept_where_luck_explains_what_the_best_is_above_it(
    make_trainer: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    # Of 0.6, 0.7, 0.6, 0.6, 0.6 held, 0.7 is the luckiest; with 20 samples: 1.163 * sqrt(0.7 * 0.3 / 20) = 0.119.
    trainer = make_trainer([*SCORES[:8], 0.6], callbacks=[cooldown(samples=20)], **OPTIONS)
    with caplog.at_level(logging.WARNING, logger="hf_strategies"):
        trainer.train()
    assert torch.equal(flat(trainer.model), trainer.weights_at[9])
    assert (record(trainer)["best_step"], record(trainer)["best_value"]) == (9, 0.6)
    assert said(caplog)[1:] == [
        "Cooled down from step 6 to 9: eval_score has not improved for 3 evaluations; kept the end, 0.6 at"
        " step 9: the best, 0.7 at step 3, is 0.1 better, within the 0.119 of selection noise (best of 5, standard"
        " error 0.102)."
    ]
    assert record(trainer)["kept"] == "end"


@pytest.mark.parametrize(("keeping", "step"), [("best", 3), ("noise_aware", 9), ("end", 9)])
def test_which_weights_are_the_result_can_be_said_by_hand(
    make_trainer: Callable[..., Any], keeping: str, step: int
) -> None:
    samples = {"samples": 20} if keeping == "noise_aware" else {}
    trainer = make_trainer(
        [*SCORES[:8], 0.6], callbacks=[cooldown(restore_best_weights=keeping, **samples)], **OPTIONS
    )
    trainer.train()
    assert torch.equal(flat(trainer.model), trainer.weights_at[step])
    assert record(trainer)["best_step"] == step


def test_an_unknown_way_to_keep_weights_is_refused() -> None:
    with pytest.raises(StrategyError, match=r"restore_best_weights='noise' is neither True, .*mean 'noise_aware'"):
        cooldown(restore_best_weights="noise")


def test_the_console_says_where_it_starts_and_ends(
    make_trainer: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, logger="hf_strategies"):
        make_trainer(SCORES, callbacks=[cooldown()], **OPTIONS).train()
    assert said(caplog) == [
        "Cooldown started at step 6, ends at step 9: eval_score has not improved for 3 evaluations.",
        "Cooled down from step 6 to 9: eval_score has not improved for 3 evaluations; kept the best, 0.7 at"
        " step 3: the end, 0.55 at step 9, is 0.15 worse, more than the 0.061 of selection noise (best of 5, scatter"
        " 0.0524).",
        "Restored the best weights, of step 3.",
    ]


def test_and_so_when_the_budget_starts_it(make_trainer: Callable[..., Any], caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, logger="hf_strategies"):
        make_trainer(RISING, callbacks=[cooldown()], **(OPTIONS | {"max_steps": 12})).train()
    assert said(caplog) == [
        "Cooldown started at step 8, ends at step 12: the budget ends there.",
        "Cooled down from step 8 to 12: the budget ends at step 12; kept the end, 0.11 at step 12: no worse than"
        " the best, 0.1 at step 11.",
    ]


def test_the_record_is_in_trainer_state_json(make_trainer: Callable[..., Any], tmp_path: Path) -> None:
    trainer = make_trainer(SCORES, callbacks=[cooldown()], **OPTIONS)
    trainer.train()
    state = json.loads((tmp_path / "out" / "trainer_state.json").read_text())
    found = state["stateful_callbacks"]["plateau_cooldown"]
    assert found == record(trainer)
    expected = {"phase": "over", "trigger": "plateau", "cooldown_start": 6, "cooldown_end": 9, "stop_step": 9}
    assert expected.items() <= found.items()


@pytest.mark.parametrize("strategy", ["no", "steps", "epoch", "best"])
def test_it_saves_at_its_end_as_the_strategy_wants(
    make_trainer: Callable[..., Any], tmp_path: Path, strategy: str
) -> None:
    options = OPTIONS | {"save_strategy": strategy, "save_steps": 4}
    options |= {"metric_for_best_model": "score"} if strategy == "best" else {}
    make_trainer([*SCORES[:8], 0.9], callbacks=[cooldown()], **options).train()
    saved = {path.name for path in (tmp_path / "out").glob("checkpoint-*")}
    expected = {"no": [], "steps": [4, 8, 9], "epoch": [4, 8, 9], "best": [1, 2, 3, 9]}
    assert saved == {f"checkpoint-{step}" for step in expected[strategy]}


class Evaluations(TrainerCallback):
    """The steps of all evaluations, as often as they are made."""

    def __init__(self) -> None:
        self.steps: list[int] = []

    def on_evaluate(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.steps.append(state.global_step)


class EvaluateTwice(TrainerCallback):
    """Ask for an evaluation at the end of each epoch, where the Trainer makes one anyway."""

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        control.should_evaluate = state.global_step % 4 == 0


def test_an_evaluation_per_epoch(make_trainer: Callable[..., Any]) -> None:
    # best at epoch 1, step 4; patience 2 ends at step 12; 6 steps of cooldown end in the middle of an epoch
    seen = Evaluations()
    options = OPTIONS | {"eval_strategy": "epoch", "max_steps": -1, "num_train_epochs": 20}
    trainer = make_trainer([0.7, *[0.6] * 9], callbacks=[cooldown(patience=2), seen], **options)
    trainer.train()
    assert trainer.state.global_step == 18
    assert seen.steps == [4, 8, 12, 16, 18]
    falling = [PEAK * (1 - step / 6) for step in range(6)]
    assert learning_rates(trainer)[12:] == pytest.approx(falling, abs=1e-15)


def test_two_evaluations_at_one_step_count_once(make_trainer: Callable[..., Any]) -> None:
    seen = Evaluations()
    options = OPTIONS | {"eval_strategy": "epoch", "max_steps": -1, "num_train_epochs": 20}
    scores = [score for score in (0.7, 0.6, 0.6, 0.6, 0.6) for _ in (0, 1)]
    trainer = make_trainer(scores, callbacks=[cooldown(patience=2), EvaluateTwice(), seen], **options)
    trainer.train()
    assert seen.steps == [4, 4, 8, 8, 12, 12, 16, 16, 18]
    assert (record(trainer)["cooldown_start"], trainer.state.global_step) == (12, 18)


def test_an_evaluation_at_its_end_that_no_step_of_evaluation_is(make_trainer: Callable[..., Any]) -> None:
    seen = Evaluations()
    trainer = make_trainer([0.7, *[0.6] * 9], callbacks=[cooldown(patience=1), seen], **(OPTIONS | {"eval_steps": 5}))
    trainer.train()
    assert (trainer.state.global_step, seen.steps) == (15, [5, 10, 15])
    seen.steps.clear()
    options = OPTIONS | {"eval_steps": 5}
    make_trainer([0.7, *[0.6] * 9], callbacks=[cooldown(patience=1, cooldown=3), seen], **options).train()
    assert seen.steps == [5, 10, 13]


def test_gradient_accumulation_counts_updates(make_trainer: Callable[..., Any]) -> None:
    options = OPTIONS | {"gradient_accumulation_steps": 2}
    trainer = make_trainer(SCORES, callbacks=[cooldown()], **options)
    trainer.train()
    assert learning_rates(trainer) == pytest.approx(EXPECTED, abs=1e-15)
    epochs = make_trainer(SCORES, callbacks=[cooldown(cooldown="2ep")], **options)
    epochs.train()
    assert record(epochs)["cooldown_end"] == 10  # two updates an epoch


def test_evaluations_in_the_warmup_do_not_count(make_trainer: Callable[..., Any]) -> None:
    # the wait starts at step 5, with the first evaluation after the warmup
    trainer = make_trainer([0.9, *[0.5] * 7, *[0.4] * 33], callbacks=[cooldown()], **(OPTIONS | {"warmup_steps": 4}))
    trainer.train()
    assert record(trainer)["cooldown_start"] == 8
    assert record(trainer)["best_step"] == 1


def test_a_metric_that_becomes_nan_ends_it(make_trainer: Callable[..., Any]) -> None:
    trainer = make_trainer([*SCORES[:7], math.nan, 0.9], callbacks=[cooldown()], **OPTIONS)
    trainer.train()
    assert trainer.state.global_step == 8
    assert torch.equal(flat(trainer.model), trainer.weights_at[3])
    assert "at step 8 of 6 to 9, because eval_score is not finite" in record(trainer)["reason"]


def test_several_evaluation_sets_are_watched_together(make_trainer: Callable[..., Any]) -> None:
    scores = [score for score in SCORES for _ in (0, 1)]
    trainer = make_trainer(scores, callbacks=[cooldown(monitor="mean(a_score, b_score)")], **OPTIONS)
    trainer.eval_dataset = {"a": trainer.eval_dataset, "b": trainer.eval_dataset}
    trainer.train()
    assert learning_rates(trainer) == pytest.approx(EXPECTED, abs=1e-15)


def test_the_loss_is_not_watched_unasked_where_no_set_has_it(make_trainer: Callable[..., Any]) -> None:
    trainer = make_trainer(SCORES, callbacks=[PlateauCooldown("a_score", mode="max")], **OPTIONS)
    trainer.eval_dataset = {"a": trainer.eval_dataset, "b": trainer.eval_dataset}
    with pytest.raises(
        StrategyError, match=r"several evaluation sets do not have: .*patience\(2, monitor='a_loss'\)"
    ):
        trainer.train()


def test_stages_lower_the_rate_before_the_cooldown(
    make_trainer: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    # best at 3; plateaus of patience 2 at steps 5 and, waiting anew with step 6, at step 8
    callback = cooldown(patience=2, cooldown=2, stages=1, factor=0.5)
    trainer = make_trainer(SCORES, callbacks=[callback], **OPTIONS)
    with caplog.at_level(logging.WARNING, logger="hf_strategies"):
        trainer.train()
    expected = [PEAK * ratio for ratio in (0, 0.5, 1, 1, 1, 0.5, 0.5, 0.5, 0.5, 0.25)]
    assert learning_rates(trainer) == pytest.approx(expected, abs=1e-15)
    assert record(trainer)["drops"] == [5]
    assert said(caplog)[0] == "Plateau 1 of 2 at step 5: the learning rate is multiplied by 0.5, to 0.025."


def test_each_group_has_its_own_peak_and_floor(make_trainer: Callable[..., Any]) -> None:
    options = OPTIONS | {"lr_scheduler_kwargs": {"min_lr": 0.01}}
    trainer = make_trainer(SCORES, callbacks=[cooldown(cooldown=2)], **options)
    weight, bias = trainer.model.parameters()
    trainer.optimizer = torch.optim.SGD([{"params": [weight], "lr": 0.05}, {"params": [bias], "lr": 0.02}])
    rates: list[list[float]] = []

    class Watch(TrainerCallback):
        def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            rates.append([group["lr"] for group in kwargs["optimizer"].param_groups])

    trainer.add_callback(Watch())
    trainer.train()
    # steps 6 and 7: the peaks, and half way from there to 0.01
    assert rates[6:] == [pytest.approx([0.05, 0.02]), pytest.approx([0.03, 0.015])]


def test_a_second_train_starts_afresh(make_trainer: Callable[..., Any]) -> None:
    trainer = make_trainer(SCORES[:9] + SCORES, callbacks=[cooldown()], **OPTIONS)
    trainer.train()
    trainer.train()
    assert learning_rates(trainer) == pytest.approx(EXPECTED, abs=1e-15)


@pytest.mark.parametrize("same", [True, False])
def test_a_scheduler_of_the_user_s_own_gets_its_functions_back(make_trainer: Callable[..., Any], same: bool) -> None:
    trainer = make_trainer(SCORES[:9] + SCORES, callbacks=[cooldown()], **OPTIONS)
    trainer.create_optimizer()
    trainer.lr_scheduler = torch.optim.lr_scheduler.LambdaLR(trainer.optimizer, lambda step: 1.0)
    before = list(trainer.lr_scheduler.lr_lambdas)
    trainer.train()
    assert trainer.lr_scheduler.lr_lambdas == before
    if not same:
        trainer.remove_callback(PlateauCooldown)
        trainer.add_callback(cooldown())
    # it goes on counting, at step 9; the phases are those of this training
    trainer.train()
    assert learning_rates(trainer) == pytest.approx([PEAK] * 7 + [PEAK * 2 / 3, PEAK / 3])


def test_a_skipped_update_delays_the_hold_and_not_the_cooldown(make_trainer: Callable[..., Any]) -> None:
    trainer = make_trainer(SCORES, callbacks=[cooldown(), Skip(1, 8)], **OPTIONS)
    trainer.train()
    # the warmup waits for update 1; in the cooldown the rate is that of the step, and it ends at step 9
    expected = [PEAK * ratio for ratio in (0, 0, 0.5, 1, 1, 1, 1, 2 / 3, 1 / 3)]
    assert learning_rates(trainer) == pytest.approx(expected, abs=1e-15)
    assert trainer.state.global_step == 9


def test_skipped_updates_over_a_falling_schedule(make_trainer: Callable[..., Any]) -> None:
    # transformers' linear is 1 - i / 20 after i made updates; at step 6 five were made
    options = OPTIONS | {"lr_scheduler_type": "linear", "warmup_steps": 0, "max_steps": 20}
    trainer = make_trainer(SCORES, callbacks=[cooldown(hold="schedule"), Skip(2, 7)], **options)
    trainer.train()
    expected = [PEAK * ratio for ratio in (1, 0.95, 0.95, 0.9, 0.85, 0.8, 0.75, 0.5, 0.25)]
    assert learning_rates(trainer) == pytest.approx(expected, abs=1e-15)


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (lambda: ReduceOnPlateau("score", mode="max"), "take PlateauCooldown\\(stages=..., factor=...\\)"),
        (lambda: EarlyStopping("score", mode="max"), "EarlyStopping beside PlateauCooldown would end training"),
        (lambda: EarlyStoppingCallback(), "EarlyStoppingCallback beside PlateauCooldown"),
        (lambda: cooldown(patience=9), "there are two PlateauCooldown callbacks"),
    ],
)
@pytest.mark.parametrize("first", [True, False])
def test_what_would_be_in_its_way_is_refused(
    make_trainer: Callable[..., Any], other: Callable[[], Any], words: str, first: bool
) -> None:
    options = OPTIONS | {"metric_for_best_model": "score", "load_best_model_at_end": True, "save_strategy": "steps"}
    options |= {"save_steps": 1}
    callbacks = [cooldown(), other()]
    with pytest.raises(StrategyError, match=words):
        make_trainer(SCORES, callbacks=callbacks if first else callbacks[::-1], **options).train()


def test_early_stopping_that_is_a_safety_net_is_welcome(make_trainer: Callable[..., Any]) -> None:
    net = EarlyStopping("score", mode="max", stop_when="divergence(threshold=0.1)", restore_best_weights=False)
    trainer = make_trainer(SCORES, callbacks=[cooldown(), net], **OPTIONS)
    trainer.train()
    assert learning_rates(trainer) == pytest.approx(EXPECTED, abs=1e-15)


def test_a_budget_that_is_spent_starts_it_after_the_warmup(make_trainer: Callable[..., Any]) -> None:
    callback = cooldown(patience=None, stop_when="patience(9) or time_budget(1e-9)", cooldown=2)
    seen = Evaluations()
    trainer = make_trainer(SCORES, callbacks=[callback, seen], **(OPTIONS | {"eval_steps": 100}))
    trainer.train()
    # the warmup ends at step 2
    assert (record(trainer)["cooldown_start"], seen.steps) == (3, [3, 5])


def test_an_evaluation_at_the_start_changes_nothing(make_trainer: Callable[..., Any]) -> None:
    trainer = make_trainer([0.4, *SCORES], callbacks=[cooldown()], **OPTIONS, eval_on_start=True)
    trainer.train()
    assert learning_rates(trainer) == pytest.approx(EXPECTED, abs=1e-15)


def test_it_has_the_last_word_over_load_best_model_at_end(make_trainer: Callable[..., Any]) -> None:
    options = OPTIONS | {"save_strategy": "steps", "save_steps": 1}
    options |= {"load_best_model_at_end": True, "metric_for_best_model": "score", "greater_is_better": False}
    trainer = make_trainer(SCORES, callbacks=[cooldown()], **options)
    trainer.train()
    assert trainer.state.best_global_step == 1
    assert torch.equal(flat(trainer.model), trainer.weights_at[3])


class Stop(TrainerCallback):
    """End training at a step."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        control.should_training_stop |= state.global_step == self.step


def test_an_end_that_is_not_its_own_is_told(
    make_trainer: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    trainer = make_trainer(SCORES, callbacks=[cooldown(), Stop(7)], **OPTIONS)
    with caplog.at_level(logging.WARNING, logger="hf_strategies"):
        trainer.train()
    assert "Something else has ended training at step 7, before the cooldown did." in said(caplog)
    assert torch.equal(flat(trainer.model), trainer.weights_at[3])
    assert record(trainer)["phase"] == "cooldown"


def test_what_it_cannot_work_with_is_refused_when_training_starts(make_trainer: Callable[..., Any]) -> None:
    with pytest.raises(StrategyError, match="eval_strategy='no' has nothing to watch"):
        make_trainer(callbacks=[cooldown()], max_steps=3).train()
    options = OPTIONS | {"lr_scheduler_type": "reduce_lr_on_plateau", "metric_for_best_model": "score"}
    with pytest.raises(StrategyError, match="cannot cool down a ReduceLROnPlateau: take a schedule"):
        make_trainer(SCORES, callbacks=[cooldown()], **options).train()
    options = OPTIONS | {"lr_scheduler_type": "constant_with_warmup", "warmup_steps": 25}
    with pytest.raises(StrategyError, match=r"cooldown=0.5 has to start at step 20 of 30, before the warmup"):
        make_trainer(SCORES, callbacks=[cooldown()], **options).train()


def test_a_mistyped_metric_is_told(make_trainer: Callable[..., Any]) -> None:
    with pytest.raises(StrategyError, match=r"monitor='eval_scor' is not among .*did you mean 'eval_score'"):
        make_trainer(SCORES, callbacks=[cooldown(monitor="scor")], **OPTIONS).train()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"cooldown": 1.5}, "cooldown=1.5 is ambiguous"),
        ({"cooldown": 0}, "cooldown=0 ends training at the plateau at the full rate: give average="),
        ({"cooldown_shape": "steps"}, "cooldown_shape='steps' is none of its choices"),
        ({"cooldown_shape": "exponential"}, "give min_lr_ratio above 0"),
        ({"min_lr_ratio": -1}, r"min_lr_ratio=-1 is out of range"),
        ({"patience": 0}, "patience=0 is out of range"),
        ({"stop_when": "patience(2)"}, "are both given"),
        ({"patience": None, "stop_when": "time_budget(9)", "stages": 1}, "stages=1 with a budget in stop_when"),
        ({"rewind": "best"}, "rewind='best' is no choice"),
        ({"stages": -1}, "stages=-1 is out of range"),
        ({"factor": 0}, r"factor=0 is out of range: give a number in \(0, 1\]"),
        ({"mode": None}, "lower or higher is better"),
        ({"weights_in": "cloud"}, "weights_in='cloud'|where='cloud'|'cloud' is no place"),
    ],
)
def test_a_bad_setting_is_told_when_it_is_made(options: dict[str, Any], words: str) -> None:
    with pytest.raises(StrategyError, match=words):
        cooldown(**options)


def test_an_evaluation_of_a_trainer_that_does_not_train_is_let_be(make_trainer: Callable[..., Any]) -> None:
    callback = cooldown()
    make_trainer(SCORES, callbacks=[callback], **OPTIONS).train()
    other = make_trainer([0.1] * 4, callbacks=[callback], folder="other", **OPTIONS)
    assert other.evaluate()["eval_score"] == 0.1
