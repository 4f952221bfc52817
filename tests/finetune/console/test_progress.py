"""What a recipe shows: on a terminal, in a file, with `disable_tqdm`, on two processes, and after a resume."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from transformers import TrainerControl, TrainerState, TrainingArguments

from hf_strategies.finetune.console.progress import RecipeProgress
from hf_strategies.recipes import text_classification
from tests.conftest import CHECKOUT
from tests.finetune.runs import logged, reviews, write_csv_splits
from tests.terminal import in_terminal

pyte = pytest.importorskip("pyte")

EACH = ["--use_cpu", "--report_to", "none", "--max_steps", "6", "--eval_strategy", "steps", "--eval_steps", "2"]
PATIENCE = ["--early_stopping_patience", "1", "--early_stopping_monitor", "accuracy"]
STOPPING = [*PATIENCE, "--early_stopping_min_delta", "9"]  # no improvement is as large as this
ROW = re.compile(r" +(\d+) +[\d.]+ +\d\.\d\de-\d\d +[\d.]+ +[\d.]+ +[\d.]+")


@pytest.fixture
def flags(tmp_path: Path) -> list[str]:
    files = write_csv_splits(tmp_path, reviews)
    return [*files, *EACH, "--logging_steps", "1", "--max_length", "24", "--output_dir", str(tmp_path / "out")]


def screen(written: str, columns: int) -> list[str]:
    """The lines that a terminal shows in the end."""
    shown: Any = pyte.Screen(columns, 200)
    pyte.Stream(shown).feed(written.replace("\n", "\r\n"))
    return [line.rstrip() for line in shown.display if line.strip()]


def steps(lines: list[str]) -> list[int]:
    return [int(found[1]) for line in lines if (found := ROW.match(line))]


def test_on_a_terminal_rows_and_messages_have_lines_of_their_own_above_the_bar(flags: list[str]) -> None:
    written = in_terminal("-m", "tests.finetune.programs.warning_run", *flags, *STOPPING, columns=80)
    lines = screen(written, 80)
    assert steps(lines) == [2, 4]
    whole = ["a log in the middle", "a line in the middle", "half a line, and its other half"]
    assert [line for line in lines if "middle" in line or "half" in line][-3:] == whole
    assert "UserWarning: a warning" in "".join(lines)  # behind a path that may take a line of its own
    assert [line for line in lines if line.startswith("Stopped early at step 4")]
    # The bar has shown the rate and the best value, and is gone.
    assert re.search(r"lr \d\.\de-\d\d, best 0\.\d+ at 2, no improvement 1/1", written)
    assert not [line for line in lines if "lr " in line or "evaluation " in line]
    assert not [line for line in lines if "Evaluations on" in line]


def test_in_a_file_there_are_rows_and_neither_bars_nor_escapes(flags: list[str]) -> None:
    command = [sys.executable, "-m", "hf_strategies.recipes.text_classification", *flags]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert steps(done.stdout.splitlines()) == [2, 4, 6]
    for text in (done.stdout, done.stderr):
        assert "\r" not in text
        assert "\x1b" not in text
    assert "Evaluations on" not in done.stdout


@pytest.mark.slow
def test_in_continuous_integration_a_terminal_gets_no_bar(flags: list[str]) -> None:
    written = in_terminal("-m", "hf_strategies.recipes.text_classification", *flags, variables={"CI": "true"})
    assert steps(written.splitlines()) == [2, 4, 6]
    assert "\r" not in written


def test_quiet_is_quiet_until_the_table_at_the_end(flags: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    text_classification.main([*flags, "--disable_tqdm", "true"])
    printed = capsys.readouterr()
    assert printed.out.lstrip().startswith("Evaluations on the validation set")
    assert not steps(printed.out.splitlines())
    assert "\r" not in printed.err


def test_a_run_without_evaluations_has_a_row_for_each_log(
    flags: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    text_classification.main([*flags, "--eval_strategy", "no", "--logging_steps", "3"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["step", "epoch", "rate", "train"]
    assert [int(line.split()[0]) for line in lines[1:3]] == [3, 6]


def test_a_resumed_run_says_from_where_and_has_the_whole_table_at_the_end(
    flags: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    saving = ["--save_strategy", "steps", "--save_steps", "4"]
    text_classification.main([*flags, *saving, "--max_steps", "4", "--lr_scheduler_type", "constant"])
    capsys.readouterr()
    more = ["--resume_from_checkpoint", "last", "--lr_scheduler_type", "constant"]
    text_classification.main([*flags, *saving, *more])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "resumed at step 4 of 6"
    assert steps(lines) == [6]
    assert "Evaluations on the validation set" in "\n".join(lines)


def test_a_resumed_run_marks_as_best_what_is_better_than_all_before(
    flags: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    constant = ["--lr_scheduler_type", "constant", "--learning_rate", "0.02", "--save_strategy", "steps"]
    text_classification.main([*flags, *constant, "--save_steps", "4", "--max_steps", "4"])
    capsys.readouterr()
    out = Path(flags[flags.index("--output_dir") + 1])
    text_classification.main([*flags, *constant, "--resume_from_checkpoint", "last", "--max_steps", "10"])
    marked = {
        int(line.split()[0]): line.split()[6:] for line in capsys.readouterr().out.splitlines() if ROW.match(line)
    }
    losses = dict(logged(out, "eval_loss"))
    lowest = {step for step in losses if losses[step] < min([losses[each] for each in losses if each < step] or [99])}
    assert {step for step, words in marked.items() if "best" in words} == lowest & set(marked)
    assert set(marked) - lowest  # at least one is worse than one before the checkpoint
    assert not [step for step, words in marked.items() if "stop" in words]  # the budget ended, and nothing stopped it


def test_a_best_value_that_is_not_known_leaves_the_bar_without_one(tmp_path: Path) -> None:
    state = TrainerState(global_step=2, max_steps=4, log_history=[{"eval_loss": float("nan"), "step": 2}])
    record = {"monitor": "eval_loss", "best_step": 2, "best_value": None}
    for records in ({}, {"early_stopping": record}):
        state.stateful_callbacks = records
        progress, args = RecipeProgress(), TrainingArguments(str(tmp_path), use_cpu=True)
        progress.on_train_begin(args, state, TrainerControl())
        progress.on_evaluate(args, state, TrainerControl(), metrics={"eval_loss": float("nan")})
        progress.close()


def test_processes_other_than_the_first_write_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    state = TrainerState(global_step=0, max_steps=4, is_world_process_zero=False)
    progress, args, control = RecipeProgress(), TrainingArguments(str(tmp_path), use_cpu=True), TrainerControl()
    progress.on_train_begin(args, state, control)
    progress.on_log(args, state, control, logs={"loss": 1.0, "learning_rate": 0.1})
    progress.on_prediction_step(args, state, control, eval_dataloader=[1])
    progress.on_evaluate(args, state, control, metrics={"eval_loss": 1.0})
    progress.on_train_end(args, state, control)
    assert capsys.readouterr() == ("", "")


@pytest.mark.slow
def test_of_two_processes_one_writes_the_table(flags: list[str]) -> None:
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", "-m"]
    command = [*launcher, "hf_strategies.recipes.text_classification", *flags]
    environment = os.environ | {"ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(CHECKOUT)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    assert steps(done.stdout.splitlines()) == [2, 4, 6]


def test_what_warns_while_predictions_are_made_has_a_line_of_its_own(flags: list[str]) -> None:
    written = in_terminal("-m", "tests.finetune.programs.warning_prediction", *flags, columns=80)
    lines = screen(written, 80)
    assert lines.count("a line among the predictions") == 1
    assert "half a line among the predictions" in lines
    assert not [line for line in lines if "evaluation " in line or "Writing model shards" in line]


def test_an_error_in_predictions_leaves_the_streams_as_they_were(
    flags: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: Any, *_: Any, **__: Any) -> None:
        self.progress.on_prediction_step(self.args, self.state, self.control, eval_dataloader=[1, 2])
        raise RuntimeError("broken prediction")

    monkeypatch.setattr("transformers.Trainer.evaluation_loop", broken)
    monkeypatch.setattr("hf_strategies.finetune.console.progress.draws_bars", lambda: True)
    before = (sys.stdout, sys.stderr)
    with pytest.raises(RuntimeError, match="broken prediction"):
        text_classification.main([*flags, "--eval_strategy", "no", "--max_steps", "1"])
    assert (sys.stdout, sys.stderr) == before


def test_an_error_in_training_leaves_the_streams_as_they_were(
    flags: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("broken step")

    monkeypatch.setattr("transformers.Trainer.training_step", broken)
    monkeypatch.setattr("hf_strategies.finetune.console.progress.draws_bars", lambda: True)
    before = (sys.stdout, sys.stderr)
    with pytest.raises(RuntimeError, match="broken step"):
        text_classification.main(flags)
    assert (sys.stdout, sys.stderr) == before
