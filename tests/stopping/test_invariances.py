"""Which change of the values changes no verdict: of sign, unit, origin, of all but their order."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hf_strategies import verdict
from tests.stopping.logs import columns_of, finite_lists, judge, positive_lists, stop_of, values_lists

MIRRORED = {
    **{
        text: text for text in ("patience(2)", "growing_patience(0.5, 1)", "successive_increases(2, 1)", "divergence")
    },
    **{
        text: text
        for text in ("patience(2, min_delta=0.5)", "patience(2, relative_delta=0.25)", "patience(2, z=1.0)")
    },
    "patience(2, baseline=0.5)": "patience(2, baseline=-0.5)",
    "target(0.5)": "target(-0.5)",
    "divergence(3.0)": "divergence(-3.0)",
    "patience(2, smoothing='median(3)')": "patience(2, smoothing='median(3)')",
}


@pytest.mark.parametrize("stop_when", MIRRORED)
@given(values=values_lists)
def test_maximising_is_minimising_the_negative(stop_when: str, values: list[float]) -> None:
    plain, mirrored = judge(values, stop_when), judge([-value for value in values], MIRRORED[stop_when], "max")
    assert (plain.stop_index, plain.best_index) == (mirrored.stop_index, mirrored.best_index)


SCALED = {
    **{
        text: text for text in ("patience(2)", "growing_patience(0.5, 1)", "successive_increases(1, 2)", "divergence")
    },
    **{
        text: text for text in ("patience(2, relative_delta=0.25)", "generalisation_loss(10)", "divergence(factor=2)")
    },
    **{text: text for text in ("progress_quotient(0.5, 2)", "generalisation_gap(ratio=1.5)")},
    "patience(2, min_delta=0.5)": "patience(2, min_delta=2.0)",
    "patience(2, baseline=0.5)": "patience(2, baseline=2.0)",
    "target(0.5)": "target(2.0)",
    "divergence(2.0)": "divergence(8.0)",
    "generalisation_gap(0.5)": "generalisation_gap(2.0)",
    "patience(2, z=1.0)": "patience(2, z=1.0)",  # the standard errors with it
}


@pytest.mark.parametrize("stop_when", SCALED)
@given(values=values_lists)
def test_another_unit_of_the_metric_changes_nothing(stop_when: str, values: list[float]) -> None:
    """Where what is given in that unit changes with it: here to one a quarter as large."""
    columns = columns_of(values)
    scaled = {**columns, **{name: [4 * value for value in columns[name]] for name in ("train_loss", "stderr")}}
    plain = judge(values, stop_when)
    other = judge([4 * value for value in values], SCALED[stop_when], columns=scaled)
    assert (plain.stop_index, plain.best_index) == (other.stop_index, other.best_index)


SHIFTED = {
    **{
        text: text for text in ("patience(2)", "growing_patience(0.5, 1)", "successive_increases(1, 2)", "divergence")
    },
    **{text: text for text in ("patience(2, min_delta=0.5)", "patience(2, z=1.0)", "generalisation_gap(0.5)")},
    "patience(2, baseline=0.5)": "patience(2, baseline=8.5)",
    "target(0.5)": "target(8.5)",
    "divergence(2.0)": "divergence(10.0)",
}


@pytest.mark.parametrize("stop_when", SHIFTED)
@given(values=values_lists)
def test_another_origin_of_the_metric_changes_nothing(stop_when: str, values: list[float]) -> None:
    columns = columns_of(values)
    columns["train_loss"] = [math.floor(64 * value) / 64 for value in columns["train_loss"]]  # for an exact sum
    moved = {**columns, "train_loss": [value + 8 for value in columns["train_loss"]]}
    plain = judge(values, stop_when, columns=columns)
    other = judge([value + 8 for value in values], SHIFTED[stop_when], columns=moved)
    assert (plain.stop_index, plain.best_index) == (other.stop_index, other.best_index)


@pytest.mark.parametrize(
    ("stop_when", "values", "stop", "moved"),
    [
        ("generalisation_loss(10)", [1.0, 2.0], 1, None),  # 100 % and, of 21, 4.8 %
        ("divergence(factor=1.5)", [1.0, 2.0], 1, None),
        ("patience(1, relative_delta=0.25)", [1.0, 0.5], None, 1),
    ],
)
def test_criteria_of_ratios_do_depend_on_the_origin(
    stop_when: str, values: list[float], stop: int | None, moved: int | None
) -> None:
    assert verdict(values, stop_when).stop_index == stop
    assert verdict([value + 20 for value in values], stop_when).stop_index == moved


@given(
    values=finite_lists, stop_when=st.sampled_from(["patience(2)", "growing_patience", "successive_increases(2, 1)"])
)
def test_only_the_order_of_the_values_counts_without_a_margin(values: list[float], stop_when: str) -> None:
    plain, bent = judge(values, stop_when), judge([value**3 + value for value in values], stop_when)
    assert (plain.stop_index, plain.best_index) == (bent.stop_index, bent.best_index)


@given(values=positive_lists, unlike=st.sampled_from([0.25, 4.0]))
def test_the_training_loss_s_unit_does_not_change_the_progress_quotient(values: list[float], unlike: float) -> None:
    columns = columns_of(values)
    other = {**columns, "train_loss": [unlike * value for value in columns["train_loss"]]}
    stop_when = "progress_quotient(0.05, 3)"
    assert stop_of(values, stop_when) == stop_of(values, stop_when, columns=other)
