"""Scripts of others with our schedules and callbacks: in one process, in the processes that it starts, in two."""

import json
import os
import sys
from pathlib import Path

import pytest

from hf_strategies.cli.main import main
from hf_strategies.schedules import schedule
from tests.launch.commands import SCRIPT, TRAINING, python, run, state_of
from tests.two_processes import ON_CPU

STEP = "exponential_warmup_step_decay"
NAMED = ["--learning_rate", "0.01", "--lr_scheduler_type", STEP, "--warmup_steps", "2"]
EACH_STEP = ["--eval_strategy", "steps", "--eval_steps", "1"]
SCORES = ["--scores", "0.1", "0.5", "0.4", "0.3", "0.2", "0.1", "0.1", "0.1"]


def test_the_learning_rates_are_those_of_the_schedule_and_the_run_stops_early(tmp_path: Path) -> None:
    strategy = ["--early_stopping_patience", "3", "--early_stopping_monitor", "score", "--early_stopping_mode", "max"]
    done = run([*strategy, SCRIPT, *TRAINING, *NAMED, *EACH_STEP, *SCORES], tmp_path)
    assert done.returncode == 0, done.stderr
    state = state_of(done)
    # The best score is that of step 2, and three evaluations are worse.
    assert state["steps"] == 5
    assert state["records"]["early_stopping"]["best_step"] == 2
    assert state["rates"] == schedule(STEP, total_steps=8, warmup_steps=2).learning_rates(0.01)[:5]
    assert "argv ['--output_dir', 'out']" in done.stderr
    assert "warning: no Trainer" not in done.stderr


def test_without_flags_the_names_are_valid_and_no_callback_is_added(tmp_path: Path) -> None:
    state = state_of(run([SCRIPT, *TRAINING, *NAMED], tmp_path))
    plain = state_of(python([SCRIPT, *TRAINING, "--learning_rate", "0.01"], tmp_path))
    assert state["callbacks"] == plain["callbacks"]
    assert state["rates"] == schedule(STEP, total_steps=8, warmup_steps=2).learning_rates(0.01)


def test_outside_of_a_run_nothing_is_valid(tmp_path: Path) -> None:
    done = python([SCRIPT, *TRAINING, *NAMED], tmp_path)
    assert done.returncode == 2
    assert "invalid choice" in done.stderr


def test_processes_that_a_command_starts_have_names_and_callbacks(tmp_path: Path) -> None:
    # A shell that starts Python that starts Python.
    inner = f"{sys.executable} {SCRIPT} {' '.join([*TRAINING, *NAMED, *EACH_STEP])}"
    outer = f"import subprocess, sys; sys.exit(subprocess.run({inner.split()!r}).returncode)"
    command = ["--", "sh", "-c", f'{sys.executable} -c "{outer}"; exit 5']
    done = run(["--early_stopping_patience", "9", *command], tmp_path)
    assert done.returncode == 5
    state = state_of(done)
    assert state["records"]["early_stopping"]["stopped"] is False
    assert state["rates"] == schedule(STEP, total_steps=8, warmup_steps=2).learning_rates(0.01)


def test_under_accelerate_launch_two_processes_stop_together(tmp_path: Path) -> None:
    launch = ["accelerate.commands.launch", "--multi_gpu", "--num_processes", "2", "--num_machines", "1"]
    launch += ["--mixed_precision", "no", "--dynamo_backend", "no", "-m", "hf_strategies", "run"]
    # No improvement is as large as this: training stops after the second evaluation.
    strategy = ["--report", "--early_stopping_patience", "1", "--early_stopping_min_delta", "100"]
    words = [word for word in TRAINING if word != "--use_cpu"]
    done = python(["-m", *launch, *strategy, SCRIPT, *words, *NAMED, *EACH_STEP], tmp_path, variables=ON_CPU)
    assert done.returncode == 0, done.stderr[-3000:]
    state = state_of(done)
    assert (state["world"], state["steps"]) == (2, 2)
    assert done.stderr.count("argv") == 2
    report = json.loads((tmp_path / "out" / "strategy_report.json").read_text())
    assert (report["end"]["kind"], report["settings"]["processes"]) == ("stopped early", "2")
    assert (tmp_path / "out" / "strategy_report.png").is_file()


@pytest.mark.slow
def test_what_accelerate_launch_starts_under_a_run_has_them_too(tmp_path: Path) -> None:
    accelerate = Path(sys.executable).with_name("accelerate")
    launch = ["--", str(accelerate), "launch", "--multi_gpu", "--num_processes", "2", "--num_machines", "1"]
    launch += ["--mixed_precision", "no", "--dynamo_backend", "no", SCRIPT]
    words = [word for word in TRAINING if word != "--use_cpu"]
    strategy = ["--early_stopping_patience", "1", "--early_stopping_min_delta", "100"]
    done = run([*strategy, *launch, *words, *NAMED, *EACH_STEP], tmp_path, variables=ON_CPU)
    assert done.returncode == 0, done.stderr[-3000:]
    assert (state_of(done)["world"], state_of(done)["steps"]) == (2, 2)
    assert "warning: no Trainer" not in done.stderr


class TestMistakes:
    @pytest.mark.parametrize(
        ("words", "line"),
        [
            ([], "nothing to run: give SCRIPT, -m MODULE or -- COMMAND"),
            (["--early_stopping_patience"], "--early_stopping_patience has no value"),
            (["--early_stoping_patience", "3", SCRIPT], "did you mean '--early_stopping_patience'"),
            (["--early_stopping_patience", "0", SCRIPT], "patience='0'"),
            (["--average_weights", "emma", SCRIPT], "did you mean 'ema'"),
            (["--early_stopping_min_delta", "x", SCRIPT], "invalid float value: 'x'"),
            (["nowhere.py"], "the script 'nowhere.py' is not there"),
            (["--", "no-such-command"], "no command 'no-such-command' is installed"),
            (["-c", "print(1)"], "-c stands where SCRIPT"),
        ],
    )
    def test_it_is_one_line(self, words: list[str], line: str, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["run", *words]) == 2
        shown = capsys.readouterr()
        assert shown.out == ""
        assert shown.err.startswith("error: ")
        assert line in shown.err
        assert shown.err.count("\n") == 1

    def test_it_comes_before_the_program_starts(self, tmp_path: Path) -> None:
        (tmp_path / "program.py").write_text("print('started')\n")
        done = run(["--early_stopping_patience", "0", "program.py"], tmp_path)
        assert (done.returncode, done.stdout) == (2, "")

    def test_a_setting_that_the_arguments_do_not_allow_is_one_line(self, tmp_path: Path) -> None:
        done = run(["--early_stopping_patience", "3", SCRIPT, *TRAINING], tmp_path)  # it never evaluates
        assert done.returncode == 2
        assert "Traceback" not in done.stderr
        assert "error: " in done.stderr
        assert "eval_strategy" in done.stderr

    def test_flags_without_a_trainer_are_not_ignored_in_silence(self, tmp_path: Path) -> None:
        (tmp_path / "no_trainer.py").write_text("print('done')\n")
        done = run(["--early_stopping_patience", "3", "no_trainer.py"], tmp_path)
        assert (done.returncode, done.stdout) == (0, "done\n")
        assert done.stderr == "warning: no Trainer was made, so that --early_stopping_patience 3 had no effect\n"

    def test_no_file_is_left_behind(self, tmp_path: Path) -> None:
        (tmp_path / "no_trainer.py").write_text("print('done')\n")
        run(["--early_stopping_patience", "3", "no_trainer.py"], tmp_path, variables={"TMPDIR": str(tmp_path)})
        # torch 2.6 leaves a folder tmp... of its own.
        assert [name for name in os.listdir(tmp_path) if not name.startswith("tmp")] == ["no_trainer.py"]
