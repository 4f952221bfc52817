"""The command ``show``: all about one schedule."""

import json
import shlex

import pytest

from hf_strategies import SCHEDULES, schedule
from hf_strategies.schedules.stock import STOCK, find_any_plan
from tests.cli.commands import Run, check_mistake


@pytest.mark.parametrize("name", [*SCHEDULES, *STOCK])
def test_show_tells_all_of_every_schedule(run: Run, name: str) -> None:
    printed, plan = run("show", name), find_any_plan(name)
    assert printed.startswith(f"{name}\n  {plan.summary}\n")
    for part in plan.formula.split(";  "):
        assert part.split(": ", 1)[-1] in printed
    for parameter, row in plan.parameters.items():
        assert any(
            line.split()[:1] == [parameter] and f"({row.shown})" in line and line.endswith(row.help)
            for line in printed.splitlines()
        )
    sources = [line for line in printed.partition("\n\nSource\n")[2].splitlines()[:1] if plan.source]
    assert [set(line.strip().split("; ")) for line in sources] == [set(plan.source.split("; "))] * bool(plan.source)
    assert f"--lr_scheduler_type {name}" in printed


def test_show_has_the_values_at_the_edges(run: Run) -> None:
    printed = run("show", "exponential_warmup_step_decay")
    values = dict(line.rsplit("  ", 1) for line in printed.splitlines() if " f(" in line)
    assert {" ".join(key.split()): float(value) for key, value in values.items()} == {
        "first update f(0)": 0.01,
        "half of the warmup f(50)": 0.1,
        "end of the warmup f(100)": 1.0,
        "half of the training f(500)": 0.1,
        "last update f(999)": 0.01,
        "at the end and after f(1000)": 0.01,
    }
    assert "Values with total_steps=1000, warmup_steps=100, and the default parameters" in printed


def test_show_binds_each_symbol_of_the_formula(run: Run) -> None:
    def symbols(name: str) -> dict[str, str]:
        lines = [line for line in run("show", name).splitlines() if line.startswith("    ")]
        return {line.split()[0]: line.split(maxsplit=1)[1] for line in lines}

    found = symbols("polynomial_warmup_step_decay")
    assert set(found) == {"t", "s", "floor", "floor(x)", "power", "start"}
    assert found["floor"] == "min_lr_ratio"
    assert found["floor(x)"] == "x rounded down"
    assert found["start"] == "warmup_start, in the warmup"
    assert found["power"] == "warmup_power, in the warmup"
    assert set(symbols("cosine_decay")) == {"s", "S", "floor"}
    assert symbols("constant_decay") == {}
    assert symbols("phases")["s"].startswith("optimizer steps since the phase began")


def test_show_of_a_schedule_of_transformers_has_values_its_own_parameters_and_no_import(run: Run) -> None:
    printed = run("show", "cosine_with_min_lr")
    assert "Values with total_steps=1000, warmup_steps=100, and the min_lr_rate of the flags below" in printed
    assert "  at the end and after  f(1000)  0.1" in printed.splitlines()
    assert "floor  min_lr_rate, or min_lr / peak" in printed
    assert "on_extend" not in printed
    assert "import" not in printed
    assert "# a script of your own needs: import hf_strategies.auto" in run("show", "cosine_decay")
    assert "--plateau_cooldown_monitor loss" in run("show", "plateau_cooldown")


def test_show_names_each_source_once_and_leaves_the_line_out_where_there_is_none(run: Run) -> None:
    twice = run("show", "sqrt_warmup_sqrt_decay")
    assert SCHEDULES["sqrt_warmup_sqrt_decay"].source.count("arXiv:2405.18392") == 2
    assert twice.count("arXiv:2405.18392") == 1
    assert "Source" not in run("show", "constant_decay")
    assert "Source" in run("show", "cosine_decay")


def test_show_tells_of_the_schedulers_own_options(run: Run) -> None:
    extend = "on_extend (when resumed with another number of steps: error, keep, replan, jump)"
    also = "  also: min_lr (a learning rate, instead of min_lr_ratio), "
    assert also + extend in run("show", "cosine_decay").splitlines()
    assert f"  also: {extend}" in run("show", "constant_decay").splitlines()  # without a floor


def test_show_takes_a_schedules_own_warmup_and_an_example_of_phases(run: Run) -> None:
    assert "warmup_steps=300 (its default)" in run("show", "one_cycle")
    assert "--warmup_steps" not in run("show", "one_cycle")
    phases = run("show", "phases")
    assert "phases  (has to be given)" in phases
    kwargs = json.loads(shlex.split(phases.partition("\nFlags\n")[2], comments=True)[-1])
    built = schedule("phases", total_steps=1000, **kwargs)
    assert f"f(500)   {built(500):g}" in phases


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        ("show", "NAME is missing: see hf-strategies show --help"),
        ("show one_cycle b", "hf-strategies show takes no further 'b': see hf-strategies show --help"),
        ("show cosine_decy", "unknown schedule 'cosine_decy': did you mean 'cosine_decay'"),
    ],
)
def test_a_mistake_of_show_is_one_line_and_exit_code_2(
    argv: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    check_mistake(argv, words, capsys)
