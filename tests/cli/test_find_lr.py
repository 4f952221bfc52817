"""The command ``find-lr``: the range test of a recipe by the recipe's name."""

import subprocess
import sys
from pathlib import Path

import pytest

from hf_strategies.cli.main import main
from tests.cli.commands import check_mistake
from tests.finetune.runs import QUIET

FOUR_STEPS = [*QUIET, "--max_steps", "4"]
SMALL = ["--per_device_train_batch_size", "2", "--max_length", "8"]


@pytest.fixture
def reviews(tmp_path: Path) -> list[str]:
    """Write a tiny data set, and give the flags that name it and an output folder."""
    rows = "".join(f"{word} day number {number},{word}\n" for number in range(16) for word in ("good", "bad"))
    (tmp_path / "train.csv").write_text(f"text,label\n{rows}", encoding="utf-8")
    return ["--train_file", str(tmp_path / "train.csv"), "--output_dir", str(tmp_path / "out"), *FOUR_STEPS, *SMALL]


def test_find_lr_runs_a_recipes_range_test(
    reviews: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # Its own --find_lr has the last word.
    assert main(["find-lr", "text_classification", *reviews, "--find_lr", "false"]) == 0
    printed = capsys.readouterr().out
    assert "learning rate" in printed
    assert not printed.endswith("\n\n")
    assert not (tmp_path / "out" / "all_results.json").exists()


def test_find_lr_tells_a_recipes_mistake_on_one_line(reviews: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["find-lr", "text_classification", *reviews, "--max-stps", "4"]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("error: unknown flag --max-stps: did you mean 'max_steps'")
    assert printed.err.count("\n") == 1


def test_find_lr_hands_help_to_the_recipe(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["find-lr", "text_classification", "--help"])
    assert "--early_stopping_patience" in capsys.readouterr().out
    assert main(["find-lr", "--help"]) == 0
    assert "RECIPE" in capsys.readouterr().out


def test_an_unknown_recipe_is_told_before_any_is_loaded() -> None:
    code = """
import sys
from hf_strategies.cli.main import main
code = main(["find-lr", "text_clasification", "--max_steps", "4"])
print(sorted({"torch", "transformers", "hf_strategies.recipes.text_classification"} & set(sys.modules)))
sys.exit(code)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (2, "[]")
    assert done.stderr.startswith("error: unknown recipe 'text_clasification': did you mean 'text_classification'")


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        ("find-lr", "RECIPE is missing: known: '"),
        ("find-lr --max_steps 4", "unknown flag --max_steps of hf-strategies find-lr"),
        ("find-lr text-classification", "unknown recipe 'text-classification': did you mean 'text_classification'"),
        ("find_lr text_classification", "unknown command 'find_lr': did you mean 'find-lr'?"),
    ],
)
def test_a_mistake_of_find_lr_is_one_line_and_exit_code_2(
    argv: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    check_mistake(argv, words, capsys)
