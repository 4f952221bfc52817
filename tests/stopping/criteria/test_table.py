"""Every criterion on score lists whose stop and best are worked out by hand; counting begins at index 0."""

import math
from typing import Any

import pytest

from hf_strategies import verdict
from hf_strategies.stopping import CRITERIA
from tests.stopping.logs import judged

NAN, INF = math.nan, math.inf


@pytest.mark.parametrize("name", CRITERIA)
def test_the_golden_case_of_the_row(name: str) -> None:
    golden = CRITERIA[name].golden
    assert golden is not None
    given = ", ".join(f"{key}={value!r}" for key, value in golden.settings.items())
    found = judged(golden.values, f"{name}({given})", golden.mode, columns=golden.columns)
    assert (found.stop_index, found.best_index) == (golden.stop_index, golden.best_index)
    if not golden.columns:
        bare = verdict(golden.values, f"{name}({given})", mode=golden.mode)
        assert (bare.stop_index, bare.best_index, bare.waited) == (found.stop_index, found.best_index, found.waited)


# stop_when, values, settings, index of the stop (None: goes on), index of the best (None: nothing was finite)
Case = tuple[str, list[float], dict[str, Any], int | None, int | None]

PATIENCE: list[Case] = [
    # in steps: the best is at step 10; 20 has waited 10, 30 has waited 20, 40 has waited 30
    ("patience('20 steps')", [1.0, 2.0, 2.0, 2.0], {"every": 10}, 2, 0),
    ("patience('25 steps')", [1.0, 2.0, 2.0, 2.0], {"every": 10}, 3, 0),
    # an improvement at 30 has 25 steps begin again: 40 has waited 10, 50 20, 60 30
    ("patience('25 steps')", [1.0, 2.0, 0.9, 2.0, 2.0, 2.0], {"every": 10}, 5, 2),
    # nothing is finite: the wait is from the beginning, at step 20 it is 20
    ("patience('20 steps')", [NAN, NAN, NAN], {"every": 10}, 1, None),
    # in epochs, two evaluations each: the best is at 0.5, at 1.5 one epoch has passed
    ("patience('1ep')", [1.0, 2.0, 2.0, 2.0], {"per_epoch": 2}, 2, 0),
    # three each: 4/3 - 1/3 is an epoch, whatever the rounding; 10/3 - 7/3 too
    ("patience('1 epoch')", [1.0, 2.0, 2.0, 2.0], {"per_epoch": 3}, 3, 0),
    ("patience('1ep')", [7.0, 6.0, 5.0, 4.0, 3.0, 2.0, 1.0, 2.0, 2.0, 2.0], {"per_epoch": 3}, 9, 6),
    # a fraction of 10 planned steps: the best is at step 1, at step 4 3/10 have passed
    ("patience(0.3)", [1.0, 2.0, 2.0, 2.0, 2.0], {"total_steps": 10}, 3, 0),
    ("patience('3 evals')", [1.0, 2.0, 2.0, 2.0], {}, 3, 0),
    # Keras' baseline 0.5: improvements that do not beat it do not end the wait, but do not stop either
    ("patience(2, baseline=0.5)", [1.0, 0.9, 0.8, 0.85], {}, 3, 2),
    # the wait is 1 at the first evaluation already
    ("patience(2, baseline=0.5)", [1.0, 1.1], {}, 1, 0),
    # once it is beaten the wait is as without it
    ("patience(2, baseline=0.5)", [0.4, 0.45, 0.46], {}, 2, 0),
    ("patience(2, baseline=0.5)", [1.0, 0.4, 0.45, 0.3, 0.35], {}, None, 3),
    # by min_delta too: 0.3 < 0.5 - 0.25 does not hold, so that 0.4 is the second of the wait
    ("patience(2, baseline=0.5)", [0.3, 0.4], {"min_delta": 0.25}, 1, 0),
    ("patience(2, baseline=0.5)", [0.2, 0.3], {"min_delta": 0.25}, None, 0),
    ("patience(2, baseline=0.5)", [0.4, 0.3], {"mode": "max"}, 1, 0),
    ("patience(2, baseline=0.5)", [0.6, 0.3], {"mode": "max"}, None, 0),
    # Keras' start_from: what comes before is neither best nor waited for
    ("patience(1)", [0.1, 0.2, 1.0, 0.9, 0.95], {"start_from": 2}, 4, 3),
    ("patience(1)", [0.1, 0.2, 1.0, 0.9, 0.95], {"start_from": 9}, None, None),
    # at steps 10 to 50, the first that is looked at is 30; at epochs 0.5 to 2.5 it is 1.5; of 5 steps it is 3
    ("patience(1)", [0.1, 0.2, 1.0, 0.9, 0.95], {"start_from": "30 steps", "every": 10}, 4, 3),
    ("patience(1)", [0.1, 0.2, 1.0, 0.9, 0.95], {"start_from": "1.5ep", "per_epoch": 2}, 4, 3),
    ("patience(1)", [0.1, 0.2, 1.0, 0.9, 0.95], {"start_from": 0.6, "total_steps": 5}, 4, 3),
    # the wait begins at the last one that is not looked at, step 20: 40 has waited 20
    ("patience('20 steps')", [NAN, NAN, NAN, NAN], {"every": 10, "start_from": 2}, 3, None),
    ("patience('2ep')", [NAN, NAN, NAN, NAN], {"start_from": 2}, 3, None),
    ("patience(0.2)", [NAN, NAN, NAN, NAN], {"start_from": 2, "total_steps": 10}, 3, None),
    # at least 0.3 * 1 + 1 = 1.3, which is 2 evaluations; without any best 0.3 * 0 + 2 = 2
    ("growing_patience(0.3, 1)", [1.0, 2.0, 2.0], {}, 2, 0),
    ("growing_patience(0.3, 2)", [NAN, NAN, NAN], {}, 1, None),
    # the best is number 10: 0.3 * 10 + 1 = 4
    ("growing_patience(0.3, 1)", [*map(float, range(10, 0, -1)), 2.0, 2.0, 2.0, 2.0], {}, 13, 9),
]

IMPROVEMENT: list[Case] = [
    # 10 % of 1.0: 0.9 has to be beaten, 0.95 does not; of 0.89: 0.801
    ("patience(2)", [1.0, 0.95, 0.89, 0.85, 0.81], {"relative_delta": 0.1}, 4, 2),
    # of a negative best the share is of its size: -1.1 has to be beaten
    ("patience(2)", [-1.0, -1.05, -1.2], {"relative_delta": 0.1}, None, 2),
    ("patience(2)", [0.5, 0.54, 0.56], {"relative_delta": 0.1, "mode": "max"}, None, 2),
    # the larger margin counts: max(0.25, 0.1 * 1.0)
    ("patience(1)", [1.0, 0.8], {"relative_delta": 0.1, "min_delta": 0.25}, 1, 0),
    ("patience(1)", [1.0, 0.7], {"relative_delta": 0.1, "min_delta": 0.25}, None, 1),
    # 2 standard errors of 0.02: above 0.84 it improves
    ("patience(2)", [0.8, 0.83, 0.85], {"z": 2, "mode": "max", "columns": {"stderr": [0.02] * 3}}, None, 2),
    # the larger of the two standard errors, 0.05: above 0.9
    ("patience(1)", [0.8, 0.88], {"z": 2, "mode": "max", "columns": {"stderr": [0.02, 0.05]}}, 1, 0),
    ("patience(1)", [0.8, 0.88], {"z": 2, "mode": "max", "columns": {"stderr": [0.05, 0.02]}}, 1, 0),
    # sqrt(0.5 * 0.5 / 100) = 0.05, more than sqrt(0.59 * 0.41 / 100): above 0.6
    ("patience(2)", [0.5, 0.59, 0.61], {"z": 2, "samples": 100, "mode": "max"}, None, 2),
    ("patience(2)", [0.5, 0.59, 0.6], {"z": 2, "samples": 100, "mode": "max"}, 2, 0),
    # one criterion's own margin; the best is still the rule's
    ("patience(2, min_delta=0.5)", [1.0, 0.9, 0.8], {}, 2, 2),
    ("patience(2)", [1.0, 0.9, 0.8], {"min_delta": 0.5}, 2, 0),
]

PRECHELT: list[Case] = [
    # 100 * (5 / 4 - 1) = 25 is not more than 25
    ("generalisation_loss(25)", [4.0, 5.0, 5.0625], {}, 2, 0),
    # 100 * (1 - 0.6 / 0.8) = 25
    ("generalisation_loss(20)", [0.5, 0.8, 0.6], {"mode": "max"}, 2, 1),
    ("generalisation_loss(5)", [1.0, NAN], {}, 1, 0),
    ("generalisation_loss(5)", [0.5, INF], {"mode": "max"}, 1, 0),
    # a percentage of a best that is not above 0 means nothing
    ("generalisation_loss(5)", [-1.0, 5.0], {}, None, 0),
    ("generalisation_loss(5)", [0.0, 5.0], {}, None, 0),
    # looked at at the ends of strips of 3: at 2 GL is 0; at 5 GL = 100 and P = 1000 * (1 / 1 - 1) = 0
    ("progress_quotient(9, 3)", [3.0, 2.0, 1.0, 2.0, 2.0, 2.0], {"columns": {"train_loss": [1.0] * 6}}, 5, 2),
    # 100 / (1000 * (2 / 1 - 1)) = 0.1 is not more than 0.1
    ("progress_quotient(0.1, 2)", [1.0, 2.0], {"columns": {"train_loss": [3.0, 1.0]}}, None, 0),
    ("progress_quotient(0.09, 2)", [1.0, 2.0], {"columns": {"train_loss": [3.0, 1.0]}}, 1, 0),
    # the mean of ten 0.1 is not below 0.1: no progress, and no loss either
    ("progress_quotient(0.5, 10)", [-float(i) for i in range(10)], {"columns": {"train_loss": [0.1] * 10}}, None, 9),
    # progress to 0 is infinite; staying there is none
    ("progress_quotient(0.5, 2)", [1.0, 2.0], {"columns": {"train_loss": [1.0, 0.0]}}, None, 0),
    ("progress_quotient(0.5, 2)", [1.0, 2.0], {"columns": {"train_loss": [0.0, 0.0]}}, 1, 0),
    # ends of the strips of 1: worse, worse; worse, better, worse, worse
    ("successive_increases(2, 1)", [1.0, 2.0, 3.0], {}, 2, 0),
    ("successive_increases(2, 1)", [1.0, 2.0, 1.5, 1.6, 1.7], {}, 4, 0),
    ("successive_increases(2, 1)", [1.0, 1.0, 1.0], {}, None, 0),  # equal is not worse
    ("successive_increases(2, 1)", [1.0, NAN, NAN], {}, 2, 0),
    ("successive_increases(2, 1)", [1.0, NAN, 3.0, 4.0], {}, None, 0),  # from NaN to 3 it got better
    ("successive_increases(2, 1)", [0.9, 0.8, 0.7], {"mode": "max"}, 2, 0),
    # strips of 2 from index 1 on end at 2 and 4: 2, then 4
    ("successive_increases(1, 2)", [9.0, 1.0, 2.0, 3.0, 4.0], {"start_from": 1}, 4, 1),
]

LEVELS: list[Case] = [
    ("target(0.25)", [0.5, 0.3, 0.25, 0.1], {}, 2, 2),
    ("target(0.25)", [-INF, NAN, 0.5], {}, None, 2),
    ("target(0.9)", [INF, 0.5], {"mode": "max"}, None, 1),
    ("divergence", [1.0, NAN], {}, 1, 0),
    ("divergence", [1.0, INF], {}, 1, 0),
    ("divergence", [1.0, -INF], {}, 1, 0),
    ("divergence", [1.0, INF], {"mode": "max"}, 1, 0),
    ("divergence", [NAN], {}, 0, None),
    ("divergence", [1.0, 1e300], {}, None, 0),
    ("divergence(2.5)", [2.0, 2.5, 2.6], {}, 2, 0),  # 2.5 is not beyond 2.5
    ("divergence(0.2)", [0.5, 0.2, 0.1], {"mode": "max"}, 2, 0),
    ("divergence(factor=3)", [1.0, 3.0, 3.1], {}, 2, 0),
    ("divergence(factor=3)", [5.0, 1.0, 4.0], {}, 2, 1),
    ("divergence(factor=4)", [0.8, 0.2, 0.1], {"mode": "max"}, 2, 0),  # 0.8 / 4 = 0.2
    # three times a best that is not above 0 means nothing, in either direction
    ("divergence(factor=3)", [-1.0, 5.0], {}, None, 0),
    ("divergence(factor=3)", [-1.0, -2.0], {"mode": "max"}, None, 0),
    # 1.0 - 0.5 is not more than 0.5; 1.0 - 0.25 is
    ("generalisation_gap(0.5)", [1.0, 1.0], {"columns": {"train_loss": [0.5, 0.25]}}, 1, 0),
    # 1.0 is not more than 2 * 0.5; it is more than 2 * 0.25
    ("generalisation_gap(ratio=2)", [1.0, 1.0], {"columns": {"train_loss": [0.5, 0.25]}}, 1, 0),
    ("generalisation_gap(9, 2)", [1.0, 1.0], {"columns": {"train_loss": [0.5, 0.25]}}, 1, 0),
    # twice a negative training loss means nothing
    ("generalisation_gap(ratio=2)", [-1.0, -1.5], {"columns": {"train_loss": [-1.0, -2.0]}}, None, 1),
    ("time_budget('1.5min')", [1.0, 1.0], {"columns": {"seconds": [89.0, 90.0]}}, 1, 0),
    # what was not recorded spends nothing: neither before the first record nor later
    ("time_budget(5)", [1.0, 1.0, 1.0], {"columns": {"seconds": [None, 4.0, 5.0]}}, 2, 0),
    ("time_budget(5)", [1.0, 1.0, 1.0], {"columns": {"seconds": [4.0, None, 5.0]}}, 2, 0),
    ("time_budget(5) or patience(2)", [1.0, 1.0, 1.0], {"columns": {}}, 2, 0),
    ("flop_budget(1e15)", [1.0, 1.0], {"columns": {"flos": [1e14, 2e15]}}, 1, 0),
    ("token_budget(500)", [1.0, 1.0], {"columns": {"tokens": [499, 501]}}, 1, 0),
]

SMOOTHING: list[Case] = [
    # 4, 2.5, 2.75, 2.375, 1.9375; the bare values would stop at 3
    ("patience(2)", [4.0, 1.0, 3.0, 2.0, 1.5], {"smoothing": "ema(0.5)"}, None, 4),
    ("patience(2)", [4.0, 1.0, 3.0, 2.0, 1.5], {}, 3, 1),
    # 5, 4.5, 4, 4, 3, 3.5: the 0 is an outlier
    ("patience(2)", [5.0, 4.0, 0.0, 4.0, 3.0, 3.5], {"smoothing": "median(3)"}, None, 4),
    # 4, 3, 3, 2.5
    ("patience(1)", [4.0, 2.0, 4.0, 1.0], {"smoothing": "mean(2)"}, 2, 1),
    # the weight is the newest value's: 0.25 * 0 + 0.75 * 4 = 3
    ("target(3, smoothing='ema(0.25)')", [4.0, 0.0], {}, 1, 1),
    ("target(2.5, smoothing='ema(0.25)')", [4.0, 0.0], {}, None, 1),
    # what is not finite stays out of the average: 2, NaN, 0.5 * 2 + 0.5 * 1
    ("patience(2)", [2.0, NAN, 1.0], {"smoothing": "ema(0.5)"}, None, 2),
    ("divergence", [2.0, NAN, 1.0], {"smoothing": "median(3)"}, 1, 0),
    # one criterion's own: the mean is 3, 2, 1.5 while the value reaches 1 at once
    ("target(1.5, smoothing='mean(2)')", [3.0, 1.0, 2.0], {}, 2, 1),
    ("target(1.5, smoothing=None)", [3.0, 1.0, 2.0], {"smoothing": "mean(2)"}, 1, 1),
    # it begins with what is looked at: 2, 3
    ("patience(1)", [9.0, 2.0, 4.0], {"smoothing": "mean(2)", "start_from": 1}, 2, 1),
]

JOINED: list[Case] = [
    ("patience(3) or target(0.5)", [1.0, 0.4, 0.3], {}, 1, 1),
    ("patience(1) or target(0.5)", [1.0, 1.1, 0.3], {}, 1, 0),
    # the patience holds at 1 and 2, the divergence only at 2
    ("patience(1) and divergence(2)", [1.0, 1.5, 2.5], {}, 2, 0),
    ("all(patience(1), divergence(2))", [1.0, 1.5, 2.5], {}, 2, 0),
    ("any(patience(9), divergence(2))", [1.0, 1.5, 2.5], {}, 2, 0),
    # "and" binds closer than "or"
    ("target(0.5) or patience(1) and divergence(2)", [1.0, 0.5], {}, 1, 1),
    ("(target(0.5) or patience(1)) and divergence(2)", [1.0, 0.5, 0.7, 2.5], {}, 3, 1),
]


@pytest.mark.parametrize(
    ("stop_when", "values", "settings", "stop", "best"),
    [*PATIENCE, *IMPROVEMENT, *PRECHELT, *LEVELS, *SMOOTHING, *JOINED],
)
def test_stops_and_is_best_where_worked_out_by_hand(
    stop_when: str, values: list[float], settings: dict[str, Any], stop: int | None, best: int | None
) -> None:
    found = judged(values, stop_when, **{"mode": "min", **settings})
    assert (found.stop_index, found.best_index) == (stop, best)
    assert (found.why is None) == (stop is None)


def test_of_criteria_joined_by_or_the_first_is_the_reason_and_by_and_all_are() -> None:
    assert judged([1.0, 0.4], "patience(3) or target(0.5)").why == "eval_value has reached 0.5 (0.4)"
    assert judged([1.0, 3.0], "patience(1) and divergence(2)").why == (
        "eval_value has not improved for 1 evaluation and eval_value is beyond 2 (3)"
    )
