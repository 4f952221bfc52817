"""Criteria of users: checked, named, and usable at once."""

import functools
import math
from collections.abc import Iterator
from typing import Any

import pytest

from hf_strategies import StrategyError, register_criterion, verdict
from hf_strategies.stopping import CRITERIA, Improvement, Series, StoppingRule
from hf_strategies.stopping.improvement import best_so_far

Said = list[str | None]


@pytest.fixture(autouse=True)
def _criteria_as_before() -> Iterator[None]:
    before = dict(CRITERIA)
    yield
    CRITERIA.clear()
    CRITERIA.update(before)


def above(series: Series, *, limit: float = 2.0, times: int = 1) -> Said:
    """The metric was above ``limit`` for ``times`` evaluations in a row."""
    found: Said = []
    row = 0
    for value in series.values:
        row = row + 1 if value > limit else 0
        found.append(f"{series.name} is above {limit:g}" if row >= times else None)
    return found


def test_it_is_used_in_stop_when_at_once_with_its_parameters_in_order_or_by_name() -> None:
    register_criterion("above", above, summary="the metric is above a limit")
    values = [1.0, 3.0, 2.5, 2.75]
    assert verdict(values, "above").stop_index == 1
    assert verdict(values, "above(2.6)").stop_index == 1
    assert verdict(values, "above(2.0, 2) or patience(9)").stop_index == 2
    assert verdict(values, "patience(1) and above(times=3)").stop_index == 3
    rule = StoppingRule.read("accuracy", "target(1) or above(0.5, monitor=loss, smoothing='mean(2)')")
    log = [{"eval_accuracy": 0.5, "eval_loss": value, "step": index} for index, value in enumerate((0.2, 0.6, 0.8))]
    judgement = rule.judge(log)
    assert (judgement.stop_index, judgement.why) == (2, "mean(2)[eval_loss] is above 0.5")  # 0.2, 0.4, 0.7


def test_it_has_a_row_like_any_other() -> None:
    register_criterion("above", above, summary="the metric is above a limit", source="Doe 2020")
    row = CRITERIA["above"]
    assert (row.name, row.summary, row.source, row.takes_improvement) == (
        *("above", "the metric is above a limit", "Doe 2020"),
        False,
    )
    assert {name: each.default for name, each in row.parameters.items()} == {"limit": 2.0, "times": 1}
    register_criterion("below", lambda series: [None for _ in series.values], summary="never")
    assert (CRITERIA["below"].source, str(StoppingRule.read("loss", "below"))) == ("user", "eval_loss, below")


def test_floats_are_numbers_ints_are_counts_none_may_be_left_out_and_no_default_has_to_be_given() -> None:
    def picky(
        series: Series, *, share: float, count: int, width: "float" = 1, patience: int = 2, more: float | None = None
    ) -> Said:
        return [repr((share, count, width, patience, more)) for _ in series.values]

    register_criterion("picky", picky, summary="always")
    rule = StoppingRule.read("loss", "picky(0.5, 3, 1.5)")
    judgement = rule.judge([{"eval_loss": 1.0, "step": 1}])
    assert judgement.why == "(0.5, 3, 1.5, 2, None)"
    # a parameter called patience is the user's own, and no length of training
    assert rule.progress(judgement) == "no improvement for 0"
    for stop_when, words in {
        "picky(0.5)": "picky needs count",
        "picky(0.5, 1.5)": "count=1.5 is out of range: give a whole number of at least 0",
        "picky(0.5, -1)": "count=-1 is out of range",
        "picky(high, 1)": "share='high' is not a number",
        "picky(0.5, 1, shar=2)": "no parameter 'shar': did you mean 'share'",
        "picky(0.5, 1, min_delta=2)": "no parameter 'min_delta'",
    }.items():
        with pytest.raises(StrategyError, match=words):
            StoppingRule.read("loss", stop_when)


def test_a_parameter_called_improvement_is_the_rule_s() -> None:
    def stalls(series: Series, *, improvement: Improvement) -> Said:
        best = best_so_far(series, improvement)
        return [None if best[index] == index else "it stalls" for index in range(len(series))]

    register_criterion("stalls", stalls, summary="no improvement")
    assert verdict([1.0, 0.9, 0.5], "stalls").stop_index is None
    assert verdict([1.0, 0.9, 0.5], "stalls", min_delta=0.2).stop_index == 1
    assert verdict([1.0, 0.9, 0.5], "stalls(min_delta=0.2)").stop_index == 1


@pytest.mark.parametrize(
    "name", ["patience", "any", "all", "or", "None", "two words", "", "1st", "fi\ufb01", None, 3]
)
def test_a_name_that_is_taken_or_no_identifier_is_refused(name: Any) -> None:
    before = dict(CRITERIA)
    with pytest.raises(StrategyError, match=r"name=.* (is taken|is no name for a criterion)"):
        register_criterion(name, above, summary="above")
    assert before == CRITERIA


def test_one_s_own_criterion_is_not_replaced_in_silence() -> None:
    register_criterion("above", above, summary="above")
    with pytest.raises(StrategyError, match="name='above' is taken: choose another name"):
        register_criterion("above", above, summary="above")


@pytest.mark.parametrize("summary", ["", "  ", None])
def test_a_summary_is_asked_for(summary: Any) -> None:
    with pytest.raises(StrategyError, match=r"summary=.*say in a line when it stops"):
        register_criterion("above", above, summary=summary)


def takes_nothing() -> Said:
    return []


def positional(series: Series, limit: float = 1.0) -> Said:
    return [None] * len(series)


def variadic(series: Series, **limits: float) -> Said:
    return [None] * len(series)


def textual(series: Series, *, kind: str = "low") -> Said:
    return [None] * len(series)


def switched(series: Series, *, strict: bool = True) -> Said:
    return [None] * len(series)


def common(series: Series, *, mode: float = 1.0) -> Said:
    return [None] * len(series)


def margin(series: Series, *, min_delta: float = 1.0) -> Said:
    return [None] * len(series)


def negative(series: Series, *, count: int = -1) -> Said:
    return [None] * len(series)


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (takes_nothing, r"is no function of a series: write def bad\(series, \*\)"),
        (3, "3 is no function of a series"),
        (positional, "parameter 'limit' is not keyword-only"),
        (variadic, "parameter 'limits' is not keyword-only"),
        (textual, "parameter 'kind' has the default 'low': give a number, None, or no default"),
        (switched, "parameter 'strict' has the default True"),
        (common, "parameter 'mode' has the name of what every criterion is given: choose another name"),
        (margin, "parameter 'min_delta' has the name"),
        (negative, "count=-1 is out of range"),
    ],
)
def test_another_kind_of_function_is_refused(function: Any, words: str) -> None:
    with pytest.raises(StrategyError, match=words):
        register_criterion("bad", function, summary="bad")
    assert "bad" not in CRITERIA


def looks_ahead(series: Series) -> Said:
    return ["it is the lowest of all" if value == min(series.values) else None for value in series.values]


def looks_at_the_end(series: Series) -> Said:
    return [None] * (len(series) - 1) + ["it is the last"] * bool(len(series))


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (
            lambda series: [None, *[None] * len(series[1:])],
            r"'bad' fails on 8 evaluations: TypeError\(.*mend its function",
        ),
        (lambda series: [series.values[0] and None] * len(series), r"'bad' fails on 0 evaluations: IndexError"),
        (lambda series: [1 / each for each in range(len(series))], r"fails on 8 evaluations: ZeroDivisionError"),
        (lambda series: None, "returns None for 8 evaluations: return a list of one entry for each"),
        (lambda series: [None] * 3, "for 8 evaluations: return a list of one entry for each"),
        (lambda series: tuple([None] * len(series)), "return a list"),
        (lambda series: [True] * len(series), "returns an entry True: return None, or in words why to stop"),
        (lambda series: [""] * len(series), "returns an entry '': return None, or in words"),
        (looks_ahead, "let an entry depend on nothing but the evaluations up to it"),
        (looks_at_the_end, "says 'it is the last' of evaluation 0 of 1, and None when there are 8"),
    ],
)
def test_what_fails_or_breaks_the_laws_on_trial_is_refused(function: Any, words: str) -> None:
    with pytest.raises(StrategyError, match=words) as mistake:
        register_criterion("bad", function, summary="bad")
    assert "\n" not in str(mistake.value)
    assert "bad" not in CRITERIA


def test_a_failure_later_on_is_told_too() -> None:
    def short(series: Series) -> Said:
        return [None] * min(8, len(series))

    register_criterion("fragile", short, summary="of no more than eight evaluations")
    with pytest.raises(StrategyError, match=r"criterion 'fragile' returns \[None, .*\] for 9 evaluations"):
        verdict([1.0] * 9, "fragile")


def test_the_trial_has_every_column_and_odd_values_in_both_directions() -> None:
    seen: list[Series] = []

    def looks(series: Series) -> Said:
        seen.append(series)
        return [None] * len(series)

    register_criterion("looks", looks, summary="looks")
    assert {series.mode for series in seen} == {"min", "max"}
    longest = max(seen, key=len)
    assert not all(map(math.isfinite, longest.values))
    for row in longest.evaluations:
        assert None not in (row.train_loss, row.stderr, row.seconds, row.flos, row.tokens)
    assert min(map(len, seen)) == 0


def test_a_partial_function_will_do() -> None:
    register_criterion("above_one", functools.partial(above, limit=1.0), summary="above 1")
    assert verdict([0.5, 1.5], "above_one").stop_index == 1


def test_a_budget_of_a_user_names_what_it_spends_and_how_much_of_it() -> None:
    def half(series: Series, *, limit: float) -> Said:
        used = [0.0 if each.seconds is None else each.seconds for each in series.evaluations]
        return [f"half of {limit:g} seconds is over" if amount >= limit / 2 else None for amount in used]

    register_criterion("half", half, summary="half of the time is over", resource="seconds", safety=True)
    rule = StoppingRule.read("loss", "half(10)")
    assert rule.budgets == [("seconds", 10.0)]
    log = [{"eval_loss": 1.0, "step": step} for step in (1, 2, 3)]
    assert rule.judge(log, usage={"seconds": {"1": 2.0, "2": 5.0, "3": 8.0}}).stop_index == 1
    assert CRITERIA["half"].safety


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"resource": "seconds"}, r"resource='seconds' of criterion 'mine' without a parameter 'limit'"),
        ({"resource": "second"}, r"resource='second' is unknown: did you mean 'seconds'\?"),
        ({"safety": "yes"}, r"safety='yes' is neither True nor False"),
        ({"needs_train_loss": 1}, r"needs_train_loss=1 is neither True nor False"),
    ],
)
def test_a_row_that_promises_what_it_has_not_is_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(StrategyError, match=words):
        register_criterion("mine", lambda series: [None for _ in series.values], summary="never", **options)
    assert "mine" not in CRITERIA


def test_the_safety_stops_are_those_that_do_not_wait_for_a_plateau() -> None:
    safety = {"target", "divergence", "time_budget", "flop_budget", "token_budget"}
    assert {name for name, row in CRITERIA.items() if row.safety} == safety
    assert {name: row.resource for name, row in CRITERIA.items() if row.resource} == {
        "time_budget": "seconds",
        "flop_budget": "flos",
        "token_budget": "tokens",
    }
    assert StoppingRule.read("loss", "divergence() or target(0.1)").only_for_safety
    assert not StoppingRule.read("loss", "divergence() or patience(3)").only_for_safety
