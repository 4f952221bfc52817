"""On a terminal of 80 columns no command prints a line that is wider."""

import ast
import json
import shlex
from pathlib import Path

import pytest

from hf_strategies import SCHEDULES
from hf_strategies.averaging import AVERAGES
from hf_strategies.cli.main import COMMANDS
from hf_strategies.report.averages_text import average_sheet
from hf_strategies.report.criteria_text import criterion_sheet
from hf_strategies.report.lines import fit
from hf_strategies.report.schedules.flags import Usage, as_flags, as_python, as_yaml
from hf_strategies.report.schedules.text import sheet
from hf_strategies.schedules.stock import STOCK, find_any_plan
from hf_strategies.stopping import CRITERIA
from tests.cli.commands import PHASES
from tests.terminal import in_terminal

pytest.importorskip("pty")

WIDE = [
    ["--help"],
    *([name, "--help"] for name in COMMANDS),
    ["list"],
    ["list", "exponential"],
    ["list", "--names"],
    ["criteria"],
    ["criteria", "growing_patience"],
    ["averages"],
    ["averages", "shape"],
    ["show", "phases"],
    ["show", "exponential_warmup_cosine_restarts_decay"],
    ["show", "exponential_warmup_plateau_cooldown"],
    ["show", "cosine_warmup_with_min_lr"],
    ["flags", "exponential_warmup_plateau_cooldown", "--set", "cooldown_shape=linear", "cooldown=0.2"],
    ["flags", "phases", "--set", f"phases={PHASES}"],
    ["flags", "phases", "--set", f"phases={PHASES}", "--yaml"],
    ["flags", "phases", "--set", f"phases={PHASES}", "--python"],
    ["plot", *(f"{name}_decay:min_lr_ratio=0.{n}" for n, name in enumerate(("cosine", "linear", "sqrt", "step"), 1))],
    ["plot", *list(STOCK)[:7], "--peak", "2e-5", "--steps_per_epoch", "33", "--ascii"],
]


@pytest.mark.parametrize("argv", WIDE, ids=lambda argv: " ".join(argv)[:60])
def test_no_line_is_wider_than_the_terminal(argv: list[str]) -> None:
    lines = in_terminal("-m", "hf_strategies", *argv).splitlines()
    assert lines
    assert [line for line in lines if len(line) > 80] == []


def test_a_replay_with_many_columns_is_a_table_in_parts(tmp_path: Path) -> None:
    for name, first in (("a", 0.9), ("b", 0.8)):
        log = [
            {"step": 10 * k, "epoch": k, "eval_loss": loss, "eval_metric_with_a_long_name": 1 / k}
            for k, loss in enumerate((first, 0.5, 0.6, 0.4, 0.7, 0.8), 1)
        ]
        state = {"log_history": log, "global_step": 60, "max_steps": 80, "stateful_callbacks": {}}
        (tmp_path / f"{name}.json").write_text(json.dumps(state), encoding="utf-8")
    lists = ["--patience", "1,2", "--min_delta", "0,0.1", "--relative_delta", "0,0.1", "--smoothing", "none,ema(0.3)"]
    runs = [str(tmp_path / "a.json"), str(tmp_path / "b.json")]
    flags = [*runs, *lists, "--secondary", "metric_with_a_long_name", "--per_run"]
    lines = in_terminal("-m", "hf_strategies", "replay", *flags).splitlines()
    assert [line for line in lines if len(line) > 80 and str(tmp_path) not in line] == []
    heads = [line.split() for line in lines if line.startswith(" #")]
    assert len(heads) == 3 * 2  # the runs and the means, each in two parts
    assert all(
        "smoothing" in first and "saved" in second for first, second in zip(heads[::2], heads[1::2], strict=True)
    )


def test_no_sheet_of_any_schedule_is_wider_either() -> None:
    """In this process, for all names: a process for each would take minutes."""
    for name in (*SCHEDULES, *STOCK):
        assert max(map(len, fit(sheet(find_any_plan(name), 80), 80).split("\n"))) <= 80, name


def test_no_sheet_of_a_criterion_or_an_average_is_wider_either() -> None:
    sheets = [criterion_sheet(row, 80) for row in CRITERIA.values()]
    sheets += [average_sheet(row, 80) for row in AVERAGES.values()]
    for text in sheets:
        assert max(map(len, fit(text, 80).split("\n"))) <= 80, text


def test_what_is_broken_for_the_terminal_means_the_same() -> None:
    import yaml

    usage = Usage(find_any_plan("phases"), {"phases": json.loads(PHASES) * 3}, warmup_steps=0.1, learning_rate=2e-5)
    assert "\n" in as_flags(usage, 60)
    words = shlex.split(as_flags(usage, 60).replace(" \\\n", " "))
    assert words[:-1] == shlex.split(as_flags(usage))[:-1]
    assert json.loads(words[-1]) == usage.parameters
    assert yaml.safe_load(as_yaml(usage, 60)) == yaml.safe_load(as_yaml(usage)) == usage.training
    assert ast.dump(ast.parse(as_python(usage, 60))) == ast.dump(ast.parse(as_python(usage)))
