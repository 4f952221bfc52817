"""A log that grows: judged entry by entry it gives what it gives when judged at once, and each entry is read once."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_strategies import StrategyError, register_criterion
from hf_strategies.stopping import CRITERIA, Series, StoppingRule, plateaus, record
from hf_strategies.stopping.condition import calls, parse
from hf_strategies.stopping.history import Stream
from hf_strategies.stopping.log_judge import LogJudge
from hf_strategies.stopping.metric import Metric
from hf_strategies.stopping.plateau_cooldown import CooldownJudge, best_of, cooldown_phases
from hf_strategies.stopping.reduce_on_plateau import Stalls
from tests.stopping.logs import METERS, finite, modes, odd

# Every criterion, each with parameters by which it stops now and then; joined, smoothed, of another metric.
CONDITIONS = [
    *("patience(2)", "patience(3, baseline=1.0)", "patience('5 steps')", "patience('1ep')", "patience(0.2)"),
    *("patience(2, min_delta=0.5)", "patience(2, z=1.0)", "growing_patience(0.5, 1)", "generalisation_loss(10.0)"),
    *("progress_quotient(0.5, 2)", "successive_increases(2, 1)", "successive_increases(1, 3)", "target(-3.5)"),
    *("divergence(3.0, 4.0)", "generalisation_gap(0.5, monitor=loss)", "generalisation_gap(ratio=3, monitor=loss)"),
    *("time_budget(6.0)", "flop_budget(6.0)", "token_budget(9.0)", "patience(2) and patience(2, monitor=loss)"),
    *("patience(4) or generalisation_loss(50) and target(2)", "patience(2, monitor='loss - value', mode='min')"),
    *("patience(2, smoothing='ema(0.5)')", "divergence(2, smoothing='mean(2)') or patience(9, smoothing=None)"),
]
RULES = st.fixed_dictionaries(
    {"stop_when": st.sampled_from(CONDITIONS), "mode": modes},
    optional={
        "smoothing": st.sampled_from(["ema(0.25)", "median(3)", "mean(2)"]),
        "start_from": st.sampled_from([1, 3, "4 steps", "2ep", 0.2]),
        "min_delta": st.sampled_from([0.25, 1.0]),
        "relative_delta": st.just(0.25),
    },
)
PLANNED = 40


@st.composite
def logs(draw: st.DrawFn) -> list[list[dict[str, Any]]]:
    """The entries of a log, in portions: each ends with an evaluation, of one or two entries or without a metric."""
    portions, step = [], 0
    for value, loss, steps, form in draw(
        st.lists(st.tuples(finite | finite | odd, finite, st.integers(1, 3), st.integers(0, 9)), max_size=12)
    ):
        portion: list[dict[str, Any]] = []
        for _ in range(steps):
            step += 1
            portion.append({"loss": abs(loss) / 2, "step": step, "epoch": step / 4})
        at = {"step": step, "epoch": step / 4, "eval_runtime": 0.5}
        of_value, of_loss = {"eval_value": value, "eval_value_stderr": 0.25, **at}, {"eval_loss": loss, **at}
        forms: list[list[dict[str, Any]]] = [[of_value, of_loss], [of_loss, of_value, of_loss], [of_value]]
        portions.append(portion + (forms[form] if form < len(forms) else [of_value | of_loss]))
    return portions


def usage_of(log: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    used = {str(entry["step"]): float(place) for place, entry in enumerate(log) if entry["step"] % 3}
    return dict.fromkeys(METERS, used)


def test_every_criterion_is_among_the_conditions() -> None:
    assert {call.criterion.name for text in CONDITIONS for call in calls(parse(text))} == set(CRITERIA)


@settings(max_examples=200)
@given(given_rule=RULES, portions=logs(), after_step=st.sampled_from([0, 0, 5]))
def test_a_judgement_after_each_evaluation_is_that_of_the_whole_log(
    given_rule: dict[str, Any], portions: list[list[dict[str, Any]]], after_step: int
) -> None:
    rule = StoppingRule.read("value", **given_rule)
    judge, log = LogJudge(rule), list[dict[str, Any]]()
    usage: dict[str, dict[str, float]] = {meter: {} for meter in METERS}
    for portion in portions:
        log += portion
        for meter, used in usage_of(log).items():
            usage[meter].update(used)
        once = rule.judge(log, usage=usage, total_steps=PLANNED, after_step=after_step)
        grown = judge.judge(log, usage=usage, total_steps=PLANNED, after_step=after_step)
        assert repr(replace(grown, patience_used=None)) == repr(once)  # as texts, because NaN is not equal to itself
        assert repr(record(rule, grown)) == repr(record(rule, once))
        assert rule.progress(grown) == rule.progress(once)


@settings(max_examples=100)
@given(
    given_rule=RULES,
    portions=logs(),
    latest=st.integers(2, 30),
    stages=st.integers(0, 2),
    after_step=st.integers(0, 4),
    rewinds=st.booleans(),
)
def test_phases_and_best_after_each_evaluation_are_those_of_the_whole_log(
    given_rule: dict[str, Any],
    portions: list[list[dict[str, Any]]],
    latest: int,
    stages: int,
    after_step: int,
    rewinds: bool,
) -> None:
    rule = StoppingRule.read("value", **given_rule)
    judge, log, places = CooldownJudge(rule), list[dict[str, Any]](), {"total_steps": PLANNED, "usage": None}
    options: dict[str, Any] = {"length": lambda step: 1 + step // 3, "latest": latest, "stages": stages, **places}
    options |= {"after_step": after_step, "rewinds": rewinds}
    for portion in portions:
        log += portion
        phases = cooldown_phases(rule, log, **options)
        assert judge.phases(log, **options) == phases
        once = best_of(rule, log, phases.start, end=phases.end, total_steps=PLANNED)
        assert judge.best(log, phases.start, end=phases.end, total_steps=PLANNED) == once


@given(
    values=st.lists(finite | finite | odd, max_size=20),
    patience=st.integers(1, 3),
    cooldown=st.integers(0, 3),
    mode=modes,
)
def test_stalls_after_each_evaluation_are_those_of_all_values(
    values: list[float], patience: int, cooldown: int, mode: Any
) -> None:
    options: dict[str, Any] = {"patience": patience, "min_delta": 0.25, "mode": mode, "cooldown": cooldown}
    counted, log = Stalls(Metric.read("value"), **options), list[dict[str, Any]]()
    for index, value in enumerate(values):
        log += [{"loss": 1.0, "step": index + 1}, {"eval_value": value, "step": index + 1}]
        assert counted.after(log, 0) == tuple(index + 1 for index in plateaus(values[: index + 1], **options))


LOG = [{"eval_loss": value, "step": step} for step, value in ((10, 0.5), (20, 0.7), (30, 0.6), (40, 0.4))]


def changed(log: list[dict[str, Any]]) -> list[dict[str, Any]]:
    log[-1]["eval_loss"] = 0.9
    return log


@pytest.mark.parametrize(
    "change",
    [
        lambda log: log[:2],
        lambda log: log[1:],
        lambda log: [],
        lambda log: [{"eval_loss": 0.1, "step": 5}, {"eval_loss": 0.2, "step": 10}],
        lambda log: [{"eval_loss": 2.0, "step": entry["step"]} for entry in log],
        changed,
    ],
    ids=["shortened", "without its beginning", "emptied", "of another training", "rewritten", "with another end"],
)
def test_another_log_is_read_from_its_beginning(change: Any) -> None:
    rule, log = StoppingRule.read("loss", "patience(2)"), [dict(entry) for entry in LOG]
    judge, counted = LogJudge(rule), Stalls(Metric.read("loss"), patience=1, min_delta=0, mode="min", cooldown=0)
    assert (judge.judge(log).stop_index, counted.after(log, 0)) == (2, (20, 30))
    other = change(log)
    assert judge.judge(other) == rule.judge(other)
    values = [entry["eval_loss"] for entry in other]
    assert counted.after(other, 0) == tuple(other[index]["step"] for index in plateaus(values, patience=1))


def test_other_planned_steps_usage_or_a_use_recorded_late_change_the_judgement() -> None:
    rule = StoppingRule.read("loss", "patience(0.5) or time_budget(9)")
    judge, usage = LogJudge(rule), {"seconds": {"10": 1.0}}
    for total, used in ((40, None), (1000, None), (1000, {"seconds": {"30": 9.0}}), (1000, usage)):
        expected = rule.judge(LOG, usage=used, total_steps=total)
        assert judge.judge(LOG, usage=used, total_steps=total) == expected
    usage["seconds"]["40"] = 10.0
    assert judge.judge(LOG, usage=usage, total_steps=1000).stop_index == 3


def test_a_judgement_of_before_stays_what_it_was() -> None:
    judge, log = LogJudge(StoppingRule.read("loss", "patience(9)")), LOG[:2]
    before = judge.judge(log)
    log += LOG[2:]
    judge.judge(log)
    assert [each.step for each in before.history] == [10, 20]
    assert (before.values, before.history[-1].value, len(before.history[1:])) == ([0.5, 0.7], 0.7, 1)


def test_after_an_error_the_log_is_judged_from_its_beginning() -> None:
    rule = StoppingRule.read("loss", "generalisation_gap(0.5)")
    judge, log = LogJudge(rule), [{"loss": 1.0, "step": 5}, LOG[0], LOG[1]]
    for _ in range(2):
        with pytest.raises(StrategyError, match="none was logged before the evaluation at step 20"):
            judge.judge(log)
    log.insert(2, {"loss": 0.1, "step": 15})
    assert judge.judge(log).stop_index == 1


class CountedEntry(dict[str, Any]):
    """An entry of a log that counts how often its items are looked at."""

    looks = 0

    def items(self) -> Any:
        CountedEntry.looks += 1
        return super().items()


@pytest.fixture
def _criteria_as_before() -> Iterator[None]:
    before = dict(CRITERIA)
    yield
    CRITERIA.clear()
    CRITERIA.update(before)


def above(stream: Stream, *, limit: float = 2.0) -> Iterator[str | None]:
    for evaluation in stream:
        yield f"{stream.name} is above {limit:g}" if evaluation.value > limit else None


@pytest.mark.usefixtures("_criteria_as_before")
def test_each_entry_is_read_once_and_each_evaluation_judged_once() -> None:
    judged: list[int] = []

    def counts(stream: Stream) -> Iterator[str | None]:
        for evaluation in stream:
            judged.append(evaluation.step)
            yield None

    register_criterion("counts", counts, summary="counts what it judges")
    judged.clear()
    rule = StoppingRule.read("loss", "counts and patience(3) or counts(smoothing='ema(0.5)')", smoothing="mean(2)")
    judge, cooldown = LogJudge(rule), CooldownJudge(rule)
    counted = Stalls(Metric.read("loss"), patience=1, min_delta=0, mode="min", cooldown=0)
    log: list[CountedEntry] = []
    for step in range(1, 201):
        log.append(CountedEntry({"loss": 1.0, "step": step}))
        log.append(CountedEntry({"eval_loss": 1 / step, "step": step}))
        CountedEntry.looks = 0
        judge.judge(log, total_steps=500)
        phases = cooldown.phases(log, length=lambda step: 9, latest=400, total_steps=500)
        cooldown.best(log, phases.start, end=phases.end, total_steps=500)
        counted.after(log, 0)
        assert CountedEntry.looks <= 3 * 2  # three readers and two new entries
    assert judged == [step for step in range(1, 201) for _ in range(4)]  # two calls in each of two readers


@pytest.mark.usefixtures("_criteria_as_before")
def test_a_generator_function_is_a_criterion_as_a_function_of_the_series_is() -> None:
    def listed(series: Series, *, limit: float = 2.0) -> list[str | None]:
        return [f"{series.name} is above {limit:g}" if value > limit else None for value in series.values]

    register_criterion("above", above, summary="above a limit")
    register_criterion("listed", listed, summary="above a limit")
    rules = [StoppingRule.read("loss", f"patience(9) and {name} or {name}(0.65)") for name in ("above", "listed")]
    for rule in rules:
        judge = LogJudge(rule)
        assert [judge.judge(LOG[:count]).stop_index for count in range(5)] == [None, None, 1, 1, 1]
        assert judge.judge(LOG).why == "eval_loss is above 0.65"
    assert CRITERIA["above"].function(Series.of_values([1.0, 3.0])) == [None, "the metric is above 2"]


def reads_all_first(stream: Stream) -> Iterator[str | None]:
    yield from [None for _ in stream]


def yields_twice(stream: Stream) -> Iterator[str | None]:
    for _ in stream:
        yield None
        yield None


def stops_early(stream: Stream) -> Iterator[str | None]:
    for evaluation in stream:
        if not math.isfinite(evaluation.value):
            return
        yield None


def uses_values(stream: Any) -> Iterator[str | None]:
    for index, _ in enumerate(stream):
        yield "high" if stream.values[index] > 9 else None


def says_true(stream: Stream) -> Iterator[Any]:
    for _ in stream:
        yield True


@pytest.mark.usefixtures("_criteria_as_before")
@pytest.mark.parametrize(
    ("function", "words"),
    [
        (reads_all_first, "'bad' yields 1 entries for 8 evaluations that come one by one: yield one for each"),
        (yields_twice, "'bad' yields 16 entries for 8 evaluations: yield one for each"),
        (stops_early, "'bad' yields 3 entries for 8 evaluations"),
        (uses_values, "'bad' fails on 1 evaluations: AttributeError.*: mend its function"),
        (says_true, "'bad' returns an entry True"),
    ],
)
def test_a_generator_function_that_is_not_one_to_one_is_refused(function: Any, words: str) -> None:
    with pytest.raises(StrategyError, match=words):
        register_criterion("bad", function, summary="bad")
    assert "bad" not in CRITERIA
