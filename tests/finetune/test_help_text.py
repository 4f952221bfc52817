"""The help of the recipes: one page, each flag once, no line wider than the terminal, examples as written."""

import ast
import re
from pathlib import Path

import pytest

from hf_strategies.finetune.help_text import wanted_help
from tests.conftest import RECIPES
from tests.terminal import in_terminal


# Each page is a process of its own, of seven seconds: one of them is enough for every day.
@pytest.fixture(
    scope="module", params=[RECIPES[0], *(pytest.param(each, marks=pytest.mark.slow) for each in RECIPES[1:])]
)
def recipe(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def page(recipe: str) -> list[str]:
    checkout = Path(__file__).resolve().parent.parent.parent
    lines = in_terminal(f"recipes/{recipe}.py", "--help", folder=checkout).splitlines()
    return lines[next(place for place, line in enumerate(lines) if line.startswith("usage:")) :]


def flags_of(lines: list[str]) -> list[str]:
    return [found[1] for line in lines if (found := re.match(r"  --(\w+)", line))]


def test_it_has_fewer_than_150_lines_of_at_most_80_columns_and_each_flag_once(page: list[str]) -> None:
    assert len(page) < 150
    assert [line for line in page if len(line) > 80] == []
    flags = flags_of(page)
    assert len(flags) == len(set(flags)) > 40


def test_flags_stand_in_groups(page: list[str]) -> None:
    names = ["Data", "Model", "Strategy", "Training", "Placement"]
    assert [line for line in page if line in names] == names


def test_examples_are_as_they_are_written(recipe: str, page: list[str]) -> None:
    file = Path(__file__).resolve().parent.parent.parent / "recipes" / f"{recipe}.py"
    text = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8")), clean=False) or ""
    examples = [line for line in text.splitlines() if line.startswith("    ")]
    assert len(examples) > 8
    assert [line for line in examples if line not in page] == []


@pytest.mark.slow
def test_all_flags_are_listed_once_on_the_longer_page(checkout: Path) -> None:
    from transformers import TrainingArguments

    lines = in_terminal("recipes/masked_lm.py", "--help", "all", folder=checkout).splitlines()
    flags = flags_of(lines)
    assert len(flags) == len(set(flags))
    known = {name for name, field in TrainingArguments.__dataclass_fields__.items() if field.init}
    assert known <= set(flags)
    assert [line for line in lines if len(line) > 80 and line.startswith(" ")] == []


@pytest.mark.parametrize(
    ("words", "wanted"),
    [(["--help"], "main"), (["--seed", "1", "-h"], "main"), (["--help", "all"], "all"), (["--helpful"], None)],
)
def test_which_help_is_wanted(words: list[str], wanted: str | None) -> None:
    assert wanted_help(words) == wanted
