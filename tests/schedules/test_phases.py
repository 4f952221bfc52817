"""Schedules put together from phases."""

import json
import re
from typing import Any

import pytest

from hf_strategies import StrategyError, schedule


def phases(*entries: dict[str, Any], total: int = 100, **options: Any) -> Any:
    return schedule("phases", total_steps=total, phases=list(entries), **options)


RISE = {"shape": "linear", "length": 0.1, "start": 0, "end": 1}


def test_linear_warmup_hold_step_down_cosine_to_zero_needs_no_new_code() -> None:
    case = phases(
        RISE,
        {"shape": "constant", "length": 0.3},
        {"shape": "constant", "length": 0.2, "start": 0.5},
        {"shape": "cosine"},
    )
    steps = [0, 5, 10, 39, 40, 59, 60, 80, 100, 1000]
    assert [case(step) for step in steps] == pytest.approx([0, 0.5, 1, 1, 0.5, 0.5, 0.5, 0.25, 0, 0], abs=1e-15)


def test_a_phase_begins_where_the_one_before_it_ended() -> None:
    case = phases({"shape": "linear", "length": 50, "end": 0.4}, {"shape": "linear", "end": 0.2})
    assert [case(step) for step in (0, 25, 50, 75, 100)] == pytest.approx([1, 0.7, 0.4, 0.3, 0.2])


def test_a_phase_may_rise_again() -> None:
    case = phases({"shape": "cosine", "length": 50, "end": 0.1}, {"shape": "exponential", "end": 1})
    assert [case(step) for step in (50, 75, 100)] == pytest.approx([0.1, 0.1**0.5, 1])


def test_a_decay_s_own_parameters_are_taken_and_its_last_level_is_the_next_one_s_first() -> None:
    falls = {"shape": "step", "length": 60, "gamma": 0.5, "step_size": 20}
    case = phases(falls, {"shape": "linear"})
    assert [case(step) for step in (0, 19, 20, 40, 59, 60, 80, 100)] == pytest.approx(
        [1, 1, 0.5, 0.25, 0.25, 0.125, 0.0625, 0]
    )


def test_equals_the_named_schedule_that_it_spells_out() -> None:
    named = schedule("linear_warmup_cosine_decay", total_steps=70, warmup_steps=7, min_lr_ratio=0.1)
    spelled = phases({**RISE, "length": 7}, {"shape": "cosine", "end": 0.1}, total=70)
    assert [spelled(step) for step in range(75)] == [named(step) for step in range(75)]


def test_lengths_in_steps_fractions_and_epochs_mix_and_fractions_add_up() -> None:
    case = phases(
        {**RISE, "length": "1ep"}, {"shape": "linear", "length": 0.4}, {"shape": "constant"}, steps_per_epoch=20
    )
    assert [phase.stop for phase in case.parameters["phases"]] == [20, 60, 100]
    thirds = [{"shape": "linear", "length": length, "end": 0.5} for length in (0.1, 0.2, 0.7)]
    assert [phase.stop for phase in phases(*thirds, total=7).parameters["phases"]] == [1, 2, 7]


def test_json_text_is_the_list_that_it_spells() -> None:
    entries = [RISE, {"shape": "cosine"}]
    text = schedule("phases", total_steps=100, phases=json.dumps(entries))
    assert text.learning_rates(1.0) == phases(*entries).learning_rates(1.0)


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ("[", r"phases='\[' is no JSON"),
        ([], r"phases=\[\] is no list of phases: give one such as"),
        (["linear"], r"is no list of phases"),
        ([{"length": 100}], r"phases\[0\].shape=None is no falling curve"),
        ([{"shape": "cosin"}], r"phases\[0\].shape='cosin' is no falling curve: did you mean 'cosine'"),
        ([{"shape": "stable", "start": 0, "end": 1}], r"'stable' is no rising curve: known: 'cosine', 'exponential'"),
        ([{"shape": "linear", "leng": 5}], r"phases\[0\] \(linear\) takes no 'leng': did you mean 'length'"),
        ([{"shape": "linear", "end": 2}], r"phases\[0\].end=2 is out of range: give a ratio of the peak"),
        ([{"shape": "constant", "end": 0.5}], r"phases\[0\].end=0.5 with shape='constant'.*leave end out"),
        ([{"shape": "linear"}, {"shape": "linear"}], r"phases\[0\].length is missing: only the last"),
        ([{"shape": "linear", "length": 30}], r"phases cover 30 of 100 steps: leave the last phase's length out"),
        ([{"shape": "linear", "length": 130}], r"phases cover 130 of 100 steps"),
        ([{"shape": "linear", "length": 0}, {"shape": "linear"}], r"phases\[0\] has no step"),
        ([{"shape": "exponential", "start": 0, "end": 1}], r"phases\[0\].start=0.0 is out of range.*\(0, 1\]"),
        ([{"shape": "linear", 3: 1}], r"phases\[0\] has the key 3: give names in text"),
        ([{"shape": "exponential"}], r"phases\[0\].end=0 with an exponential fall.*give phases\[0\].end above 0"),
        ([{"shape": "stable", "cooldown_shape": "exponential"}], r"phases\[0\].end=0 with an exponential fall"),
        ([{"shape": "step", "gamma": 3}], r"phases\[0\].gamma=3 is out of range"),
    ],
)
def test_a_mistake_names_the_phase(entries: Any, words: str) -> None:
    with pytest.raises(StrategyError) as raised:
        schedule("phases", total_steps=100, phases=entries)
    assert re.search(words, str(raised.value)), str(raised.value)


def test_an_exponential_phase_reaches_an_end_above_zero() -> None:
    case = phases({"shape": "exponential", "end": 0.01})
    assert [case(step) for step in (0, 50, 100)] == pytest.approx([1, 0.1, 0.01])
