"""The command ``search``: mistakes are one line before a model is loaded."""

import sys
from pathlib import Path

import pytest

from tests.cli.commands import check_mistake
from tests.search.searches import write

GOOD = "learning_rate: {float: [1e-5, 1e-3], log: true}\n"


def check(folder: Path, words: str, capsys: pytest.CaptureFixture[str], *flags: str, **files: str) -> None:
    task, space = write(folder, **({"space": GOOD} | files))
    out = folder / "out"
    check_mistake(f"search {task} --space {space} --output_dir {out} {' '.join(flags)}", words, capsys)
    assert not out.exists()


def test_mistakes_that_show_without_the_recipe(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    check(tmp_path, "unknown recipe 'text_clasification'", capsys, task="recipe: text_clasification")
    check(tmp_path, "names no recipe", capsys, task="seed: 1")
    check(tmp_path, "row learning_rate has low 1", capsys, space="learning_rate: {float: [1, 0.1]}")
    check(tmp_path, "--trials 0: give at least 1", capsys, "--trials 0")
    check(tmp_path, "--sampler cma: known: 'random', 'tpe'", capsys, "--sampler cma")
    check(tmp_path, "--prune medan: neither a pruner", capsys, "--prune medan")
    check_mistake("search task.yaml", "--space is missing", capsys)
    check_mistake("search absent.yaml --space absent.yaml", "TASK_CONFIG absent.yaml: no such file", capsys)


def test_without_optuna_the_remedy_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    check(tmp_path, "search needs optuna: pip install 'hf-strategies[search]'", capsys)


@pytest.mark.slow
def test_a_flag_that_the_recipe_does_not_take_is_named_with_its_row(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    space = GOOD + "max_lenght: {int: [8, 16]}\n"
    words = "space.yaml: row max_lenght, with {"
    check(tmp_path, words, capsys, space=space)


@pytest.mark.slow
def test_every_mistake_that_only_the_recipe_knows_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    check(
        tmp_path,
        "unknown flag --max_lenght: did you mean 'max_length'",
        capsys,
        task="recipe: masked_lm\nmax_lenght: 3",
    )
    check(tmp_path, "--objective acuracy", capsys, "--objective acuracy --mode max")
    space = GOOD + "label_smoothing_factor: {float: [0, 3]}\n"
    check(tmp_path, "row label_smoothing_factor, with", capsys, space=space)
    check(
        tmp_path,
        "--prune patience(3) with eval_strategy='no' has nothing to judge",
        capsys,
        "--prune patience(3)",
        task="recipe: text_classification\neval_strategy: 'no'\n",
    )
