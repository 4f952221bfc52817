"""Replays by cases worked out by hand: where it stops, what is kept, saved and given up; means; the suggestion."""

import math
from collections.abc import Sequence
from typing import Any

import pytest

from hf_strategies import StrategyError
from hf_strategies.stopping import StoppingRule
from hf_strategies.stopping.replay.runs import Outcome, PastRun, replay
from hf_strategies.stopping.replay.settings import MOST_SETTINGS, grid, varying
from hf_strategies.stopping.replay.summary import suggest, summarise

LOSSES = [0.9, 0.5, 0.6, 0.4, 0.55, 0.6, 0.7]  # first 0.9, best 0.4 at step 40: the gain is 0.5


def past_run(
    values: Sequence[float] = LOSSES, *, name: str = "a", planned: int | None = None, metric: str = "eval_loss"
) -> PastRun:
    """A run evaluated every 10 steps, two evaluations an epoch; planned to end with its last one if not told else."""
    log = [{metric: value, "step": 10 * k, "epoch": k / 2} for k, value in enumerate(values, 1)]
    return PastRun(name, log, 10 * len(values), 10 * len(values) if planned is None else planned)


def outcome(run: PastRun, monitor: str = "loss", mode: str | None = None, **values: Any) -> Outcome:
    """The outcome of one setting."""
    (found,) = replay([run], grid(monitor, mode, **{name: [value] for name, value in values.items()}))
    return found


@pytest.mark.parametrize(
    ("patience", "stop", "kept", "regret", "given_up", "saved"),
    [
        (1, 30, 0.5, 0.1, 0.2, 1 - 30 / 70),
        (2, 60, 0.4, 0.0, 0.0, 1 - 60 / 70),
        (3, 70, 0.4, 0.0, 0.0, 0.0),
        (4, None, 0.4, 0.0, 0.0, 0.0),
        ("1ep", 60, 0.4, 0.0, 0.0, 1 - 60 / 70),
        ("10 steps", 30, 0.5, 0.1, 0.2, 1 - 30 / 70),
        (0.4, 70, 0.4, 0.0, 0.0, 0.0),  # 28 of 70 steps: three evaluations
    ],
)
def test_a_setting_stops_keeps_and_saves_as_worked_out_by_hand(
    patience: Any, stop: int | None, kept: float, regret: float, given_up: float, saved: float
) -> None:
    found = outcome(past_run(), patience=patience)
    assert (found.stop and found.stop.step) == stop
    assert found.kept is not None
    assert found.kept.value == kept
    assert (found.regret, found.given_up) == (pytest.approx(regret), pytest.approx(given_up))
    assert found.saved == pytest.approx(saved)
    assert not found.ran_on


def test_where_higher_is_better_it_is_the_same_upside_down() -> None:
    turned = past_run([1 - value for value in LOSSES], metric="eval_accuracy")
    found = outcome(turned, "accuracy", patience=1)
    assert found.stop is not None
    assert found.stop.step == 30
    assert (found.regret, found.given_up) == (pytest.approx(0.1), pytest.approx(0.2))


def test_scale_and_shift_of_the_metric_leave_the_share_given_up_alone() -> None:
    shares = [
        [one.given_up for one in replay([past_run(values)], grid("loss", patience=[1, 2]))]
        for values in (LOSSES, [1000 * value + 7 for value in LOSSES])
    ]
    assert shares[0] == pytest.approx(shares[1])


def test_a_metric_that_explodes_late_does_not_hide_what_was_given_up() -> None:
    calm, exploded = past_run(), past_run([*LOSSES, 1e9])
    assert outcome(exploded, patience=1).given_up == outcome(calm, patience=1).given_up


@pytest.mark.parametrize(
    ("values", "setting", "given_up"),
    [
        ([0.5, 0.6, 0.7], {"patience": 1}, 0.0),  # the first is the best, and kept
        ([0.5, 0.6, 0.7, 0.8], {"patience": 1, "start_from": 1}, 1.0),  # the first is the best, and not looked at
        ([0.5, 0.9, 0.8, 0.4], {"patience": 1, "start_from": 1}, 0.0),
        ([0.5, 0.9, 1.0, 0.4], {"patience": 1, "start_from": 1}, 1.0),  # keeps 0.9, worse than the first
        ([0.5, 0.4], {"patience": 1, "start_from": 5}, 1.0),  # nothing is looked at, nothing kept
        ([math.nan, 0.5, 0.4], {"patience": 3}, 0.0),
    ],
)
def test_the_share_given_up_at_its_edges(values: list[float], setting: dict[str, Any], given_up: float) -> None:
    assert outcome(past_run(values), **setting).given_up == given_up


def test_the_kept_value_is_the_raw_one_of_a_smoothed_metric() -> None:
    # medians of 3: 0.9, 0.7, 0.6, 0.5, 0.55, ...: the best is at 0.4's evaluation, whose median is 0.5
    found = outcome(past_run(), patience=2, smoothing="median(3)")
    assert found.kept is not None
    assert (found.kept.step, found.kept.value) == (40, 0.4)


@pytest.mark.parametrize(("planned", "ran_on"), [(70, False), (80, True), (0, True)])
def test_beyond_the_record_of_a_run_that_ended_early_nothing_is_known(planned: int, ran_on: bool) -> None:
    run = PastRun("a", past_run().log_history, 70, planned or None)
    found = outcome(run, patience=4)
    assert (found.ran_on, found.stop, found.saved) == (ran_on, None, 0.0)
    assert found.kept is not None
    assert found.kept.value == 0.4
    assert not outcome(run, patience=3).ran_on  # which stops within the record


@pytest.mark.parametrize("patience", [1, 2, 3])
def test_what_came_after_a_stop_does_not_change_it(patience: int) -> None:
    whole = outcome(past_run(), patience=patience)
    assert whole.stop is not None
    cut = past_run(LOSSES[: whole.stop.step // 10], planned=70)
    again = outcome(cut, patience=patience)
    assert (again.stop, again.kept) == (whole.stop, whole.kept)
    assert again.saved == 0.0  # the run itself stopped there


def test_the_other_metric_is_read_at_the_evaluation_that_is_kept() -> None:
    log = [{"eval_loss": loss, "eval_f1": 1 - 2 * loss, "step": k} for k, loss in enumerate([0.5, 0.3, 0.4], 1)]
    run = PastRun("a", log, 3, 3)
    (found,) = replay([run], grid("loss", patience=[1]), secondary="f1")
    assert found.secondary == pytest.approx(0.4)


def test_several_sets_and_two_evaluations_at_a_step_are_one_evaluation() -> None:
    log = []
    for k, (books, web) in enumerate([(1.0, 3.0), (0.5, 2.5), (2.0, 2.0), (2.0, 2.5)], 1):
        log += [{"eval_books_loss": books, "step": k}, {"eval_web_loss": web, "step": k}] * 2
    # means: 2.0, 1.5, 2.0, 2.25
    found = outcome(PastRun("a", log, 4, 4), "mean(books_loss, web_loss)", mode="min", patience=2)
    assert found.stop is not None
    assert (found.stop.step, found.kept and found.kept.value) == (4, 1.5)


def test_a_budget_is_replayed_from_the_meters_that_the_run_recorded() -> None:
    usage = {"seconds": {"10": 5.0, "20": 11.0, "30": 16.0}}
    state = {"stateful_callbacks": {"x": {"usage": usage}, "y": {"usage": {"seconds": {"10": 5.0}}}, "z": 1}}
    state |= {"log_history": list(past_run(LOSSES[:3]).log_history), "max_steps": 30, "global_step": 30}
    found = outcome(PastRun.of_state("a", state), stop_when="time_budget(10)")
    assert found.stop is not None
    assert found.stop.step == 20


def test_a_budget_counts_from_the_first_evaluation_at_which_its_use_was_recorded() -> None:
    # as of a run that was resumed with a callback that records it
    run = PastRun("a", past_run(LOSSES[:4]).log_history, 40, 40, {"seconds": {"30": 9.0, "40": 12.0}})
    found = outcome(run, stop_when="time_budget(10)")
    assert (found.stop and found.stop.step) == 40
    assert outcome(run, stop_when="time_budget(13)").stop is None


@pytest.mark.parametrize(
    ("usage", "stop_when", "amount"),
    [
        (None, "time_budget(5)", "5 seconds"),
        ({"seconds": {}}, "patience(1) or time_budget('1min')", "60 seconds"),
        ({"seconds": {"10": 1.0}}, "flop_budget(1e9)", r"1e\+09 flos"),
        ({"seconds": {"10": 1.0}, "tokens": {"10": 0.0, "20": 0.0}}, "token_budget(7)", "7 tokens"),  # not counted
    ],
)
def test_a_budget_of_which_a_run_recorded_no_use_is_refused(usage: Any, stop_when: str, amount: str) -> None:
    run = PastRun("a", past_run().log_history, 70, 70, usage)
    words = rf"^a, stop_when=.*: a budget of {amount} cannot be judged.*: replay it without the budget$"
    with pytest.raises(StrategyError, match=words):
        outcome(run, stop_when=stop_when)
    assert outcome(run, patience=1).stop is not None


# What a state holds besides training


def state_of(*entries: dict[str, Any], steps: int, **records: dict[str, Any]) -> dict[str, Any]:
    """What `trainer_state.json` holds; ``records`` by their keys."""
    return {"log_history": list(entries), "global_step": steps, "max_steps": 100, "stateful_callbacks": records}


def evaluated(*steps: int) -> list[dict[str, Any]]:
    return [{"eval_loss": 1 / step, "step": step} for step in steps]


def ended(step: int) -> dict[str, Any]:
    return {"train_runtime": 1.0, "train_loss": 0.5, "step": step}


@pytest.mark.parametrize(
    ("log", "steps"),
    [
        ([*evaluated(10, 20), {"loss": 1.0, "step": 25}, ended(25), *evaluated(25)], [10, 20]),
        # resumed after it had ended: what comes at a later step is training again
        ([*evaluated(10), ended(15), *evaluated(15, 20, 30), ended(35), *evaluated(35)], [10, 20, 30]),
        ([*evaluated(10), ended(15), *evaluated(15, 20)], [10, 20]),  # and not ended yet
        ([*evaluated(10), ended(15), *evaluated(15), ended(15), *evaluated(15)], [10]),
        (evaluated(10, 20), [10, 20]),
    ],
)
def test_the_evaluation_of_the_final_model_is_none_of_training(log: list[dict[str, Any]], steps: list[int]) -> None:
    run = PastRun.of_state("a", state_of(*log, steps=log[-1]["step"]))
    assert [entry["step"] for entry in run.log_history if "eval_loss" in entry] == steps
    assert run.steps == log[-1]["step"]


STOPPED = {"stopped": True, "stop_step": 30}
COOLED = {"phase": "over", "stopped": False, "stop_step": None, "cooldown_start": 20, "cooldown_end": 30}


@pytest.mark.parametrize(
    "records",
    [{"early_stopping": STOPPED}, {"plateau_cooldown": COOLED}, {"plateau_cooldown": COOLED | STOPPED}],
    ids=["stopped", "cooled down to the budget", "cooled down"],
)
@pytest.mark.parametrize(("made", "end"), [(30, 30), (31, 30), (40, 40)])  # 40: trained on without the callback
def test_the_one_step_of_a_run_that_had_ended_and_was_resumed_is_none_of_training(
    records: dict[str, Any], made: int, end: int
) -> None:
    log = [*evaluated(10, 20, 30), {"loss": 1.0, "step": made}, ended(made), *evaluated(made)]
    run = PastRun.of_state("a", state_of(*log, steps=made, **records))
    assert run.steps == end
    assert max(entry["step"] for entry in run.log_history) == end
    assert [entry["step"] for entry in run.log_history if "eval_loss" in entry] == [10, 20, 30]


@pytest.mark.parametrize(
    "records", [{"Others": STOPPED}, {"early_stopping": STOPPED | {"stopped": False, "stop_step": None}}]
)
def test_a_run_that_no_callback_has_ended_ends_with_its_last_step(records: dict[str, Any]) -> None:
    assert PastRun.of_state("a", state_of(*evaluated(10, 20, 30), steps=31, **records)).steps == 31


def test_the_grid_is_the_product_and_the_last_list_varies_fastest() -> None:
    settings = grid("loss", min_delta=[0, 0.1], patience=[1, "2ep"], smoothing=[None, "median(3)"])
    assert [list(setting.values.values()) for setting in settings] == [
        [patience, delta, smoothing]
        for patience in ("1", "2ep")
        for delta in ("0", "0.1")
        for smoothing in ("none", "median(3)")
    ]
    assert settings[-1].rule == StoppingRule.read("loss", "patience('2ep')", min_delta=0.1, smoothing="median(3)")
    assert varying(settings) == ["patience", "min_delta", "smoothing"]


# Over runs


def test_means_are_over_runs_with_the_standard_error() -> None:
    # given up: 0.2 and 0.0; saved: 1 - 30/70 and 1 - 20/40
    runs = [past_run(), past_run([0.5, 0.6, 0.7, 0.8], name="b", planned=50)]
    one, four = summarise(replay(runs, grid("loss", patience=[1, 4])))
    assert (one.runs, one.stopped, one.ran_on) == (2, 2, 0)
    assert one.saved == pytest.approx((4 / 7 + 1 / 2) / 2)
    assert one.kept == pytest.approx(0.5)
    # of 0.2 and 0.0: s = 0.2 / sqrt(2), s / sqrt(2) = 0.1
    assert (one.given_up, one.given_up_error) == (pytest.approx(0.1), pytest.approx(0.1))
    assert (four.stopped, four.ran_on, four.saved, four.given_up) == (0, 1, 0.0, 0.0)


def test_one_run_suggests_the_cheapest_setting_that_keeps_its_best() -> None:
    found = suggest(summarise(replay([past_run()], grid("loss", patience=[4, 3, 2, 1]))))
    assert found is not None
    assert (found.summary.setting.values, found.tolerance, found.within) == ({"patience": "2"}, 0.0, True)


@pytest.mark.parametrize(
    ("tolerance", "patience", "within"),
    [
        (None, "2", True),  # 0.01
        (0.19, "2", True),
        (0.21, "1", True),  # patience 1 gives up 0.1, with a standard error of 0.1
        ("1", "1", True),
    ],
)
def test_several_runs_suggest_what_saves_most_within_the_tolerance(
    tolerance: Any, patience: str, within: bool
) -> None:
    runs = [past_run(), past_run([0.5, 0.6, 0.7, 0.8], name="b")]
    found = suggest(summarise(replay(runs, grid("loss", patience=[1, 2, 3]))), tolerance)
    assert found is not None
    assert (found.summary.setting.values["patience"], found.within) == (patience, within)


def test_one_ruined_run_among_many_rules_a_setting_out() -> None:
    # Patience 1 keeps the best of nine runs and nothing of the tenth: 0.1, and a standard error of 0.1.
    fine = [past_run([0.9, 0.5, 0.6, 0.7, 0.8], name=str(k)) for k in range(9)]
    runs = [*fine, past_run([0.9, 1.0, 0.1, 0.2, 0.3], name="ruined")]
    found = suggest(summarise(replay(runs, grid("loss", patience=[1, 2]))), 0.15)
    assert found is not None
    assert found.summary.setting.values["patience"] == "2"


def test_where_every_setting_gives_up_too_much_the_least_is_suggested_and_told() -> None:
    found = suggest(summarise(replay([past_run([0.9, 0.8, 0.9, 0.9, 0.1])], grid("loss", patience=[1, 2]))))
    assert found is not None
    assert not found.within
    assert found.summary.setting.values["patience"] == "1"  # both give up the same, and it saves more


def test_a_metric_that_never_is_finite_suggests_nothing() -> None:
    never = past_run([math.nan, math.inf, math.nan])
    summaries = summarise(replay([never], grid("loss", stop_when=["divergence"])))
    assert (summaries[0].stopped, summaries[0].kept, summaries[0].given_up) == (1, None, None)
    assert suggest(summaries) is None


# Mistakes


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ([1], "a has no log_history: give a trainer_state.json"),
        ({}, "a has no log_history"),
        ({"log_history": [1]}, "a has no log_history"),
        ({"log_history": [{"step": "x"}]}, "a has step='x', no number of steps"),
        ({"log_history": [], "max_steps": 1.5}, r"a has max_steps=1\.5, no number of steps"),
    ],
)
def test_what_is_no_state_of_a_trainer_is_told(state: Any, words: str) -> None:
    with pytest.raises(StrategyError, match=words):
        PastRun.of_state("a", state)


@pytest.mark.parametrize(
    ("log", "settings", "words"),
    [
        ([{"loss": 1.0, "step": 1}], {"patience": [1]}, "a has no evaluation in its log"),
        (
            [{"eval_los": 1.0, "eval_runtime": 1.0, "step": 1}],
            {"patience": [1]},
            "a has no 'eval_loss' in its log: did you mean 'los'",
        ),
        ([{"eval_loss": 1.0, "step": 1}] * 2, {"patience": [1]}, "a has 1 evaluation of eval_loss: a replay takes 2"),
        (
            [{"eval_loss": 1.0, "step": step} for step in (1, 2)],
            {"stop_when": ["target(0.9, monitor=accuracy)"]},
            "a has no 'eval_accuracy' in its log: known: 'loss'",
        ),
        (
            [{"eval_loss": 1.0, "step": step} for step in (1, 2)],
            {"patience": [0.1]},
            r"a, patience=0\.1: a patience that is a fraction of training needs its planned steps",
        ),
    ],
)
def test_a_run_that_cannot_be_replayed_is_told_by_name(
    log: list[dict[str, Any]], settings: dict[str, list[Any]], words: str
) -> None:
    with pytest.raises(StrategyError, match=words):
        replay([PastRun("a", log, 2)], grid("loss", **settings))


@pytest.mark.parametrize(
    ("lists", "words"),
    [
        ({}, "neither patience nor stop_when is given"),
        ({"patience": [1], "stop_when": ["target(1)"]}, "both patience and stop_when are given"),
        ({"patience": [1], "min_delta": []}, "min_delta is an empty list"),
        ({"patience": [1], "delta": [1]}, "delta is no list of a replay's grid: give patience, stop_when, min_delta"),
        ({"patience": [0]}, "patience=0 is out of range"),
        ({"patience": [1], "samples": 100}, "samples=100 has no effect without z: give that too"),
        ({"patience": [1], "samples": 100, "z": [0]}, "samples=100 has no effect without z"),
        ({"patience": ["x"]}, "patience='x' is no length of training"),
        ({"patience": [1], "min_delta": [0, -1]}, "min_delta=-1 is out of range"),
        (
            {"patience": range(1, 102), "min_delta": range(10)},
            f"101 patience x 10 min_delta make 1010 settings, more than {MOST_SETTINGS}: give fewer",
        ),
    ],
)
def test_a_grid_that_makes_no_sense_is_told(lists: dict[str, Any], words: str) -> None:
    with pytest.raises(StrategyError, match=words):
        grid("loss", **lists)


@pytest.mark.parametrize("tolerance", [-0.1, 1.5, "much"])
def test_a_tolerance_is_a_share(tolerance: Any) -> None:
    with pytest.raises(StrategyError, match="tolerance="):
        suggest(summarise(replay([past_run()], grid("loss", patience=[1]))), tolerance)


# Against a live run


@pytest.mark.parametrize("patience", [1, 2, 3])
def test_a_replay_of_a_whole_run_agrees_with_a_live_run_that_stops(patience: int, make_trainer: Any) -> None:
    from hf_strategies import EarlyStopping

    scores = [0.1, 0.5, 0.4, 0.6, 0.3, 0.55, 0.2, 0.7]
    options = {"eval_strategy": "steps", "eval_steps": 3, "max_steps": 24}
    whole = make_trainer(scores, folder="whole", **options)
    whole.train()
    stopping = EarlyStopping("score", patience=patience, mode="max")
    live = make_trainer(scores, folder="live", callbacks=[stopping], **options)
    live.train()
    record = live.state.stateful_callbacks["early_stopping"]
    for trainer in (whole, live):
        found = outcome(PastRun.of_state("a", vars(trainer.state)), "score", "max", patience=patience)
        assert found.kept is not None
        assert (found.kept.step, found.kept.value) == (record["best_step"], record["best_value"])
        assert (found.stop and found.stop.step) == record["stop_step"]
        assert (record["stop_step"] or 24) == live.state.global_step


def test_a_finished_run_that_was_resumed_and_evaluated_is_replayed_as_it_was(make_trainer: Any) -> None:
    from hf_strategies import EarlyStopping

    scores = [0.1, 0.5, 0.4, 0.6]
    options = {"eval_strategy": "steps", "eval_steps": 3, "max_steps": 24, "save_strategy": "steps", "save_steps": 3}
    runs = []
    for resume in (False, True):
        callbacks = [EarlyStopping("score", patience=1, mode="max")]
        trainer = make_trainer(scores, callbacks=callbacks, **options)
        trainer.train(resume_from_checkpoint=resume)
        trainer.evaluate()
        runs.append(PastRun.of_state("a", vars(trainer.state)))
    whole, again = runs
    assert whole.steps == again.steps == 9
    found = [outcome(run, "score", "max", patience=9) for run in runs]
    assert [[each.step for each in one.judgement.history] for one in found] == [[3, 6, 9]] * 2
