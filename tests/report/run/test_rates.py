"""The learning rate of a run as its figure has it: that of every update where the records tell it."""

import json
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import pytest

from hf_strategies import PlateauCooldown, ReduceOnPlateau
from hf_strategies.report.run.rates import PlannedRates, RateCurve, planned_rates, rate_curves
from hf_strategies.report.run.recorded_run import RecordedRun
from hf_strategies.schedules.schedule import build
from hf_strategies.schedules.stock import find_any_plan

PEAK = 0.05
SCORES = [0.5, 0.6, 0.7, 0.7, 0.7, 0.7, 0.7, 0.8, 0.9, 1.0, 1.0, 1.0]
OPTIONS = {
    "lr_scheduler_type": "linear_warmup_plateau_cooldown",
    "warmup_steps": 2,
    "learning_rate": PEAK,
    "eval_strategy": "steps",
    "eval_steps": 1,
    "logging_steps": 1,
    "max_steps": 12,
}


def cool(**options: Any) -> PlateauCooldown:
    return PlateauCooldown("score", mode="max", **({"patience": 2, "cooldown": 4} | options))


def reduce(**options: Any) -> ReduceOnPlateau:
    return ReduceOnPlateau("score", patience=2, factor=0.5, mode="max", **options)


def trained(make_trainer: Callable[..., Any], *callbacks: Any, **options: Any) -> dict[str, Any]:
    """The state of a run as a file has it, with the rate of every update in its log."""
    trainer = make_trainer(SCORES, callbacks=list(callbacks), **OPTIONS | options)
    trainer.train()
    return json.loads(json.dumps(asdict(trainer.state)))


@pytest.mark.parametrize(
    ("callbacks", "options"),
    [
        ([cool], {}),
        ([lambda: cool(min_lr_ratio=0.25, cooldown_shape="cosine")], {}),
        ([lambda: cool(stages=1, factor=0.5, cooldown=3)], {}),
        ([lambda: cool(patience=9)], {}),  # no plateau: the budget starts the cooldown
        ([lambda: cool(hold="schedule")], {"lr_scheduler_type": "linear_warmup_cosine_decay"}),
        ([reduce], {"lr_scheduler_type": "linear_warmup_constant_decay"}),
        ([lambda: reduce(min_lr_ratio=0.4)], {"lr_scheduler_type": "linear_warmup_cosine_decay"}),
        ([], {"lr_scheduler_type": "cosine_warmup_step_decay", "lr_scheduler_kwargs": {"min_lr": 1e-3}}),
    ],
)
def test_the_curve_has_the_rate_of_every_update(
    make_trainer: Callable[..., Any], callbacks: list[Callable[[], Any]], options: dict[str, Any]
) -> None:
    state = trained(make_trainer, *(each() for each in callbacks), **options)
    logged = {entry["step"]: entry["learning_rate"] for entry in state["log_history"] if "learning_rate" in entry}
    assert list(logged) == list(range(1, state["global_step"] + 1))
    every_fifth = [entry for entry in state["log_history"] if "learning_rate" not in entry or entry["step"] % 5 == 0]
    (curve,) = RecordedRun.of_state(state | {"log_history": every_fifth}).rate_curves
    assert curve.is_exact
    drawn = dict(curve.points)
    assert {step: drawn[step - 1] for step in logged} == pytest.approx(logged, rel=1e-12, abs=1e-18)
    assert list(drawn) == list(range(state["global_step"] + 1))


def test_a_cooldown_is_drawn_from_its_trigger_to_0(make_trainer: Callable[..., Any]) -> None:
    (curve,) = RecordedRun.of_state(trained(make_trainer, cool())).rate_curves
    drawn = dict(curve.points)  # stalled at step 5, cooled down over 4 steps
    assert [drawn[step] for step in (2, 3, 4, 5)] == [PEAK] * 4
    assert drawn[6] == pytest.approx(PEAK * (1 - 0.25**0.5))
    assert curve.points[-1] == (9, 0.0)


def test_a_schedule_of_transformers_is_known_from_its_log_alone(make_trainer: Callable[..., Any]) -> None:
    report = RecordedRun.of_state(trained(make_trainer, cool(), lr_scheduler_type="constant_with_warmup"))
    assert report.planned is None
    (curve,) = report.rate_curves
    logged = report.learning_rates
    assert curve == RateCurve((*((step - 1, rate) for step, rate in logged), (9, logged[-1][1])), False)


@pytest.mark.parametrize(
    ("name", "callbacks"),
    [("constant_with_warmup", [cool]), ("cosine", []), ("linear", [reduce]), ("cosine", [reduce])],
)
def test_or_exactly_where_it_is_told_what_the_run_was_asked_for(
    make_trainer: Callable[..., Any], name: str, callbacks: list[Callable[[], Any]]
) -> None:
    state = trained(make_trainer, *(each() for each in callbacks), lr_scheduler_type=name)
    asked = build(find_any_plan(name, PEAK), {}, total_steps=12, warmup_steps=2)
    report = RecordedRun.of_state(state, (asked, PEAK))
    (curve,) = report.rate_curves
    assert curve.is_exact
    assert {step - 1: rate for step, rate in report.learning_rates}.items() <= {
        step: pytest.approx(rate, rel=1e-12, abs=1e-18) for step, rate in curve.points
    }.items()
    (other,) = RecordedRun.of_state(state, (asked, 2 * PEAK)).rate_curves[-1:]
    assert not other.is_exact


HALF = PlannedRates(lambda step: 1.0 if step < 5 else 0.5, warmup_steps=0, kinks=(5,))


def test_between_two_rates_that_the_plan_has_the_curve_is_the_plan_s() -> None:
    (curve,) = rate_curves([(4, 1.0), (8, 0.5)], HALF, 10)
    assert curve.points == (*((step, 1.0) for step in range(5)), *((step, 0.5) for step in range(5, 11)))


def test_where_the_log_contradicts_the_plan_the_log_is_drawn() -> None:
    first, second = rate_curves([(2, 1.0), (4, 1.0), (8, 0.7), (10, 0.5)], HALF, 12)[:2]
    assert first == RateCurve(tuple((step, 1.0) for step in range(5)), True)
    assert second == RateCurve(((3, 1.0), (7, 0.7), (9, 0.5), (10, 0.5)), False)
    (only,) = rate_curves([(2, 0.3), (4, 0.3)], HALF, 12)  # at no step is it known to be right
    assert only == RateCurve(((1, 0.3), (3, 0.3), (4, 0.3)), False)


def test_a_curve_of_logged_rates_begins_and_ends_where_they_do() -> None:
    (curve,) = rate_curves([(3, 0.2), (6, 0.1)], None, 100)
    assert curve.points == ((2, 0.2), (5, 0.1), (6, 0.1))
    assert rate_curves([], None, 100) == []


def test_of_a_long_run_some_steps_are_drawn_and_every_corner() -> None:
    late = PlannedRates(lambda step: 1.0 if step < 700_001 else 0.5, warmup_steps=123_457, kinks=(700_001,))
    (curve,) = rate_curves([], late, 1_000_000)
    assert 5_000 < len(curve.points) < 5_010
    assert {(123_457, 1.0), (700_000, 1.0), (700_001, 0.5), (1_000_000, 0.5)} <= set(curve.points)


@pytest.mark.parametrize("lost", ["hf_strategies_schedule", "cooldown_shape"])
def test_a_record_that_is_missing_leaves_the_log(make_trainer: Callable[..., Any], lost: str) -> None:
    state = trained(make_trainer, cool())
    records = {key: record for key, record in state["stateful_callbacks"].items() if key != lost}
    for record in records.values():
        record.pop(lost, None)
    assert planned_rates(state | {"stateful_callbacks": records}) is None


def test_a_schedule_that_this_process_does_not_have_leaves_the_log(make_trainer: Callable[..., Any]) -> None:
    state = trained(make_trainer, lr_scheduler_type="cosine_decay", warmup_steps=0)
    assert planned_rates(state) is not None
    saved = state["stateful_callbacks"]["hf_strategies_schedule"]
    saved["plan"] = saved["plan"].replace("cosine_decay", "elsewhere_decay")
    assert planned_rates(state) is None
