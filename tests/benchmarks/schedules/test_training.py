"""The trainings in which callbacks are timed: to which step a time belongs, and where the cooldown starts."""

import pytest

from benchmarks.schedules import training
from benchmarks.schedules.training import CALLBACKS, Stopwatch, timed, train


def test_costs_are_those_of_the_steps_asked_for() -> None:
    watch = Stopwatch()
    watch.began = [0.0, 1.0, 1.1, 1.3, 1.6]
    watch.step_events = [9.0, 1e-6, 6e-6, 2e-6, 9.0]
    watch.other_events = [9.0, 0.0, 5e-6, 0.0, 9.0]
    # Steps 1 to 3: medians of 1, 6 and 2 and of the one evaluation, after step 2; 0.6 seconds of three steps.
    expected = {"step events": 2.0, "evaluation events": 5.0, "training": 200_000.0}
    assert watch.costs(1, 4, every=2) == pytest.approx(expected)


def test_the_time_of_a_call_is_added_to_the_last_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "perf_counter", iter([10.0, 10.5]).__next__)
    seconds = [1.0, 2.0]
    assert timed(lambda value, times: value * times, seconds)("a", times=2) == "aa"
    assert seconds == [1.0, 2.5]


@pytest.mark.parametrize(("callback", "steps"), [("EarlyStopping", 8), ("PlateauCooldown", 12)])
def test_the_metric_stalls_where_asked_and_a_cooldown_takes_half_as_many_steps(callback: str, steps: int) -> None:
    watch = train(CALLBACKS[callback](), steps=8, every=2)
    assert len(watch.began) - 1 == steps
    assert all(seconds > 0 for seconds in watch.step_events[1:])
    assert all(watch.other_events[step] > 0 for step in (2, 4, 6, 8))
