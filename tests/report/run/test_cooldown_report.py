"""What the report says and draws of a run with a cooldown."""

from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from hf_strategies.report.run.logged_run import LoggedRun
from hf_strategies.report.run.recorded_run import RecordedRun
from hf_strategies.report.run.runs_figure import draw_runs
from hf_strategies.report.run.tables import evaluation_table, print_run
from tests.report.run.states import RECORD, printed, state

KEY = "plateau_cooldown"
REASON = "Cooled down from step 20 to 30: eval_accuracy has not improved for 1 evaluation; best 0.75 at step 10."
COOLDOWN: dict[str, Any] = RECORD | {
    "reason": REASON,
    "phase": "over",
    "trigger": "plateau",
    "cooldown_start": 20,
    "cooldown_end": 30,
    "drops": [],
}


def cooled_state(stopping: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    found = state(stopping)
    found["stateful_callbacks"][KEY] = COOLDOWN | changes
    return found


def cooled(stopping: dict[str, Any] | None = None, **changes: Any) -> RecordedRun:
    return RecordedRun.of_state(cooled_state(stopping, **changes))


def test_its_reason_is_the_ending() -> None:
    assert cooled().ending == REASON
    assert cooled().monitor == "eval_accuracy"


def test_when_the_budget_started_it_that_is_the_ending_too() -> None:
    found = cooled(stopped=False, stop_step=None, trigger="budget", reason="Cooled down from step 20 to 30: ...")
    assert found.ending == "Cooled down from step 20 to 30: ..."


def test_early_stopping_that_ended_it_has_the_last_word() -> None:
    assert cooled(RECORD).ending == RECORD["reason"]
    assert cooled(RECORD | {"stopped": False}).ending == REASON


def test_the_table_marks_where_it_starts_and_what_lies_in_it() -> None:
    lines = [line[-1] for line in printed(evaluation_table(cooled())) if line[0] in ("10", "20", "30")]
    assert lines == ["best", "cooldown starts", "stop, cooldown"]
    held = [line[-1] for line in printed(evaluation_table(cooled(phase="hold"))) if line[0] in ("20", "30")]
    assert held == ["", "stop"]


def test_what_is_printed_names_the_steps() -> None:
    console = Console(width=120, record=True)
    with console.capture() as captured:
        print_run(cooled(), {}, console)
    assert REASON in captured.get()
    assert "Best: eval_accuracy = 0.7500 at step 10 (epoch 1.00)." in captured.get()


class TestFigure:
    """The marks in the drawing; matplotlib is an extra."""

    @pytest.fixture(autouse=True)
    def _needs_matplotlib(self) -> None:
        pytest.importorskip("matplotlib")

    @staticmethod
    def words(state: dict[str, Any], file: Path) -> str:
        import matplotlib

        with matplotlib.rc_context({"svg.fonttype": "none"}):  # text that is kept as text
            draw_runs([LoggedRun.of_state("run", state)], file, metrics=["eval_accuracy"])
        return file.read_text(encoding="utf-8")

    def test_the_start_is_marked_with_what_triggered_it(self, tmp_path: Path) -> None:
        drawn = self.words(cooled_state(), tmp_path / "run.svg")
        assert drawn.count(">plateau, cooldown starts: step 20<") == 1
        assert drawn.count(">stop: step 30<") == 1
        assert ">budget, cooldown starts: step 20<" in self.words(
            cooled_state(trigger="budget"), tmp_path / "run.svg"
        )

    def test_reductions_before_it_are_marked(self, tmp_path: Path) -> None:
        drawn = self.words(cooled_state(drops=[10, 15]), tmp_path / "run.svg")
        assert "plateau 1, rate lowered; best: step 10" in drawn
        assert "plateau 2, rate lowered: step 15" in drawn

    def test_a_cooldown_that_did_not_start_is_not_marked(self, tmp_path: Path) -> None:
        assert "cooldown starts" not in self.words(cooled_state(phase="hold"), tmp_path / "run.svg")


def test_the_end_of_a_cooldown_that_was_kept_is_not_called_the_best() -> None:
    def word(**steps: int) -> str:
        return RecordedRun([], {"stopped": True, **steps}).kept_word

    assert word(best_step=60, cooldown_end=60) == "kept"
    assert word(best_step=50, cooldown_end=60) == "best"
    assert word(best_step=60) == "best"  # early stopping has no cooldown
    assert RecordedRun([], None).kept_word == "best"
