"""The command ``averages``: the table of the averages of weights, and all about one."""

import pytest

from hf_strategies.averaging import AVERAGES
from tests.cli.commands import Run, check_mistake


def test_averages_has_every_average_with_its_summary(run: Run) -> None:
    rows = run("averages").splitlines()[1 : len(AVERAGES) + 1]
    assert [line.split("(")[0].strip() for line in rows] == list(AVERAGES)
    for line, row in zip(rows, AVERAGES.values(), strict=True):
        assert line.endswith(f"  {row.summary}")


@pytest.mark.parametrize("name", AVERAGES)
def test_averages_shows_the_parameters_and_the_source_of_one(run: Run, name: str) -> None:
    printed, row = run("averages", name), AVERAGES[name]
    assert printed.startswith(f"{name}(")
    assert f"Source: {row.source}" in printed.splitlines()
    for key, parameter in row.parameters.items():
        assert any(line.split()[:1] == [key] and parameter.help in line for line in printed.splitlines())


def test_averages_tells_how_many_means_are_kept(run: Run) -> None:
    assert "Keeps: 1 running mean in memory" in run("averages", "ema").splitlines()
    assert "Keeps: 2 running means in memory" in run("averages", "tail").splitlines()
    assert "Keeps: the snapshots themselves" in run("averages", "shape").splitlines()


def test_a_mistake_of_averages_is_one_line_and_exit_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    check_mistake("averages emma", "unknown average 'emma': did you mean 'ema'", capsys)
