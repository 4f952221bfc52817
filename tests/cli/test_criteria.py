"""The command ``criteria``: the table of the stop criteria, and all about one."""

import pytest

from hf_strategies.stopping import CRITERIA
from tests.cli.commands import Run, check_mistake


def test_criteria_has_every_criterion_with_its_summary(run: Run) -> None:
    lines = [line for line in run("criteria").splitlines() if line.startswith("  ") and "(" in line]
    rows = lines[: len(CRITERIA)]
    assert [line.split("(")[0].strip() for line in rows] == list(CRITERIA)
    for line, criterion in zip(rows, CRITERIA.values(), strict=True):
        assert line.endswith(f"  {criterion.summary}")


@pytest.mark.parametrize("name", CRITERIA)
def test_criteria_shows_the_parameters_and_the_source_of_one(run: Run, name: str) -> None:
    printed, criterion = run("criteria", name), CRITERIA[name]
    assert printed.startswith(f"{name}(")
    assert f"Source: {criterion.source}" in printed.splitlines()
    for key, parameter in criterion.parameters.items():
        assert any(line.split()[:1] == [key] and parameter.help in line for line in printed.splitlines())


def test_criteria_shows_where_the_example_of_target_stops(run: Run) -> None:
    # 0.9 is the third value, and the first that is not below the target.
    assert run("criteria", "target").splitlines()[-3:] == [
        "Example (higher is better): target(value=0.9)",
        "  values 0.5, 0.89, 0.9, 0.95",
        "  stops at number 3; best: number 3",
    ]


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        ("criteria patiense", "unknown criterion 'patiense': did you mean 'patience'"),
        ("criteria target 0.9", "hf-strategies criteria takes no further '0.9': see hf-strategies criteria --help"),
        ("criteria --names", "unknown flag --names of hf-strategies criteria: known: '--help'"),
    ],
)
def test_a_mistake_of_criteria_is_one_line_and_exit_code_2(
    argv: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    check_mistake(argv, words, capsys)
