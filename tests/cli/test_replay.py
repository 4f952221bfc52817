"""The command ``replay``: what it reads and prints, what it loads, and each mistake by its words."""

import csv
import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from hf_strategies.cli.main import main

LOSSES = [0.9, 0.5, 0.6, 0.4, 0.55, 0.6, 0.7]
Run = Callable[..., str]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run the command in a folder of its own; it is to succeed, and what it printed is given."""
    monkeypatch.chdir(tmp_path)

    def command(*argv: str) -> str:
        assert main(["replay", *argv]) == 0
        printed = capsys.readouterr()
        assert printed.err == ""
        return printed.out

    return command


def write(
    file: str, values: Sequence[float] = LOSSES, *, planned: int | None = None, metric: str = "eval_loss"
) -> None:
    """Write the state of a run that was evaluated every 10 steps, in the current folder."""
    log = [
        {metric: value, "eval_f1": round(1 - value, 6), "eval_runtime": 1.0, "step": 10 * k, "epoch": k / 2}
        for k, value in enumerate(values, 1)
    ]
    made = 10 * len(values)
    state = {"log_history": log, "global_step": made, "max_steps": planned or made}
    Path(file).parent.mkdir(parents=True, exist_ok=True)
    Path(file).write_text(json.dumps(state), encoding="utf-8")


def cells(printed: str) -> list[list[str]]:
    """The lines of the tables, each cut at two spaces or more."""
    return [re.split(r"\s{2,}", line.strip()) for line in printed.splitlines() if re.match(r"\s*(#|\d+) ", line)]


def outcomes(printed: str, *keys: str) -> list[tuple[Any, ...]]:
    """Columns of the outcomes of ``--format json``."""
    return [tuple(row[key] for key in keys) for row in json.loads(printed)["outcomes"]]


def test_the_table_of_one_run_is_as_worked_out_by_hand(run: Run) -> None:
    write("a/trainer_state.json", planned=80)
    printed = run("a", "--patience", "1,2,4", "--secondary", "f1")
    assert cells(printed) == [
        ["#", "patience", "stop at step", "epoch", "best at step", "kept", "f1", "regret", "given up", "saved"],
        ["1", "1", "30", "1.50", "20", "0.5", "0.5", "0.1", "20.0 %", "57.1 %"],
        ["2", "2", "60", "3.00", "40", "0.4", "0.6", "0", "0.0 %", "14.3 %"],
        ["3", "4", "ran on", "-", "40", "0.4", "0.6", "0", "0.0 %", "0.0 %"],
    ]
    assert printed.startswith("eval_loss, lower is better: 3 settings, 1 run\n")
    assert "a: 7 evaluations, ended at step 70 of 80 planned; best 0.4 at step 40, epoch 2.00\n" in printed
    assert "ran on: the run ended before this setting would have stopped it, and what came after is not" in printed
    assert "suggested: patience=2 (#2), which saves 14.3 % of the steps\n" in printed
    assert "  the cheapest of the settings that keep the run's best value\n" in printed


def test_a_run_that_was_complete_did_not_run_on(run: Run) -> None:
    write("a.json")
    printed = run("a.json", "--patience", "4")
    assert cells(printed)[1][2] == "no stop"
    assert "ran on" not in printed


def test_several_runs_give_means_and_a_table_for_each_when_asked(run: Run) -> None:
    write("a.json")
    write("b.json", [0.5, 0.6, 0.7, 0.8], planned=50)
    means = [
        ["#", "patience", "stopped", "ran on", "kept", "given up", "+-", "saved"],
        ["1", "1", "2", "0", "0.5", "10.0 %", "10.0 %", "53.6 %"],
        ["2", "4", "0", "1", "0.45", "0.0 %", "0.0 %", "0.0 %"],
    ]
    printed = run("a.json", "b.json", "--patience", "1,4")
    assert cells(printed) == means
    assert "means over 2 runs" in printed
    assert "suggested: patience=4 (#2), which saves 0.0 % of the steps" in printed
    assert "plus its standard error, is at most 1.0 %" in printed
    longer = cells(run("a.json", "b.json", "--patience", "1,4", "--per_run"))
    assert longer[-3:] == means
    assert [row[2] for row in longer[:6]] == ["stop at step", "30", "no stop", "stop at step", "20", "ran on"]


def test_a_tolerance_that_nothing_meets_is_told(run: Run) -> None:
    write("a.json", [0.9, 0.8, 0.9, 0.9, 0.1])
    printed = run("a.json", "--patience", "1,2")
    assert "suggested: patience=1 (#1), which saves 40.0 % of the steps, though it gives up more than" in printed
    assert "no setting keeps the share given up to at most 0.0 %" in printed


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ((), [str(k) for k in range(1, 11)]),
        (("--patience", "1..3"), ["1", "2", "3"]),
        (("--patience", "1, 2,5"), ["1", "2", "5"]),
        (("--patience", "1", "--patience", "4..5"), ["1", "4", "5"]),
        (("--patience", "1..2ep"), ["1ep", "2ep"]),
        (("--patience", "1ep..2ep,0.5"), ["1ep", "2ep", "0.5"]),
        (("--patience", "10..11 steps"), ["10 steps", "11 steps"]),
        (("--patience", "2,2"), ["2"]),
    ],
)
def test_a_list_is_values_and_ranges(run: Run, flags: tuple[str, ...], expected: list[str]) -> None:
    write("a.json")
    assert outcomes(run("a.json", *flags, "--format", "json"), "patience") == [(value,) for value in expected]


def test_the_grid_is_the_product_of_all_lists(run: Run) -> None:
    write("a.json")
    lists = ("--min-delta", "0,0.2", "--smoothing", "none,median(3)", "--start-from", "0,1ep", "--patience", "2")
    printed = run(*lists, "a.json", "--format", "json")
    expected = [(d, s, f) for d in ("0", "0.2") for s in ("none", "median(3)") for f in ("0", "1ep")]
    assert outcomes(printed, "min_delta", "smoothing", "start_from") == expected
    assert run("a.json", *lists).startswith("eval_loss, lower is better, patience=2: 8 settings, 1 run\n")


def test_conditions_stand_in_place_of_a_patience(run: Run) -> None:
    write("a.json")
    conditions = ("generalisation_loss(45)", "patience(2) or target(0.5)")
    printed = run("a.json", "--format", "json", "--stop_when", *conditions)
    # 100 * (0.6 / 0.4 - 1) = 50 > 45 at step 60; 0.5 at step 20
    assert outcomes(printed, "stop_when", "stop_step") == [(conditions[0], 60), (conditions[1], 20)]


def test_noise_in_the_metric_is_a_list_too(run: Run) -> None:
    write("a.json", [0.5, 0.52, 0.54], metric="eval_accuracy")
    flags = ("--monitor", "accuracy", "--patience", "2", "--z", "0,2", "--samples", "100")
    # A standard error is 0.05.
    assert outcomes(run("a.json", *flags, "--format", "json"), "z", "stop_step") == [("0", None), ("2", 30)]


def test_an_unknown_direction_can_be_given(run: Run) -> None:
    write("a.json", metric="eval_score")
    printed = run("a.json", "--monitor", "score", "--mode", "min", "--patience", "1", "--format", "json")
    assert outcomes(printed, "stop_step", "kept") == [(30, 0.5)]


def test_of_a_folder_the_state_that_went_furthest_is_read(run: Run) -> None:
    def evaluations(folder: str) -> str:
        return re.findall(r"(\d+) evaluations", run(folder))[0]

    write("run/checkpoint-20/trainer_state.json", LOSSES[:2])
    write("run/checkpoint-100/trainer_state.json", [*LOSSES, 0.8, 0.8, 0.8])
    Path("run/checkpoint-200").mkdir()  # no state in it
    assert evaluations("run") == "10"
    assert evaluations("run/checkpoint-20") == "2"
    write("run/trainer_state.json", LOSSES)
    assert evaluations("run") == "10"
    write("run/trainer_state.json", [*LOSSES, 0.8, 0.8, 0.8, 0.8])
    assert evaluations("run") == "11"


def test_csv_is_a_line_for_each_run_and_setting(run: Run) -> None:
    write("a.json", planned=80)
    write("b.json", [0.5, 0.6])
    rows = list(csv.DictReader(io.StringIO(run("a.json", "b.json", "--patience", "1,4", "--format", "csv"))))
    assert [(row["run"], row["patience"], row["ended"], row["stop_step"], row["kept"]) for row in rows] == [
        ("a.json", "1", "stopped", "30", "0.5"),
        ("a.json", "4", "ran on", "", "0.4"),
        ("b.json", "1", "stopped", "20", "0.5"),
        ("b.json", "4", "no stop", "", "0.5"),
    ]


def test_json_holds_runs_means_and_the_suggestion(run: Run) -> None:
    write("a.json", planned=80)
    found = json.loads(run("a.json", "--patience", "1,2", "--format", "json"))
    assert found["runs"] == [{"run": "a.json", "steps": 70, "planned_steps": 80, "complete": False}]
    assert (found["monitor"], found["mode"]) == ("eval_loss", "min")
    assert [row["kept"] for row in found["means"]] == [0.5, 0.4]
    assert found["suggestion"] == {"patience": "2", "tolerance": 0.0, "within": True}


def test_a_metric_that_never_was_finite_is_told_and_is_no_nan_in_json(run: Run) -> None:
    write("a.json", [float("nan"), float("inf")])
    assert "no suggestion: eval_loss is never finite" in run("a.json")
    assert json.loads(run("a.json", "--format", "json", "--secondary", "f1"))["suggestion"] is None


def test_a_figure_is_written_beside_the_table(run: Run) -> None:
    write("a.json")
    assert run("a.json", "--output", "replay.svg").endswith("\n\nwrote replay.svg\n")
    assert Path("replay.svg").read_text(encoding="utf-8").startswith("<?xml")


def test_it_agrees_with_the_live_run_that_wrote_the_state(
    run: Run, make_trainer: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    from hf_strategies import EarlyStopping

    stopping = EarlyStopping("score", patience=2, mode="max", min_delta=0.02)
    scores = [0.1, 0.5, 0.4, 0.51, 0.3, 0.7]
    trainer = make_trainer(scores, callbacks=[stopping], eval_strategy="steps", eval_steps=2, max_steps=12)
    trainer.train()
    flags = ("--monitor", "score", "--mode", "max", "--patience", "2", "--min_delta", "0.02", "--format", "json")
    capsys.readouterr()  # what libraries print when they are loaded
    printed = run(trainer.args.output_dir, *flags)
    assert trainer.state.global_step == 8
    assert outcomes(printed, "stop_step", "best_step", "kept", "saved") == [(8, 4, 0.5, 0.0)]
    assert json.loads(printed)["runs"][0]["complete"] is False


def test_it_loads_neither_torch_nor_transformers(run: Run) -> None:
    write("a.json")
    code = (
        "import sys; from hf_strategies.cli.main import main; assert main(['replay', 'a.json']) == 0;"
        "print(*{'torch', 'transformers', 'accelerate', 'numpy', 'matplotlib'} & set(sys.modules))"
    )
    environment = os.environ | {"PYTHONIOENCODING": "utf-8"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, encoding="utf-8", env=environment, check=True
    )
    assert done.stdout.endswith("replay several\n\n")


@pytest.mark.parametrize("flag", re.findall(r"--\w+", "--monitor --mode --patience --stop_when --min_delta --z"))
def test_the_help_names_each_flag_and_explains_the_columns(flag: str, run: Run) -> None:
    printed = run("--help")
    assert f"  {flag} " in printed
    for word in ("kept", "regret", "given up", "saved", "ran on", "Suggested", "--tolerance", "examples:"):
        assert word in printed


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        ([], "RUN is missing: see hf-strategies replay --help"),
        (["nowhere"], "nowhere: there is no such file or folder: give a trainer_state.json or the folder of a run"),
        (["x" * 5000], "there is no such file or folder"),
        (["empty"], "empty has no trainer_state.json, and no checkpoint with one"),
        (["text.json"], "text.json is no JSON: give a trainer_state.json"),
        (["bytes.json"], "bytes.json is no JSON"),
        (["list.json"], "list.json has no log_history"),
        (["blind.json"], "blind.json has no evaluation in its log"),
        (["once.json"], "once.json has 1 evaluation of eval_loss: a replay takes 2 or more"),
        (["a.json", "--monitor", "los"], "a.json has no 'eval_los' in its log: did you mean 'loss'"),
        (["a.json", "--monitor", "rouge"], "a.json has no 'eval_rouge' in its log: known: 'f1', 'loss'"),
        (["a.json", "--secondary", "f2"], "a.json has no 'eval_f2' in its log"),
        (["s.json", "--monitor", "score"], "no telling whether lower or higher is better"),
        (["s.json", "--monitor", "score"], "(--mode min, or --mode max)"),
        (["a.json", "--mode", "up"], "mode='up' is no direction"),
        (["a.json", "a.json"], "a.json holds the same run as a.json, or the beginning of it: leave it out"),
        (["a.json", "longer.json"], "a.json holds the same run as longer.json, or the beginning of it"),
        (["a.json", "--patience", "1..x"], "--patience 1..x is no range: give whole numbers such as 1..10"),
        (["a.json", "--min_delta", "0.1..0.5"], "--min_delta 0.1..0.5 is no range"),
        (["a.json", "--patience", "5..1"], "--patience 5..1 is no range: give the lower end first"),
        (
            ["a.json", "--patience", "1..99999999999"],
            "is no range: give the lower end first, and at most 1000 values",
        ),
        (["a.json", "--patience", "1,,2"], "--patience 1,,2: a value is missing: give a list such as 1,2,5"),
        (["a.json", "--patience", "0"], "patience='0' is out of range"),
        (["a.json", "--patience", "1..1000", "--min_delta", "0,1"], "1000 patience x 2 min_delta make 2000 settings"),
        (["a.json", "--patience", "2", "--stop_when", "target(1)"], "both patience and stop_when are given"),
        (["--stop_when", "target(1)", "a.json"], "--stop_when a.json: runs stand before --stop_when"),
        (["a.json", "--stop_when", "patiense(1)"], "there is no criterion 'patiense': did you mean 'patience'"),
        (["a.json", "--smoothing", "ema"], "smoothing='ema' is no smoothing"),
        (["a.json", "--tolerance", "2"], "tolerance='2' is out of range: give a share in [0, 1]"),
        (["a.json", "--format", "cvs"], "--format cvs is unknown: did you mean 'csv'?"),
        (["a.json", "--output", "a.jpg"], "a.jpg has no ending of a figure"),
        (["a.json", "--stop_when", "time_budget(5)"], "a.json, stop_when=time_budget(5): a budget of 5 seconds"),
        (
            ["a.json", "--pacience", "1"],
            "unknown flag --pacience of hf-strategies replay: did you mean '--patience'?",
        ),
    ],
)
def test_a_mistake_is_one_line_with_its_remedy(
    argv: list[str], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("empty").mkdir()
    Path("text.json").write_text("{", encoding="utf-8")
    Path("bytes.json").write_bytes(b"\xff\xfe\x00")
    Path("list.json").write_text("[1]", encoding="utf-8")
    Path("blind.json").write_text('{"log_history": [{"loss": 1.0, "step": 1}]}', encoding="utf-8")
    write("a.json")
    write("longer.json", [*LOSSES, 0.9])
    write("once.json", [0.5])
    write("s.json", metric="eval_score")
    assert main(["replay", *argv]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert words in printed.err
    assert printed.err.startswith("error: ")
    assert printed.err.count("\n") == 1
