"""Hold, cooldown and end: lists of scores worked out by hand."""

import math
from collections.abc import Sequence
from typing import Any

import pytest

from hf_strategies.errors import StrategyError
from hf_strategies.stopping import StoppingRule
from hf_strategies.stopping.plateau_cooldown import (
    Choice,
    Phases,
    best_of,
    cooldown_phases,
    cooldown_reason,
    cooldown_record,
)

STALLED = "eval_score has not improved for 2 evaluations"
RULE = StoppingRule.read("score", "patience(2)", "max")


def log(scores: Sequence[float], every: int = 10) -> list[dict[str, Any]]:
    """Evaluations at the steps 10, 20, ..."""
    return [{"eval_score": score, "step": every * k, "epoch": float(k)} for k, score in enumerate(scores, start=1)]


def look(scores: Sequence[float], **options: Any) -> Phases:
    """A budget of 120 steps, half of the steps done for the cooldown, so that it starts at 80 at the latest."""
    settings: dict[str, Any] = {"length": lambda step: step // 2, "latest": 80, "total_steps": 120} | options
    return cooldown_phases(RULE, log(scores), **settings)


@pytest.mark.parametrize(
    ("scores", "options", "expected"),
    [
        ([], {}, Phases(80, 120)),
        ([0.5, 0.6, 0.5], {}, Phases(80, 120)),
        # best at 20, two evaluations without improvement at 40, 40 // 2 = 20 steps
        ([0.5, 0.6, 0.5, 0.6], {}, Phases(40, 60, STALLED)),
        # later evaluations change nothing, not even better ones
        ([0.5, 0.6, 0.5, 0.6, 0.9, 0.9, 0.9, 0.9, 0.9], {}, Phases(40, 60, STALLED)),
        # a length that is fixed, and one that is longer than what is left
        ([0.5, 0.4, 0.4], {"length": lambda step: 7}, Phases(30, 37, STALLED)),
        ([0.5, 0.4, 0.4], {"length": lambda step: 500}, Phases(30, 120, STALLED)),
        # the plateau comes when the budget has started it already, or in the same step
        ([1, 2, 3, 4, 5, 6, 7, 7, 7], {}, Phases(80, 120)),
        ([1, 2, 3, 4, 5, 6, 6, 6], {}, Phases(80, 120)),
        ([1, 2, 3, 4, 5, 5, 5], {}, Phases(70, 105, STALLED)),
        # in the warmup nothing is a plateau, and the waiting starts at its end, with the first evaluation after it
        ([0.9, 0.5, 0.5, 0.5, 0.5, 0.5], {"after_step": 25}, Phases(50, 75, STALLED)),
        # one and two reductions before; each time the waiting starts anew
        ([0.5, 0.4, 0.4, 0.4, 0.4, 0.4], {"stages": 1}, Phases(60, 90, STALLED, (30,))),
        ([0.5, 0.4, 0.4, 0.6, 0.7, 0.7], {"stages": 1}, Phases(80, 120, None, (30,))),
        ([0.5, 0.4, 0.4, 0.4, 0.4, 0.4], {"stages": 2}, Phases(80, 120, None, (30, 60))),
    ],
)
def test_phases_are_those_worked_out_by_hand(scores: list[float], options: dict[str, Any], expected: Phases) -> None:
    assert look(scores, **options) == expected


@pytest.mark.parametrize("count", range(10))
def test_a_phase_that_has_begun_never_changes_with_what_comes_later(count: int) -> None:
    """What a resumed run finds at any step is what the uninterrupted one has found there."""
    scores = [0.5, 0.6, 0.7, 0.6, 0.6, 0.9, 0.5, 0.4, 0.3, 0.2]
    whole, part = look(scores), look(scores[:count])
    step = 10 * count
    assert part.at(step) == whole.at(step)
    if part.at(step) != "hold":
        assert part == whole


def test_the_phases_of_a_step() -> None:
    assert [Phases(4, 6).at(step) for step in (0, 3, 4, 5, 6, 7)] == ["hold"] * 2 + ["cooldown"] * 2 + ["over"] * 2
    assert [Phases(4, 8, cut=6).at(step) for step in (5, 6)] == ["cooldown", "over"]
    assert (Phases(4, 8).last, Phases(4, 8, cut=6).last) == (8, 6)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_metric_that_is_not_finite_ends_the_cooldown(bad: float) -> None:
    assert look([0.5, 0.4, 0.4, bad]) == Phases(30, 45, STALLED, cut=40)
    # at the end it is over anyway, and in the hold it is no improvement
    assert look([0.5, 0.4, 0.4, 0.4, bad], length=lambda step: 20) == Phases(30, 50, STALLED)
    assert look([0.5, bad, 0.6, 0.4]).why is None
    # in the cooldown of the budget too
    assert look([1, 2, 3, 4, 5, 6, 7, 8, bad]) == Phases(80, 120, cut=90)


def test_where_it_starts_it_goes_on_only_from_the_best_weights() -> None:
    scores = [0.5, math.nan, math.nan]
    assert look(scores) == Phases(30, 45, STALLED, cut=30)
    assert look(scores, rewinds=True) == Phases(30, 45, STALLED)
    assert look([*scores, math.nan], rewinds=True) == Phases(30, 45, STALLED, cut=40)


def test_any_criterion_is_a_trigger() -> None:
    rule = StoppingRule.read("score", "patience(9) or target(0.8)", "max")
    found = cooldown_phases(rule, log([0.5, 0.85]), length=lambda step: 5, latest=80, total_steps=120)
    assert (found.start, found.end, found.why) == (20, 25, "eval_score has reached 0.8 (0.85)")


def test_a_budget_is_a_trigger() -> None:
    rule = StoppingRule.read("score", "patience(9) or time_budget('1min')", "max")
    usage = {"seconds": {"10": 40.0, "20": 70.0}}
    found = cooldown_phases(rule, log([0.5, 0.6]), length=lambda step: 5, latest=80, total_steps=120, usage=usage)
    assert (found.start, found.end) == (20, 25)


@pytest.mark.parametrize(
    ("scores", "start", "best", "is_newest"),
    [
        ([], 30, None, False),
        ([0.5, 0.6, 0.6], 30, 20, False),
        # from step 30 on the later of two that are as good
        ([0.5, 0.6, 0.6, 0.6], 30, 40, True),
        ([0.5, 0.6, 0.6, 0.59, 0.6, 0.5], 30, 50, False),
        ([0.5, 0.6, 0.6, 0.59, 0.58], 30, 20, False),
        ([0.5, 0.6, 0.6, 0.7, math.nan], 30, 40, False),
        ([math.nan, math.nan, math.nan, 0.1], 30, 40, True),
        ([math.nan], 30, None, False),
    ],
)
def test_the_best_is_over_hold_and_cooldown(
    scores: list[float], start: int, best: int | None, is_newest: bool
) -> None:
    choice = best_of(RULE, log(scores), start)
    assert (choice.evaluation and choice.evaluation.step, choice.is_newest) == (best, is_newest)
    assert choice.decision is None


HELD, LUCKY = [0.7, 0.742, 0.71, 0.7], [0.7, 0.745, 0.7, 0.7]


@pytest.mark.parametrize(
    ("scores", "samples", "kept", "why"),
    [
        # The best of four, with the standard error sqrt(0.742 * 0.258 / 128) = 0.0387, is 1.0294 * 0.0387 = 0.0398
        # too good. By the scatter: the median of 0.042, 0.032 and 0.01, divided by 0.954, times 1.0294 is 0.0345.
        ([*HELD, 0.688], 128, "best", "is 0.054 worse, more than the 0.0398 of selection noise (best of 4, standard"),
        ([*HELD, 0.688], None, "best", "is 0.054 worse, more than the 0.0345 of selection noise (best of 4, scatter"),
        # The lucky one is one standard error, 0.0385, above the end, which is above the others.
        ([*LUCKY, 0.7065], 128, "end", "is 0.0385 better, within the 0.0397 of selection noise (best of 4, standard"),
        # With 2,000 samples the standard error is 0.0097, and the difference is real.
        ([*LUCKY, 0.7065], 2000, "best", "more than the 0.01 of selection noise"),
        # The climb of 0.3 and 0.5 is no part of the plateau: the best of three, 0.8463 * 0.0097 = 0.0082.
        ([0.3, 0.5, 0.745, 0.7, 0.7, 0.736], 2000, "best", "more than the 0.00825 of selection noise (best of 3,"),
        ([0.3, 0.5, 0.745, 0.7, 0.7, 0.737], 2000, "end", "within the 0.00825 of selection noise (best of 3,"),
        # Nothing was selected where the hold ends with its best: the end has to be as good.
        ([0.3, 0.4, 0.5, 0.6, 0.599], 100, "best", "0.599 at step 50, is 0.001 worse"),
        ([0.3, 0.4, 0.5, 0.6, 0.6], 100, "end", "no worse than the best, 0.6 at step"),
        # A collapse is no scatter: the median of 0.042, 0.032 and 0.41 is 0.042, and 1.0294 * 0.044 = 0.0453.
        ([0.7, 0.742, 0.71, 0.3, 0.55], None, "best", "more than the 0.0453 of selection noise"),
        # NaN has no part in the scatter, and is not kept.
        ([0.7, 0.742, math.nan, 0.71, 0.7, math.nan], None, "best", "kept the best, 0.742 at step 20"),
        ([math.nan, math.nan, 0.4], None, "end", "kept the end, 0.4 at step 30"),
    ],
)
def test_the_end_is_kept_where_luck_explains_what_the_best_is_above_it(
    scores: list[float], samples: int | None, kept: str, why: str
) -> None:
    rule = StoppingRule.read("score", "patience(2)", "max", samples=samples)
    end = 10 * len(scores)
    choice = best_of(rule, log(scores), end - 10, end=end)
    assert choice.decision is not None
    assert choice.evaluation is choice.decision.kept.evaluation
    assert (choice.decision.kept.kind, choice.is_newest) == (kept, kept == "end")
    assert why in choice.decision.why
    if samples is None:
        mirrored = [{"eval_loss": -entry["eval_score"], "step": entry["step"]} for entry in log(scores)]
        same = best_of(StoppingRule.read("loss"), mirrored, end - 10, end=end).decision
        assert same is not None
        assert same.kept.kind == kept


def test_the_best_of_the_cooldown_is_a_candidate_too() -> None:
    choice = best_of(RULE, log([0.3, 0.6, 0.6, 0.7, 0.5, 0.5]), 30, end=60)
    assert choice.decision is not None
    assert [(each.kind, each.evaluation.step) for each in choice.decision.candidates] == [("best", 40), ("end", 60)]


@pytest.mark.parametrize(("keeping", "worse", "as_good"), [("best", "best", "end"), ("end", "end", "end")])
def test_the_rule_can_be_given_by_hand(keeping: str, worse: str, as_good: str) -> None:
    for end, kept in ((0.741, worse), (0.742, as_good)):
        decision = best_of(RULE, log([*HELD, end]), 40, end=50, keeping=keeping).decision
        assert decision is not None
        assert decision.kept.kind == kept


def test_a_standard_error_that_the_evaluations_report_counts() -> None:
    entries = [entry | {"eval_score_stderr": 0.05} for entry in log([*HELD, 0.691])]
    decision = best_of(RULE, entries, 40, end=50).decision
    assert decision is not None
    assert "within the 0.0515 of selection noise (best of 4, standard error 0.05)" in decision.why


def test_samples_of_a_metric_that_is_no_proportion_are_refused_at_the_first_evaluation() -> None:
    rule = StoppingRule.read("score", "patience(2)", "max", samples=100)
    with pytest.raises(StrategyError, match="samples=100 gives a standard error only to a proportion"):
        best_of(rule, log([1.5]), 40, end=60)


def test_the_margin_of_an_improvement_holds_in_the_hold_only() -> None:
    rule = StoppingRule.read("score", "patience(2)", "max", min_delta=0.1)
    values = log([0.5, 0.55, 0.55, 0.51, 0.56])
    first, third = best_of(rule, values[:1], 30), best_of(rule, values[:3], 30)
    assert third.evaluation == first.evaluation  # 0.05 is no improvement
    choice = best_of(rule, values, 30)
    assert (choice.evaluation and choice.evaluation.step, choice.is_newest) == (50, True)


def test_of_losses_the_lowest_is_the_best() -> None:
    losses = [{"eval_loss": value, "step": 10 * k} for k, value in enumerate([0.5, 0.4, 0.6, 0.4, 0.45], start=1)]
    choice = best_of(StoppingRule.read("loss"), losses, 30)
    assert (choice.evaluation and choice.evaluation.step, choice.is_newest) == (40, False)


def test_a_sentence_for_each_phase() -> None:
    scores = log([0.5, 0.6, 0.5, 0.6])
    found, choice = look([0.5, 0.6, 0.5, 0.6]), best_of(RULE, scores, 40)
    assert [cooldown_reason(RULE, found, choice, step) for step in (30, 50, 60)] == [
        "No cooldown yet at step 30; it starts at step 40 at the latest.",
        f"In the cooldown from step 40 to 60: {STALLED}.",
        f"Cooled down from step 40 to 60: {STALLED}; best 0.6 at step 20 (epoch 2.00).",
    ]
    ended = best_of(RULE, log([0.5, 0.6, 0.5, 0.6, 0.5, 0.6]), 40, end=60)
    assert cooldown_reason(RULE, found, ended, 60) == (
        f"Cooled down from step 40 to 60: {STALLED}; kept the end, 0.6 at step 60: no worse than the best, 0.6 at"
        " step 20."
    )
    assert cooldown_reason(RULE, look([]), Choice(), 120) == (
        "Cooled down from step 80 to 120: the budget ends at step 120; eval_score never was finite."
    )
    assert cooldown_reason(RULE, look([0.5, 0.4, 0.4, math.nan]), choice, 40) == (
        "Stopped in the cooldown, at step 40 of 30 to 45, because eval_score is not finite; best 0.6 at step 20"
        " (epoch 2.00)."
    )


@pytest.mark.parametrize(
    ("found", "step", "expected"),
    [
        (Phases(40, 60, STALLED), 60, {"phase": "over", "stopped": True, "stop_step": 60, "trigger": "plateau"}),
        (Phases(40, 60, STALLED), 59, {"phase": "cooldown", "stopped": False, "stop_step": None}),
        (Phases(80, 120), 120, {"phase": "over", "stopped": False, "stop_step": None, "trigger": "budget"}),
        (Phases(80, 120, cut=90), 90, {"phase": "over", "stopped": True, "stop_step": 90}),
    ],
)
def test_the_record_is_plain_and_has_the_steps(found: Phases, step: int, expected: dict[str, Any]) -> None:
    import json

    kept = cooldown_record(RULE, found, Choice(), step, 120)
    assert {name: kept[name] for name in expected} == expected
    assert (kept["cooldown_start"], kept["cooldown_end"]) == (found.start, found.end)
    assert json.loads(json.dumps(kept)) == kept


def test_the_record_has_all_candidates_and_which_is_kept() -> None:
    kept = cooldown_record(RULE, Phases(40, 50, STALLED), best_of(RULE, log([*HELD, 0.688]), 40, end=50), 50, 120)
    assert (kept["kept"], kept["best_step"], kept["best_value"]) == ("best", 20, 0.742)
    assert kept["candidates"] == [
        {"kind": "best", "step": 20, "value": 0.742},
        {"kind": "end", "step": 50, "value": 0.688},
    ]
