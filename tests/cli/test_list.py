"""The command ``list``: every schedule, by table, pattern and name."""

from collections.abc import Callable

import pytest

from hf_strategies import SCHEDULES
from hf_strategies.schedules import DECAYS, WARMUPS
from hf_strategies.schedules.stock import STOCK
from tests.cli.commands import Run, check_mistake


def test_list_has_every_curve_and_every_whole_schedule_with_its_summary(run: Run) -> None:
    lines = [line.split(maxsplit=1) for line in run("list").splitlines() if line.startswith("  ")]
    rises = {row.name: row.summary for row in WARMUPS.values() if row.name != "none"}
    warmups = [[f"{name}_warmup_*", summary] for name, summary in rises.items()]
    decays = [[f"{row.name}_decay", row.summary] for row in DECAYS.values()]
    held = [["plateau_cooldown", SCHEDULES["plateau_cooldown"].summary]]
    held += [[f"{name}_warmup_plateau_cooldown", summary] for name, summary in rises.items()]
    pairs = ("_decay", "_cooldown")
    whole = [[name, plan.summary] for name, plan in SCHEDULES.items() if not name.endswith(pairs)]
    stock = [[name, plan.summary] for name, plan in STOCK.items()]
    assert lines == warmups + decays + held + whole + stock


def test_every_name_in_list_is_one_that_show_takes_or_a_pattern(run: Run) -> None:
    names = [line.split()[0] for line in run("list").splitlines() if line.startswith("  ")]
    for name in names:
        assert run("list", name, "--names") if name.endswith("*") else run("show", name).startswith(f"{name}\n")


def test_list_counts_the_pairs_and_stays_short(run: Run) -> None:
    printed = run("list")
    pairs = (len(WARMUPS) - 1) * len(DECAYS)
    assert f"{{warmup}}_warmup_{{decay}}_decay ({pairs} pairs)" in printed
    assert printed.startswith(f"{len(SCHEDULES)} schedules: ")
    assert len(printed.splitlines()) < 60


def test_list_names_are_bare_and_all_there(run: Run) -> None:
    assert run("list", "--names").splitlines() == list(SCHEDULES)


@pytest.mark.parametrize(
    ("pattern", "fits"),
    [
        ("stable", lambda name: "stable" in name),
        ("STABLE", lambda name: "stable" in name),
        ("*_warmup_step_decay", lambda name: name.endswith("_warmup_step_decay")),
        ("on?_cycle", lambda name: name == "one_cycle"),
        ("[lc]*_warmup_sqrt_decay", lambda name: name in ("linear_warmup_sqrt_decay", "cosine_warmup_sqrt_decay")),
    ],
)
def test_list_filters_by_a_part_or_a_pattern(run: Run, pattern: str, fits: Callable[[str], bool]) -> None:
    names = run("list", pattern, "--names").splitlines()
    assert names == [name for name in SCHEDULES if fits(name)]
    assert [line.split()[0] for line in run("list", pattern).splitlines()] == names
    assert SCHEDULES[names[0]].summary in run("list", pattern)


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        ("list --name", "unknown flag --name of hf-strategies list: did you mean '--names'?"),
        ("list one two", "hf-strategies list takes no further 'two': see hf-strategies list --help"),
        ("list expnential", "no schedule's name matches 'expnential': did you mean 'exponential'"),
        ("list *qqq*", "no schedule's name matches '*qqq*': known: "),
    ],
)
def test_a_mistake_of_list_is_one_line_and_exit_code_2(
    argv: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    check_mistake(argv, words, capsys)
