"""Hold, cooldown and end: lists of scores worked out by hand."""

import math
from collections.abc import Sequence
from typing import Any

import pytest

from hf_strategies.stopping import StoppingRule
from hf_strategies.stopping.plateau_cooldown import Phases, best_of, cooldown_phases, cooldown_reason, cooldown_record

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
    found, newest = best_of(RULE, log(scores), start)
    assert (found and found.step, newest) == (best, is_newest)


@pytest.mark.parametrize(
    ("scores", "best"),
    [
        # The plateau after the best one, of step 20, is 0.4, 0.5, with the median 0.45; the cooldown ends at step 60.
        ([0.3, 0.6, 0.4, 0.5, 0.45, 0.45], 60),
        ([0.3, 0.6, 0.4, 0.5, 0.45, 0.44], 20),
        # The median of 0.5, 0.4 and 0.3.
        ([0.6, 0.5, 0.4, 0.3, 0.2, 0.4], 60),
        ([0.6, 0.5, 0.4, 0.3, 0.2, 0.39], 10),
        # Better still in the cooldown, and no worse at its end than the plateau was: the end.
        ([0.3, 0.6, 0.4, 0.5, 0.7, 0.45], 60),
        ([0.3, 0.6, 0.4, 0.5, 0.7, 0.44], 50),
        # NaN has no part in the median, and is not kept.
        ([0.3, 0.6, math.nan, 0.5, 0.1, 0.5], 60),
        ([0.3, 0.6, 0.4, 0.5, 0.5, math.nan], 20),
        # No plateau: the best is the newest of the hold, and the end has to be as good.
        ([0.3, 0.4, 0.5, 0.6, 0.5, 0.6], 60),
        ([0.3, 0.4, 0.5, 0.6, 0.5, 0.59], 40),
    ],
)
def test_the_end_is_kept_when_it_is_no_worse_than_the_plateau_was(scores: list[float], best: int) -> None:
    found, newest = best_of(RULE, log(scores), 40, end=60)
    assert found is not None
    assert (found.step, newest) == (best, best == 60)
    mirrored = [{"eval_loss": -entry["eval_score"], "step": entry["step"]} for entry in log(scores)]
    found, _ = best_of(StoppingRule.read("loss"), mirrored, 40, end=60)
    assert found is not None
    assert found.step == best


def test_the_margin_of_an_improvement_holds_in_the_hold_only() -> None:
    rule = StoppingRule.read("score", "patience(2)", "max", min_delta=0.1)
    values = log([0.5, 0.55, 0.55, 0.51, 0.56])
    assert best_of(rule, values[:3], 30)[0] == best_of(rule, values[:1], 30)[0]  # 0.05 is no improvement
    found, newest = best_of(rule, values, 30)
    assert (found and found.step, newest) == (50, True)


def test_of_losses_the_lowest_is_the_best() -> None:
    losses = [{"eval_loss": value, "step": 10 * k} for k, value in enumerate([0.5, 0.4, 0.6, 0.4, 0.45], start=1)]
    found, newest = best_of(StoppingRule.read("loss"), losses, 30)
    assert (found and found.step, newest) == (40, False)


def test_a_sentence_for_each_phase() -> None:
    scores = log([0.5, 0.6, 0.5, 0.6])
    found, (best, _) = look([0.5, 0.6, 0.5, 0.6]), best_of(RULE, scores, 40)
    assert [cooldown_reason(RULE, found, best, step) for step in (30, 50, 60)] == [
        "No cooldown yet at step 30; it starts at step 40 at the latest.",
        f"In the cooldown from step 40 to 60: {STALLED}.",
        f"Cooled down from step 40 to 60: {STALLED}; best 0.6 at step 20 (epoch 2.00).",
    ]
    assert cooldown_reason(RULE, look([]), None, 120) == (
        "Cooled down from step 80 to 120: the budget ends at step 120; eval_score never was finite."
    )
    assert cooldown_reason(RULE, look([0.5, 0.4, 0.4, math.nan]), best, 40) == (
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

    kept = cooldown_record(RULE, found, None, step, 120)
    assert {name: kept[name] for name in expected} == expected
    assert (kept["cooldown_start"], kept["cooldown_end"]) == (found.start, found.end)
    assert json.loads(json.dumps(kept)) == kept
