"""The command ``report``: what it reads, prints, writes and loads, and each mistake by its words."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hf_strategies.cli.main import main
from tests.cli.commands import check_mistake
from tests.report.run.runs import STOCK_STOP, stock

Run = Callable[..., str]
VALUES = [0.9, 0.7, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2]
RATES = [1e-3 * (1 - step / 10) for step in range(10)]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run the command in a folder of its own; it is to succeed, and what it printed is given."""
    monkeypatch.chdir(tmp_path)

    def command(*argv: str) -> str:
        assert main(["report", *argv]) == 0
        printed = capsys.readouterr()
        assert printed.err == ""
        return printed.out

    return command


def write(folder: str, state: dict[str, Any]) -> None:
    Path(folder).mkdir(parents=True, exist_ok=True)
    (Path(folder) / "trainer_state.json").write_text(json.dumps(state), encoding="utf-8")


def test_one_run_has_a_line_for_each_metric_its_end_and_advice(run: Run) -> None:
    write("a", stock(VALUES, RATES, eval_accuracy=[0.5] * 9 + [0.75]))
    assert run("a").splitlines() == [
        "a",
        "100 steps, 1.00 epochs, 3e+12 FLOPs",
        "Trained to the end of the budget, at step 100.",
        "",
        "   metric    best  at step  epoch  last  evaluations",
        "*  loss       0.5       30   0.30   1.2           10",
        "   accuracy  0.75      100   1.00  0.75           10",
        "",
        "worth a look:",
        "  - validation was best at 30 % of the steps; patience 1 would have saved 60 %",
    ]


def test_settings_in_the_report_of_a_run_are_compared_too_also_for_its_checkpoint(run: Run) -> None:
    for folder, seed in (("a/checkpoint-100", "1"), ("b", "2")):
        write(folder, stock(VALUES, [float(seed) * rate for rate in RATES]))
        report = {"schema_version": 1, "settings": {"seed": seed, "optim": "adamw_torch"}}
        (Path(folder[0]) / "strategy_report.json").write_text(json.dumps(report), encoding="utf-8")
    lines = [line.split() for line in run("a/checkpoint-100", "b").splitlines()]
    assert ["#", "peak", "rate", "seed"] in lines
    assert ["1", "0.001", "1"] in lines
    assert ["2", "0.002", "2"] in lines


def test_a_report_of_another_version_is_named_and_left_out(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    write("a", stock(VALUES, RATES))
    for content in ('{"schema_version": 2, "settings": {"seed": "1"}}', '{"schema_version": 1}', "[", "[]"):
        Path("a/strategy_report.json").write_text(content, encoding="utf-8")
        caplog.clear()
        assert "100 steps" in run("a")
        assert "a/strategy_report.json is not read: it is no report of this version" in caplog.text


def test_several_runs_have_a_table_of_what_they_came_to_and_one_of_what_differs(run: Run) -> None:
    write("a", stock(VALUES, RATES))
    write("b", stock(VALUES[:5], [2 * rate for rate in RATES[:5]], planned=100, callbacks=STOCK_STOP))
    lines = [line.split() for line in run("a", "b", "--monitor", "loss").splitlines()]
    assert ["1", "loss", "0.5", "30", "100", "1.00", "-", "3e+12", "all", "steps"] in lines
    assert ["2", "loss", "0.5", "30", "50", "0.50", "-", "3e+12", "stopped", "early"] in lines
    assert ["#", "peak", "rate", "EarlyStoppingCallback"] in lines
    assert ["1", "0.001", "-"] in lines
    assert ["2", "0.002", "2"] in lines
    assert any("was still at 60 % of the peak" in " ".join(line) for line in lines)


def test_no_line_is_wider_than_80_columns(run: Run) -> None:
    for seed in range(8):
        write(
            "n" * 200 + f"/{seed}",
            stock([each + seed for each in VALUES], RATES) | {"trial_params": {"k" * 99: seed}},
        )
    printed = run(*(f"{'n' * 200}/{seed}" for seed in range(8)))
    assert max(map(len, printed.splitlines())) <= 80
    assert printed.count("\n#") >= 8


def test_the_newest_checkpoint_is_read_where_the_folder_has_no_state(run: Run) -> None:
    write("a/checkpoint-20", stock(VALUES[:2], planned=100))
    write("a/checkpoint-100", stock(VALUES, planned=100))
    assert run("a").startswith("a\n100 steps, 1.00 epochs")


def test_figure_and_page_are_written_and_named(run: Run) -> None:
    pytest.importorskip("matplotlib")
    pytest.importorskip("plotly")
    write("a", stock(VALUES, RATES))
    printed = run("a", "--figure", "a.svg", "--html", "a.html")
    assert printed.endswith("\n\nwrote a.svg\n\nwrote a.html\n")
    assert "<svg" in Path("a.svg").read_text(encoding="utf-8")
    assert Path("a.html").read_text(encoding="utf-8").startswith("<!doctype html>")


def test_text_of_a_run_does_not_reach_the_terminal_as_it_is(run: Run) -> None:
    name = "\x1b[2J\x1b]0;title\x07"
    write("a", stock(VALUES, metric=f"eval_{name}") | {"trial_params": {name: name}})
    write("b", stock(VALUES[::-1], metric=f"eval_{name}") | {"trial_params": {name: "x"}})
    for printed in (run("a"), run("a", "b")):
        assert "\x1b" not in printed
        assert "\x07" not in printed
        assert r"\x1b[2J" in printed


def test_it_loads_neither_torch_nor_transformers(run: Run, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    write("a", stock(VALUES, RATES))
    code = (
        "import sys; from hf_strategies.cli.main import main;"
        " assert main(['report', 'a', '--figure', 'a.png']) == 0;"
        " print(sorted({'torch', 'transformers', 'accelerate', 'plotly'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        ("report", "RUN_DIR is missing: see hf-strategies report --help"),
        (
            "report nowhere",
            "nowhere: there is no such file or folder: give a trainer_state.json or the folder of a run",
        ),
        ("report empty", "empty has no trainer_state.json, and no checkpoint with one"),
        ("report a --monitor accuarcy --html a.html", "a has no 'eval_accuarcy' in its log"),
        ("report a --figure a.html", "a.html has no ending of a figure: give one of .png, .svg, .pdf"),
        ("report a --html a.png", "a.png has no ending of a page: give a name that ends in .html"),
        ("report a --html no/a.html", "no/a.html: there is no folder no: make it first"),
        ("report a --mode min", "--mode min has no effect without --monitor: give that too, or leave it out"),
        ("report a --monitor loss --mode up", "mode='up' is no direction"),
        ("report a a", "a holds the same run as a, or the beginning of it: leave it out"),
        ("report broken", "is no JSON: give a trainer_state.json as the Trainer writes it"),
        ("report odd", "odd has no log_history: give a trainer_state.json as the Trainer writes it"),
        ("report a --htm a.html", "unknown flag --htm of hf-strategies report: did you mean '--html'?"),
    ],
)
def test_a_mistake_is_one_line_with_its_remedy(
    argv: str, words: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write("a", stock(VALUES, RATES))
    write("odd", {})
    Path("empty").mkdir()
    Path("broken").mkdir()
    Path("broken/trainer_state.json").write_text("{", encoding="utf-8")
    check_mistake(argv, words, capsys)
    assert not list(Path().glob("*.html"))
