"""What README and docs say of the tables of the package, and how long the README is."""

import re

from hf_strategies.averaging.averages import AVERAGES
from hf_strategies.schedules import DECAYS, WARMUPS
from hf_strategies.stopping import CRITERIA
from tests.conftest import RECIPES
from tests.docs.pages import CHECKOUT


def read(name: str) -> str:
    return (CHECKOUT / name).read_text(encoding="utf-8")


def test_the_readme_has_at_most_150_lines() -> None:
    assert len(read("README.md").splitlines()) <= 150


def test_the_readme_counts_the_schedules() -> None:
    pairs = int(re.findall(r"(\d+) schedules by name", read("README.md"))[0])
    assert pairs == len(WARMUPS) * len(DECAYS)


def test_the_page_of_the_schedules_names_every_curve() -> None:
    text = read("docs/schedules.md")
    for name in [*WARMUPS, *DECAYS, "one_cycle", "slanted_triangular", "phases", "wsd"]:
        assert name == "none" or f"`{name}`" in text, name


def test_the_page_of_stopping_names_every_criterion() -> None:
    text = read("docs/stopping.md")
    assert [name for name in CRITERIA if f"`{name}(" not in text] == []


def test_the_page_of_the_landing_names_every_average_of_the_trainer() -> None:
    text = read("docs/landing.md")
    assert [name for name in AVERAGES if name != "shape" and f"`{name}(" not in text] == []


def test_every_recipe_has_a_page_and_a_line_in_the_readme() -> None:
    for recipe in RECIPES:
        assert (CHECKOUT / "docs" / "recipes" / f"{recipe}.md").is_file()
        assert f"| `{recipe}` |" in read("README.md")
