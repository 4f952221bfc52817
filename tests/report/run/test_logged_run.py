"""A run of the Trainer as its state tells it: metrics, cost, warmup, groups, and how it ended."""

import json
import math
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from hf_strategies.errors import StrategyError
from hf_strategies.report.run.logged_run import Best, LoggedRun
from hf_strategies.report.run.settings import differing_settings, recorded_settings
from tests.report.run.runs import STOCK_STOP, cosine, logged, stock
from tests.report.run.states import RECORD

COOLDOWN: dict[str, Any] = RECORD | {
    "phase": "over",
    "trigger": "plateau",
    "cooldown_start": 20,
    "cooldown_end": 30,
    "drops": [],
    "reason": "Cooled down from step 20 to 30.",
}


def test_the_best_is_the_first_of_the_finite_values_that_are_best() -> None:
    run = logged([0.5, math.nan, 0.4, 0.4, -math.inf], eval_accuracy=[0.1, 0.9, 0.2, 0.3, math.nan])
    assert run.best("eval_loss") == Best(30, 0.3, 0.4)
    assert run.best("eval_accuracy") == Best(20, 0.2, 0.9)


def test_a_metric_of_unknown_direction_has_no_best_unless_it_is_told() -> None:
    state = stock([0.5, 0.4], metric="eval_score")
    assert LoggedRun.of_state("a", state).best("eval_score") is None
    assert LoggedRun.of_state("a", state, monitor="score", mode="max").best("eval_score") == Best(10, 0.1, 0.5)


def test_an_expression_of_metrics_can_be_watched() -> None:
    state = stock([0.5, 0.4], eval_accuracy=[0.5, 0.8])
    run = LoggedRun.of_state("a", state, monitor="accuracy - loss")
    assert run.metrics == ["accuracy - loss", "eval_loss", "eval_accuracy"]
    assert run.best("accuracy - loss") == Best(20, 0.2, 0.4)


@pytest.mark.parametrize(
    ("monitor", "words"),
    [
        ("accuarcy", "run has no 'eval_accuarcy' in its log: did you mean 'accuracy'?"),
        (
            "score",
            "give mode='min' or mode='max' (--mode min, or --mode max)",
        ),
        ("word", "run has eval_word='good', no number at step 10"),
    ],
)
def test_a_metric_that_cannot_be_compared_is_a_mistake(monitor: str, words: str) -> None:
    state = stock([0.5, 0.4], eval_accuracy=[0.5, 0.8], eval_score=[1.0, 2.0])
    state["log_history"][0]["eval_word"] = "good"
    with pytest.raises(StrategyError) as mistake:
        LoggedRun.of_state("run", state, monitor=monitor)
    assert words in str(mistake.value)


def test_the_metrics_of_several_sets_at_one_step_are_all_there() -> None:
    state = stock([0.5, 0.4], metric="eval_books_loss")
    for step in (10, 20):
        state["log_history"].append({"eval_web_loss": step / 100, "step": step, "epoch": step / 100})
    state["log_history"].sort(key=lambda entry: entry["step"])
    run = LoggedRun.of_state("a", state)
    assert run.metrics == ["eval_books_loss", "eval_web_loss"]
    assert [each.value for each in run.evaluations("eval_web_loss")] == [0.1, 0.2]


def test_time_and_operations_are_those_that_were_logged() -> None:
    state = stock([0.5])
    assert (LoggedRun.of_state("a", state).seconds, LoggedRun.of_state("a", state).flops) == (None, 3e12)
    state["log_history"].append(
        {"train_runtime": 12.5, "total_flos": 4e12, "train_loss": 0.5, "step": 10, "epoch": 0.1}
    )
    assert (LoggedRun.of_state("a", state).seconds, LoggedRun.of_state("a", state).flops) == (12.5, 4e12)


@pytest.mark.parametrize(
    ("options", "word", "words", "is_over"),
    [
        ({}, "all steps", "Trained to the end of the budget, at step 30.", True),
        ({"planned": 90}, "not over", "The state was saved at step 30 of 90 planned", False),
        (
            {"planned": 90, "callbacks": STOCK_STOP},
            "stopped early",
            "EarlyStoppingCallback, after 2 evaluations",
            True,
        ),
        (
            {"planned": 90, "callbacks": {"TrainerControl": STOCK_STOP["TrainerControl"]}},
            "stopped",
            "Stopped at step 30 of 90 planned; the log does not say why.",
            True,
        ),
        ({"callbacks": {"early_stopping": RECORD}}, "stopped early", RECORD["reason"], True),
        ({"callbacks": {"plateau_cooldown": COOLDOWN}}, "cooled down", "Cooled down from step 20 to 30.", True),
    ],
)
def test_the_end_is_told_as_far_as_the_state_tells_it(
    options: dict[str, Any], word: str, words: str, is_over: bool
) -> None:
    end = logged([0.5, 0.4, 0.6], **options).end
    assert (end.word, end.is_over) == (word, is_over)
    assert words in end.sentence


@pytest.mark.parametrize("record", [{}, {"monitor": 3}, [], "text", {"stopped": True}, None])
def test_a_record_of_our_name_that_is_not_as_we_write_it_is_left_out(record: Any) -> None:
    for key in ("early_stopping", "plateau_cooldown"):
        run = logged([0.5, 0.4], callbacks={key: record})
        assert (run.recorded.record, run.monitor, run.end.word) == (None, "eval_loss", "all steps")


def test_a_linear_warmup_is_found_between_two_logged_rates() -> None:
    """The line through the rates of 9 and 19 steps reaches the highest that was logged, that of 29, after 25."""
    assert logged([], cosine(200, 25)).logged_warmup == 25
    assert logged([], [1e-3] * 5).logged_warmup is None
    assert logged([], [1e-4, 2e-4, 3e-4]).logged_warmup is None


def test_the_groups_of_a_record_have_a_line_each() -> None:
    plan = {"name": "linear_decay", "total_steps": 40, "warmup_steps": 0, "parameters": {}, "horizon": 40}
    record = {"plan": json.dumps(plan | {"stretches": []}), "peaks": [0.4, 0.1, 0.4]}
    rates = [0.4 * (1 - (step - 1) / 40) for step in (10, 20, 30, 40)]
    lines = logged([], rates, callbacks={"hf_strategies_schedule": record}).rate_lines
    assert [line.name for line in lines] == ["group with peak 0.4", "group with peak 0.1"]
    assert [line.points[0] for line in lines] == [(0, 0.4), (0, 0.1)]
    assert dict(lines[1].points)[20] == pytest.approx(0.05)


def test_the_groups_of_a_record_have_the_names_under_which_their_rates_were_logged() -> None:
    plan = {"name": "linear_decay", "total_steps": 40, "warmup_steps": 0, "parameters": {}, "horizon": 40}
    record = {"plan": json.dumps(plan | {"stretches": []}), "peaks": [0.4, 0.1, 0.4, 0.2]}
    state = stock([], [0.4 * (1 - (step - 1) / 40) for step in (10, 20, 30, 40)])
    state["stateful_callbacks"] = {"hf_strategies_schedule": record}
    for entry in state["log_history"]:
        for name, ratio in (("layer 2", 1), ("head", 1), ("embeddings", 0.25)):
            entry[f"learning_rate/{name}"] = ratio * entry["learning_rate"]
    lines = LoggedRun.of_state("a", state).rate_lines
    assert [line.name for line in lines] == ["layer 2, head", "group with peak 0.2", "embeddings"]


def test_rates_that_were_logged_by_group_have_a_line_each() -> None:
    state = stock([], [1e-3, 5e-4])
    for entry in state["log_history"]:
        entry["learning_rate_head"] = 10 * entry["learning_rate"]
    run = LoggedRun.of_state("a", state)
    assert [line.name for line in run.rate_lines] == ["learning rate", "learning_rate_head"]
    assert run.rate_lines[1].points == ((9, 0.01), (19, 0.005))
    assert run.other_keys == ["grad_norm"]


def test_only_the_settings_that_differ_are_compared() -> None:
    low, high = logged([0.5], [1e-4]), logged([0.5], [1e-3], callbacks={"early_stopping": RECORD | {"settings": "s"}})
    assert differing_settings([low, high]) == {"peak rate": ["0.0001", "0.001"], "early_stopping": ["-", "s"]}
    assert recorded_settings(low)["batch size"] == "8"
    assert differing_settings([low, low]) == {}


def test_a_run_of_the_stock_trainer_is_read_from_its_checkpoint(
    make_trainer: Callable[..., Any], tmp_path: Path
) -> None:
    from transformers import EarlyStoppingCallback

    options = {"metric_for_best_model": "score", "greater_is_better": True, "load_best_model_at_end": True}
    options |= {"eval_strategy": "steps", "save_strategy": "steps", "eval_steps": 1, "save_steps": 1, "max_steps": 20}
    trainer = make_trainer([0.5, 0.7, 0.6, 0.6, 0.6], callbacks=[EarlyStoppingCallback(2)], **options)
    trainer.train()
    folder = max(Path(trainer.args.output_dir).glob("checkpoint-*"), key=lambda each: int(each.name.split("-")[1]))
    state = json.loads((folder / "trainer_state.json").read_text(encoding="utf-8"))
    run = LoggedRun.of_state("a", state, monitor="score", mode="max")
    assert run.best("eval_score") == Best(2, 0.5, 0.7)
    assert run.end.sentence.startswith("Stopped early at step 4 of 20 planned: EarlyStoppingCallback, after 2 ")
    assert LoggedRun.of_state("b", asdict(trainer.state), monitor="score", mode="max").seconds is not None
