"""Laws of the criteria over random histories."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_strategies.stopping import CRITERIA, Criterion
from hf_strategies.stopping.condition import calls, parse
from tests.stopping.logs import judge, modes, positive, positive_lists, stop_of, values_lists


def golden(row: Criterion) -> str:
    """The call of a criterion with the settings of its golden case."""
    assert row.golden is not None
    return f"{row.name}({', '.join(f'{name}={value!r}' for name, value in row.golden.settings.items())})"


# Each criterion as in its golden case, and further ones that stop now and then on the histories below.
EACH = [
    *map(golden, CRITERIA.values()),
    *("patience(1)", "patience(3, baseline=1.0)", "patience('5 steps')", "patience('2ep')", "patience(0.2)"),
    *("patience(2, min_delta=0.5)", "patience(2, relative_delta=0.25)", "patience(2, z=1.0)"),
    *("growing_patience(0.5, 1)", "generalisation_loss(10.0)", "progress_quotient(0.5, 2)"),
    *("successive_increases(2, 1)", "successive_increases(1, 3)", "target(0.5)", "divergence(3.0, 4.0)"),
    *("generalisation_gap(0.5)", "generalisation_gap(ratio=1.5)"),
    *("time_budget(6.0)", "flop_budget(6.0)", "token_budget(6.0)"),
    *(
        "patience(2, smoothing='ema(0.5)')",
        "patience(2, smoothing='median(3)')",
        "divergence(3, smoothing='mean(2)')",
    ),
]

each = st.sampled_from(EACH)


def test_no_criterion_is_left_out() -> None:
    assert {call.criterion.name for text in EACH for call in calls(parse(text))} == set(CRITERIA)


@pytest.mark.parametrize("stop_when", EACH)
@settings(max_examples=40)
@given(values=values_lists, mode=modes)
def test_what_is_said_of_a_prefix_stands(stop_when: str, values: list[float], mode: str) -> None:
    whole = judge(values, stop_when, mode)
    for length in range(len(values) + 1):
        found = judge(values[:length], stop_when, mode)
        if whole.stop_index is not None and length > whole.stop_index:
            assert (found.stop_index, found.best_index, found.waited, found.why) == (
                *(whole.stop_index, whole.best_index, whole.waited),
                whole.why,
            )
        else:
            assert found.stop_index is None


@given(stop_when=each, values=values_lists, mode=modes, start=st.integers(0, 9), every=st.integers(1, 3))
def test_nothing_before_start_from_stops_or_is_best(
    stop_when: str, values: list[float], mode: str, start: int, every: int
) -> None:
    for start_from in (start, f"{every * (start + 1)} steps", f"{start + 1}ep"):
        found = judge(values, stop_when, mode, start_from=start_from, every=every)
        assert found.stop_index is None or found.stop_index >= start
        assert found.best_index is None or found.best_index >= start


@given(stop_when=each, values=values_lists, mode=modes, start=st.integers(0, 5))
def test_what_start_from_leaves_out_might_as_well_not_have_been(
    stop_when: str, values: list[float], mode: str, start: int
) -> None:
    found = judge(values, stop_when, mode, start_from=start)
    changed = judge([math.nan] * len(values[:start]) + values[start:], stop_when, mode, start_from=start)
    assert (found.stop_index, found.best_index, found.why) == (changed.stop_index, changed.best_index, changed.why)


@pytest.mark.parametrize(
    "stop_when",
    [
        *("patience(1)", "patience('1 step')", "patience(0.01)", "growing_patience(0, 1)"),
        *(
            "generalisation_loss(0)",
            "successive_increases(1, 1)",
            "successive_increases(1, 2)",
            "divergence(factor=1)",
        ),
        *("patience(1, smoothing='ema(0.5)')", "patience(1, smoothing='mean(3)')", "progress_quotient(0, 1)"),
    ],
)
@given(gains=positive_lists, mode=modes)
def test_a_series_that_only_improves_never_stops(stop_when: str, gains: list[float], mode: str) -> None:
    costs = [1000.0 - sum(gains[:length]) for length in range(len(gains) + 1)]
    values = costs if mode == "min" else [2000.0 - cost for cost in costs]
    found = judge(values, stop_when, mode)
    assert (found.stop_index, found.best_index, found.waited) == (None, len(gains), 0)


@given(values=values_lists, allowed=st.integers(1, 6), unit=st.sampled_from(["", " steps", "ep"]), mode=modes)
def test_more_patience_never_stops_earlier(values: list[float], allowed: int, unit: str, mode: str) -> None:
    sooner, later = (stop_of(values, f"patience('{span}{unit}')", mode) for span in (allowed, allowed + 1))
    assert later > sooner or later == sooner == math.inf


@given(
    template=st.sampled_from(
        ["generalisation_loss({})", "divergence({})", "generalisation_gap({})", "time_budget({})"]
    ),
    values=values_lists,
    limits=st.tuples(positive, positive),
)
def test_a_laxer_limit_never_stops_earlier(template: str, values: list[float], limits: tuple[float, float]) -> None:
    strict, lax = sorted(limits)
    assert stop_of(values, template.format(lax)) >= stop_of(values, template.format(strict))


@given(values=values_lists, mode=modes, allowed=st.integers(1, 6))
def test_the_best_is_the_first_of_the_best_finite_values_up_to_the_stop(
    values: list[float], mode: str, allowed: int
) -> None:
    found = judge(values, f"patience({allowed})", mode)
    looked_at = values if found.stop_index is None else values[: found.stop_index + 1]
    finite_ones = [value for value in looked_at if math.isfinite(value)]
    best = (min if mode == "min" else max)(finite_ones, default=None)
    assert found.best_index == (None if best is None else looked_at.index(best))
    if found.stop_index is not None:
        assert found.stop_index == (-1 if found.best_index is None else found.best_index) + allowed


@given(parts=st.lists(each, min_size=1, max_size=4), values=values_lists)
def test_any_stops_with_the_first_of_its_parts_and_all_not_before_the_last(
    parts: list[str], values: list[float]
) -> None:
    stops = [stop_of(values, part) for part in parts]
    assert stop_of(values, f"any({', '.join(parts)})") == stop_of(values, " or ".join(parts)) == min(stops)
    assert stop_of(values, f"all({', '.join(parts)})") == stop_of(values, " and ".join(parts)) >= max(stops)
    assert stop_of(values, f"{parts[0]} and {parts[0]}") == stops[0]


@given(stop_when=each)
def test_a_condition_as_it_is_written_reads_the_same(stop_when: str) -> None:
    node = parse(stop_when)
    assert parse(str(node)) == node
    joined = parse(f"({stop_when} or patience(9)) and {stop_when}")
    assert parse(str(joined)) == joined
