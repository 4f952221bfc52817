"""Evaluations out of the Trainer's log: several metrics, several evaluation sets, runs that trained on."""

import math
from typing import Any

import pytest

from hf_strategies import StrategyError
from hf_strategies.stopping import Metric, StoppingRule, direction, evaluations
from hf_strategies.stopping.history import read_log
from tests.stopping.logs import judged


def two_sets(*pairs: tuple[float, float]) -> list[dict[str, Any]]:
    """One entry for each evaluation set, as the Trainer logs an ``eval_dataset`` that is a dict."""
    log: list[dict[str, Any]] = []
    for index, (books, web) in enumerate(pairs):
        at = {"step": index + 1, "epoch": index + 1.0}
        log += [{"eval_books_loss": books, **at}, {"eval_web_loss": web, **at}]
    return log


@pytest.mark.parametrize(
    ("monitor", "best"),
    [
        ("books_loss", 1),  # 3, 1, 2
        ("web_loss", 2),  # 3, 5, 1
        ("mean(books_loss, web_loss)", 2),  # 3, 3, 1.5
        ("min(books_loss, web_loss)", 1),  # 3, 1, 1
        ("max(books_loss, web_loss)", 2),  # 3, 5, 2
        ("0.75 * books_loss + 0.25 * web_loss", 2),  # 3, 2, 1.75
        ("'books_loss' / 4", 1),
    ],
)
def test_several_evaluation_sets_are_watched_alone_or_together(monitor: str, best: int) -> None:
    rule = StoppingRule.read(monitor, "patience(3)", "min")
    assert rule.judge(two_sets((3.0, 3.0), (1.0, 5.0), (2.0, 1.0))).best_index == best


def test_an_evaluation_of_another_set_is_no_evaluation_of_this_one() -> None:
    log = two_sets((3.0, 1.0), (4.0, 1.0))
    log.insert(2, {"eval_other_loss": 0.0, "step": 1, "epoch": 1.0})
    log.append({"eval_other_loss": 0.0, "step": 9, "epoch": 2.0})
    found = StoppingRule.read("books_loss", "patience(2)", "min").judge(log)
    assert [each.step for each in found.history] == [1, 2]
    assert (found.stop_index, found.waited) == (None, 1)


def test_a_step_that_lacks_one_of_the_metrics_is_no_evaluation() -> None:
    log = two_sets((3.0, 1.0), (4.0, 1.0), (4.0, 1.0))
    del log[3]  # the web set's, at step 2
    rule = StoppingRule.read("books_loss", "patience(1) or target(0.5, monitor=web_loss, mode=min)", "min")
    assert rule.names == ("eval_books_loss", "eval_web_loss")
    assert [each.step for each in rule.judge(log).history] == [1, 3]


def test_two_evaluations_at_one_step_count_once_and_the_first_stands() -> None:
    log = [*two_sets((3.0, 1.0), (2.0, 1.0)), {"eval_books_loss": 9.0, "step": 2, "epoch": 2.0}]
    assert [each.value for each in evaluations(log, "books_loss")] == [3.0, 2.0]


def test_a_second_evaluation_at_a_step_takes_nothing_from_the_first() -> None:
    at = {"step": 5, "epoch": 1.0}
    first = [{"eval_books_loss": 3.0, **at}, {"eval_books_loss": 9.0, **at}, {"eval_web_loss": 1.0, **at}]
    rows = read_log([{"loss": 0.5, "step": 5}, *first, *first], ["eval_books_loss", "eval_web_loss"])
    assert [(row.metrics["eval_books_loss"], row.train_loss) for row in rows] == [(3.0, 0.5)]


def test_an_epoch_that_rounding_puts_just_before_start_from_counts() -> None:
    log = [{"eval_loss": 1.0, "step": 10, "epoch": 1.9999999999999998}]
    assert StoppingRule.read("loss", start_from="2ep").judge(log).best_index == 0


def test_a_criterion_looks_at_another_metric_in_that_metric_s_direction() -> None:
    log = [{"eval_loss": 1.0, "eval_accuracy": value, "step": index} for index, value in enumerate((0.5, 0.6, 0.9))]
    rule = StoppingRule.read("loss", "patience(9) or target(0.9, monitor=accuracy)")
    found = rule.judge(log)
    assert (found.stop_index, found.best_index, found.why) == (2, 0, "eval_accuracy has reached 0.9 (0.9)")


def test_what_is_an_improvement_of_the_watched_metric_is_none_of_another() -> None:
    log = [{"eval_loss": 1.0, "eval_f1": 0.5 + 0.1 * index, "step": index + 1} for index in range(4)]
    rule = StoppingRule.read("loss", "patience(2, monitor=f1)", min_delta=0.5, smoothing="mean(9)")
    assert rule.judge(log).stop_index is None
    assert StoppingRule.read("loss", "patience(2, monitor=f1, min_delta=0.5)").judge(log).stop_index == 2
    # nor is another one smoothed: its mean of 0.5 and 0.6 does not reach 0.6
    assert StoppingRule.read("loss", "target(0.6, monitor=f1)", smoothing="mean(2)").judge(log).stop_index == 1
    # the same metric by name is the watched one, as an expression too
    assert StoppingRule.read("loss", "patience(2, monitor=eval_loss)", min_delta=0.5).judge(log).stop_index == 2
    same = StoppingRule.read("1 - f1", "patience(2, monitor='1 - f1')", min_delta=0.5)
    assert same.judge(log).stop_index == 2


def test_an_expression_is_computed_as_arithmetic_is() -> None:
    row = {"eval_f1": 0.75, "eval_loss": 0.5, "eval_zero": 0.0}
    for text, value in {
        "f1 - 0.5 * loss": 0.5,
        "-(f1 + 1) / loss": -3.5,
        "mean(f1, loss, 1)": 0.75,
        "max(f1, loss) - min(f1, loss, 0.25)": 0.5,
    }.items():
        assert Metric.read(text).value(row) == value
    assert math.isnan(Metric.read("loss / zero").value(row))
    assert math.isnan(Metric.read("min(f1, loss)").value({"eval_f1": 0.1, "eval_loss": math.nan}))
    assert math.isnan(Metric.read("max(f1, loss)").value({"eval_f1": 0.1, "eval_loss": math.nan}))


@pytest.mark.parametrize(
    ("monitor", "expected"),
    [
        ("mean(loss, perplexity)", "min"),
        ("accuracy - loss", "max"),
        ("loss - accuracy", "min"),
        ("1 - accuracy", "min"),
        ("-accuracy", "min"),
        ("--accuracy", "max"),
        ("2 * f1 + accuracy / 3", "max"),
        ("f1 - 1", "max"),
        ("min(accuracy, 0.5)", "max"),
        ("'eval_loss' * 2", "min"),
    ],
)
def test_an_expression_s_direction_is_that_of_all_its_parts(monitor: str, expected: str) -> None:
    assert direction(monitor) == expected


@pytest.mark.parametrize(
    "monitor",
    [
        *("accuracy + loss", "accuracy - f1", "accuracy - 'f1'", "mean(accuracy, loss)", "min(loss, -loss)"),
        *(
            "loss * accuracy",
            "loss * loss",
            "1 / loss",
            "0 * loss",
            "-1 * loss",
            "loss / 0",
            "mean(books_loss, loss)",
        ),
    ],
)
def test_where_parts_disagree_the_direction_is_asked_for_not_guessed(monitor: str) -> None:
    with pytest.raises(StrategyError, match="give mode='min' or mode='max'"):
        direction(monitor)
    assert direction(monitor, "max") == "max"


def test_the_training_loss_is_the_mean_over_the_steps_since_the_evaluation_before() -> None:
    log = [
        {"loss": 4.0, "step": 2},
        {"loss": 1.0, "step": 8},  # 2 steps of 4.0 and 6 of 1.0: 14 / 8
        {"eval_loss": 1.0, "step": 8, "epoch": 1.0},
        {"loss": 3.0, "step": 9},
        {"eval_other_loss": 1.0, "step": 9, "epoch": 1.1},  # another set's, which ends nothing
        {"loss": 2.0, "step": 12},  # 1 step of 3.0 and 3 of 2.0: 9 / 4
        {"eval_loss": 1.0, "step": 12, "epoch": 1.5},
        {"eval_loss": 1.0, "step": 13, "epoch": 1.6},
    ]
    assert [row.train_loss for row in read_log(log, ["eval_loss"])] == [1.75, 2.25, None]


def test_a_training_loss_is_asked_for_only_after_training_has_begun() -> None:
    begin = {"eval_loss": 9.0, "step": 0}  # eval_on_start
    log = [begin, {"loss": 0.5, "step": 5}, {"eval_loss": 1.0, "step": 5}]
    rule = StoppingRule.read("loss", "generalisation_gap(0.25)")
    assert rule.judge(log).stop_index == 1
    with pytest.raises(StrategyError, match="none was logged before the evaluation at step 5: log at least as often"):
        rule.judge([begin, log[2]])


def test_a_run_that_trains_on_is_judged_anew_and_may_keep_an_earlier_best() -> None:
    values = [1.0, 2.0, 3.0, 2.5, 2.75]  # at steps 10 to 50
    assert judged(values, "patience(1)", every=10).stop_index == 1
    # from step 30 on 3.0 is the first, 2.5 improves on it
    found = judged(values, "patience(1)", every=10, after_step=20)
    assert (found.stop_index, found.best_index, found.waited) == (4, 0, 4)
    # the wait begins at step 20
    found = judged([1.0, 2.0, math.nan, math.nan], "patience('20 steps')", every=10, after_step=20)
    assert (found.stop_index, found.best_index) == (3, 0)


def test_a_log_with_an_entry_of_no_step_is_read() -> None:
    assert [each.step for each in evaluations([{"eval_loss": 1.0, "step": None}, {"eval_loss": 2.0}], "loss")] == [0]


def test_numbers_of_numpy_are_values_too() -> None:
    import numpy as np

    from hf_strategies import verdict

    found = verdict(list(np.array([1.0, 2.0, 2.0], dtype=np.float32)), "patience(2)")
    assert (found.stop_index, found.best_index) == (2, 0)
