"""What a comparison is made of: tasks, strategies, seeds; each mistake by its words."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from hf_strategies.errors import StrategyError
from hf_strategies.experiments.plan import Plan, read_plan, read_seeds, read_strategies
from hf_strategies.experiments.runner import recipe_command
from hf_strategies.flag_file import read_mapping
from hf_strategies.presets import PRESETS

RECIPES = ["text_classification", "masked_lm"]


@pytest.fixture
def task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    Path("task.yaml").write_text("recipe: text_classification\nnum_train_epochs: 3\noutput_dir: runs/x\nseed: 7\n")
    Path("a.yaml").write_text("learning_rate: 1e-5\nbf16: no\n")
    return "task.yaml"


def plan(task: str, *strategies: str, seeds: str = "0..1", recipe: str | None = None) -> Plan:
    return read_plan(task, strategies, seeds, recipe=recipe, folder="out", recipes=RECIPES)


def test_a_run_has_the_flags_of_the_task_and_over_them_those_of_the_strategy(task: str) -> None:
    Path("b.yaml").write_text("strategy: no_epochs\nnum_train_epochs: 9\n")
    made = plan(task, "a.yaml", "b.yaml")
    made.write()
    assert [(run.strategy, run.seed) for run in made.runs] == [("a", 0), ("b", 0), ("a", 1), ("b", 1)]
    assert made.runs[2].folder == Path("out/a/seed_1")
    flags = read_mapping(str(made.flags_of("a")))
    assert flags == {"num_train_epochs": 3, "learning_rate": 1e-5, "bf16": "no"}  # as the recipes read YAML
    assert read_mapping(str(made.flags_of("b"))) == {**PRESETS["no_epochs"].settings, "num_train_epochs": 9}


def test_with_folds_each_seed_has_a_run_for_each(task: str) -> None:
    made = read_plan(task, ["a.yaml", "no_epochs"], "0,3", recipe=None, folder="out", recipes=RECIPES, folds=2)
    assert len(made.runs) == 2 * 2 * 2
    assert made.runs[3].folder == Path("out/no_epochs/seed_0/fold_1")
    words = recipe_command(made, made.runs[3])
    assert words[words.index("--folds") :][:4] == ["--folds", "2", "--fold", "1"]
    made.write()
    with pytest.raises(StrategyError, match="the number of folds is 2, and now it is None"):
        plan(task, "a.yaml", "no_epochs").write()


def test_plans_that_are_written_at_once_are_all_there(task: str) -> None:
    plans = [plan(task, "a.yaml", "no_epochs", seeds=str(seed)) for seed in range(12)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(Plan.write, plans))
    assert json.loads(Path("out/comparison.json").read_text())["seeds"] == list(range(12))


def test_a_preset_is_a_strategy_by_its_name() -> None:
    assert read_strategies(["no_epochs"]) == {"no_epochs": PRESETS["no_epochs"].settings}


def test_seeds_are_numbers_and_ranges() -> None:
    assert read_seeds("3, 0..2") == (3, 0, 1, 2)


def test_seeds_and_strategies_may_be_added_and_nothing_that_was_run_may_change(task: str) -> None:
    plan(task, "a.yaml", "no_epochs").write()
    plan(task, "averaged", "a.yaml", seeds="5").write()
    known = json.loads(Path("out/comparison.json").read_text())
    assert (list(known["strategies"]), known["seeds"]) == (["a", "averaged", "no_epochs"], [0, 1, 5])
    Path("a.yaml").write_text("learning_rate: 2e-5\n")
    with pytest.raises(StrategyError, match="bf16 of strategy a is 'no', and now it is None: give another --output"):
        plan(task, "a.yaml", "no_epochs").write()
    Path(task).write_text("recipe: text_classification\nnum_train_epochs: 4\n")
    with pytest.raises(StrategyError, match="num_train_epochs of the task is 3, and now it is 4"):
        plan(task, "averaged", "no_epochs").write()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"strategies": ["a.yaml", "no_epoch"]}, "no YAML file, and no preset: did you mean 'no_epochs'"),
        ({"strategies": ["a.yaml", "none.yaml"]}, "--strategies none.yaml: no such file"),
        ({"strategies": ["a.yaml", "./a.yaml"]}, "'a' twice"),
        ({"strategies": ["folded.yaml"]}, "folded.yaml: fold is set for each run: leave it out"),
        (
            {"task": "folded.yaml"},
            "TASK_CONFIG folded.yaml: fold is set for each run: leave it out, and give --folds",
        ),
        ({"strategies": ["seeded.yaml"]}, "seeded.yaml: seed is set for each run: leave it out"),
        ({"strategies": ["a b.yaml"]}, "name the file by letters"),
        ({"recipe": "text_clasification"}, "did you mean 'text_classification'"),
        ({"task": "other.yaml"}, "--recipe is missing, and other.yaml has no `recipe:` line"),
        ({"task": "missing.yaml"}, "TASK_CONFIG missing.yaml: no such file"),
        ({"seeds": "0..x"}, "'0..x' is no seed"),
        ({"seeds": "1,1"}, "each seed once"),
        ({"seeds": "0..99999"}, "1,000 at most"),
    ],
)
def test_a_mistake_is_named_with_its_remedy(task: str, given: dict[str, Any], message: str) -> None:
    Path("seeded.yaml").write_text("seed: 3\n")
    Path("folded.yaml").write_text("fold: 0\nrecipe: text_classification\n" if "task" in given else "fold: 0\n")
    Path("a b.yaml").write_text("learning_rate: 1\n")
    Path("other.yaml").write_text("num_train_epochs: 1\n")
    settings: dict[str, Any] = {"task": task, "strategies": ["a.yaml", "no_epochs"]} | given
    with pytest.raises(StrategyError, match=message):
        plan(settings.pop("task"), *settings.pop("strategies"), **settings)
