"""The report of a run, from a trainer_state written by hand."""

from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from hf_strategies.report.run.logged_run import LoggedRun
from hf_strategies.report.run.recorded_run import RecordedRun
from hf_strategies.report.run.runs_figure import draw_runs
from hf_strategies.report.run.tables import comparison_table, evaluation_table, print_run
from tests.report.run.states import RECORD, evaluation, printed, state


def shown(report: RecordedRun, test: dict[str, dict[str, float]]) -> str:
    console = Console(width=200)
    with console.capture() as captured:
        print_run(report, test, console)
    return captured.get()


def test_evaluations_have_the_metrics_and_no_timings() -> None:
    report = RecordedRun.of_state(state())
    assert report.evaluations[0] == {"step": 10, "epoch": 1.0, "eval_loss": 0.5, "eval_accuracy": 0.75}
    assert [row["step"] for row in report.evaluations] == [10, 20, 30]


def test_two_evaluations_at_one_step_count_once_and_the_first_of_them() -> None:
    twice = state()
    twice["log_history"].insert(2, evaluation(10, 99.0, 0.0))
    assert RecordedRun.of_state(twice).evaluations == RecordedRun.of_state(state()).evaluations


def test_the_evaluation_of_the_final_model_is_no_evaluation_of_the_run() -> None:
    final = state(RECORD)
    final["log_history"][-1] = {"step": 35, "epoch": 3.5, "train_loss": 0.5, "train_runtime": 10.0}
    final["log_history"].append(evaluation(35, 0.5, 0.75))
    assert RecordedRun.of_state(final).evaluations == RecordedRun.of_state(state()).evaluations


@pytest.mark.parametrize("stopped", [True, False])
def test_the_one_step_of_a_finished_run_that_was_resumed_is_not_shown(stopped: bool) -> None:
    cooled = {"phase": "over", "trigger": "plateau", "cooldown_start": 20, "cooldown_end": 30, "drops": []}
    resumed = state()
    resumed["log_history"][-1:] = [
        {"step": 31, "epoch": 3.1, "loss": 0.5, "learning_rate": 0.0},
        {"step": 31, "epoch": 3.1, "train_loss": 0.5, "train_runtime": 1.0},
        evaluation(31, 0.5, 0.75),
    ]
    ended = {"stopped": stopped, "stop_step": 30 if stopped else None}
    resumed["stateful_callbacks"]["plateau_cooldown"] = RECORD | cooled | ended
    report = RecordedRun.of_state(resumed)
    lines = [line[0] for line in printed(evaluation_table(report)) if line[-1].endswith(("cooldown", "starts"))]
    assert lines == ["20", "30"]
    assert report.learning_rates == RecordedRun.of_state(state()).learning_rates


def test_learning_rates_are_the_logged_ones_with_their_steps() -> None:
    assert RecordedRun.of_state(state()).learning_rates == [(5, 10 * 1e-5), (15, 20 * 1e-5), (25, 30 * 1e-5)]


def test_the_table_has_a_line_per_evaluation_and_marks_the_best_and_the_stop() -> None:
    lines = [line for line in printed(evaluation_table(RecordedRun.of_state(state(RECORD)))) if len(line) == 5]
    assert lines == [
        ["step", "epoch", "loss", "accuracy", ""],
        ["10", "1.00", "0.5000", "0.7500", "best"],
        ["20", "2.00", "0.4000", "0.7000", ""],
        ["30", "3.00", "0.6000", "0.7250", "stop"],
    ]


def test_an_evaluation_can_be_both_the_best_and_the_stop() -> None:
    both = RECORD | {"best_step": 30}
    lines = printed(evaluation_table(RecordedRun.of_state(state(both))))
    assert [line[-1] for line in lines if line[0] in ("10", "20", "30")] == ["", "", "best, stop"]


def test_without_a_record_nothing_is_marked_and_the_budget_ended_training() -> None:
    report = RecordedRun.of_state(state())
    assert [line[-1] for line in printed(evaluation_table(report)) if line[0] in ("10", "20", "30")] == ["", "", ""]
    assert report.ending == "Trained to the end of the budget, at step 30."
    assert report.monitor == "eval_loss"


def test_a_record_that_did_not_stop_ends_with_the_budget_too() -> None:
    report = RecordedRun.of_state(state(RECORD | {"stopped": False, "stop_step": None, "reason": "Not stopped."}))
    assert report.ending == "Trained to the end of the budget, at step 30. Not stopped."
    assert report.monitor == "eval_accuracy"


def test_the_callback_states_of_others_are_no_record() -> None:
    others = state() | {"stateful_callbacks": {"EarlyStoppingCallback": {"args": {}}, "TrainerControl": {}}}
    assert RecordedRun.of_state(others).record is None
    assert RecordedRun.of_state({"log_history": []}).record is None


def test_what_is_printed_says_why_it_ended_what_was_best_and_how_it_compares() -> None:
    text = shown(
        RecordedRun.of_state(state(RECORD)), {"this model": {"accuracy": 0.7}, "majority": {"accuracy": 0.5}}
    )
    assert RECORD["reason"] in text
    assert "Best: eval_accuracy = 0.7500 at step 10 (epoch 1.00)." in text
    assert "Test set" in text
    assert text.index("this model") < text.index("majority")


def test_the_final_weights_are_named_where_they_are_known() -> None:
    console = Console(width=100, record=True)
    with console.capture() as captured:
        print_run(RecordedRun.of_state(state(RECORD)), {}, console, weights="the last ones, of step 30")
    assert "Final weights: the last ones, of step 30." in captured.get()
    assert "Final weights" not in shown(RecordedRun.of_state(state(RECORD)), {})


def test_a_metric_that_never_was_finite_has_no_best() -> None:
    record = RECORD | {"best_step": None, "best_epoch": None, "best_value": None}
    text = shown(RecordedRun.of_state(state(record)), {})
    assert "Stopped early" in text
    assert "Best:" not in text


def test_a_model_that_was_only_evaluated_was_not_trained() -> None:
    report = RecordedRun.of_state({"log_history": [evaluation(0, 0.5, 0.75)]})
    assert not report.trained
    assert report.ending == "Not trained."
    assert RecordedRun.of_state(state()).trained


def test_a_run_without_training_prints_the_test_metrics_alone() -> None:
    text = shown(RecordedRun.of_state({"log_history": []}), {"this model": {"accuracy": 0.7}})
    assert "0.7000" in text
    assert "Trained" not in text
    assert "Evaluations" not in text


def test_a_comparison_shows_a_dash_where_a_metric_is_missing() -> None:
    table = comparison_table("Test set", {"one": {"accuracy": 0.5}, "other": {"accuracy": 0.25, "macro_f1": 1.0}})
    assert [line for line in printed(table) if len(line) == 3] == [
        ["", "accuracy", "macro_f1"],
        ["one", "0.5000", "-"],
        ["other", "0.2500", "1.0000"],
    ]


class TestFigure:
    """The drawing of a run; matplotlib is an extra."""

    @pytest.fixture(autouse=True)
    def _needs_matplotlib(self) -> None:
        pytest.importorskip("matplotlib")

    @staticmethod
    def draw(of: dict[str, Any], file: Path) -> Any:
        from matplotlib.image import imread

        draw_runs([LoggedRun.of_state("run", of)], file, title="a schedule", metrics=["eval_loss", "eval_accuracy"])
        return imread(file)

    @pytest.mark.parametrize("record", [RECORD, None], ids=["stopped", "no record"])
    def test_it_is_an_image_of_the_size_asked_for_with_something_on_it(
        self, record: dict[str, Any] | None, tmp_path: Path
    ) -> None:
        image = self.draw(state(record), tmp_path / "run.png")
        assert image.shape == (720, 960, 4)
        assert image.min() < 0.1 < 0.9 < image.max()

    def test_best_and_stop_are_drawn(self, tmp_path: Path) -> None:
        marked = self.draw(state(RECORD), tmp_path / "marked.png")
        unmarked = {**RECORD, "best_step": None, "stop_step": None}
        assert (marked != self.draw(state(unmarked), tmp_path / "unmarked.png")).any()

    @pytest.mark.parametrize(
        "missing", [("learning_rate",), ("eval_loss", "eval_accuracy"), ("learning_rate", "loss", "eval_loss")]
    )
    def test_a_log_that_lacks_a_curve_is_drawn_without_it(self, missing: tuple[str, ...], tmp_path: Path) -> None:
        thin = state()
        thin["log_history"] = [
            {key: value for key, value in entry.items() if key not in missing} for entry in thin["log_history"]
        ]
        assert self.draw(thin, tmp_path / "run.png").shape == (720, 960, 4)

    def test_the_ending_of_the_name_tells_the_format(self, tmp_path: Path) -> None:
        draw_runs([LoggedRun.of_state("run", state(RECORD))], tmp_path / "run.svg")
        assert "<svg" in (tmp_path / "run.svg").read_text(encoding="utf-8")


def test_brackets_in_names_are_no_markup_and_no_escape_reaches_the_terminal() -> None:
    name = "[bold]score[/bold] [/x] :smile:"
    entry = {"step": 10, "epoch": 1.0, f"eval_{name}": 0.5}
    reason = f"Stopped early at step 10 (epoch 1.00): eval_{name} has not improved."
    text = shown(
        RecordedRun.of_state(
            {
                "log_history": [entry],
                "stateful_callbacks": {"early_stopping": RECORD | {"monitor": f"eval_{name}", "reason": reason}},
            }
        ),
        {"a [red]model[/red]\x1b[2J": {f"{name}_2": 0.5}},
    )
    assert reason in text
    assert f"Best: eval_{name} = 0.7500" in text
    assert f" {name} " in text
    assert f" {name}_2 " in text
    assert "a [red]model[/red]\\x1b[2J" in text
