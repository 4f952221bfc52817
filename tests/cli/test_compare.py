"""The command ``compare``: a real recipe over two strategies and seeds, and each mistake by its words."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from hf_strategies.cli.main import main
from tests.experiments.fakes import start
from tests.finetune.runs import reviews, write_csv_splits

BOTH = ["--strategies", "linear.yaml", "step.yaml"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    files = "".join(f"{flag[2:]}: {path}\n" for flag, path in _pairs(write_csv_splits(tmp_path, reviews)))
    (tmp_path / "task.yaml").write_text(
        f"recipe: text_classification\n{files}max_steps: 4\nmax_length: 24\nuse_cpu: true\nreport_to: none\n"
        "eval_strategy: steps\neval_steps: 2\n"
    )
    (tmp_path / "linear.yaml").write_text("lr_scheduler_type: linear\n")
    (tmp_path / "step.yaml").write_text("lr_scheduler_type: exponential_warmup_step_decay\nwarmup_steps: 1\n")
    return tmp_path


def _pairs(words: list[str]) -> list[tuple[str, str]]:
    return list(zip(words[::2], words[1::2], strict=True))


@pytest.mark.slow
def test_a_recipe_is_compared_over_strategies_and_seeds(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["compare", "task.yaml", "--strategies", "linear.yaml", "step.yaml", "--seeds", "0..1", "--jobs", "2"]
    assert main([*words, "--figure", "compared.png"]) == 0
    shown = capsys.readouterr().out
    assert [line.split()[0] for line in shown.splitlines()[1:3]] == ["linear", "step"]
    assert (folder / "compared.png").read_bytes().startswith(b"\x89PNG")
    for strategy, seed in (("linear", 0), ("linear", 1), ("step", 0), ("step", 1)):
        run = folder / "runs" / "compare_task" / strategy / f"seed_{seed}"
        assert 0.0 <= json.loads((run / "all_results.json").read_text())["test_accuracy"] <= 1.0
    assert main([*words, "--table"]) == 0
    assert capsys.readouterr().out.splitlines()[:3] == shown.splitlines()[:3]


@pytest.mark.slow
def test_folds_test_each_row_of_the_training_set_once_for_each_seed(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["compare", "task.yaml", *BOTH, "--seeds", "0..1", "--folds", "2"]
    assert main(words) == 2
    assert "folds=2 with test_file: a fold is the test set" in capsys.readouterr().err
    task = (folder / "task.yaml").read_text().splitlines()
    (folder / "task.yaml").write_text("\n".join(line for line in task if not line.startswith("test_file")))
    assert main([*words, "--jobs", "2"]) == 0
    assert "over 2 seeds and test examples" in capsys.readouterr().out
    texts = [json.loads(line)["text"] for file in folder.glob("runs/*/step/seed_1/fold_*/predictions.jsonl")
             for line in file.read_text().splitlines()]  # fmt: skip
    assert sorted(texts) == sorted(row["text"] for row in reviews(60, 0))


def test_a_flag_that_no_recipe_has_is_told_before_a_run_begins(folder: Path, mistake: Callable[..., str]) -> None:
    (folder / "wrong.yaml").write_text("lr_scheduler_typ: linear\n")
    told = mistake("compare", "task.yaml", "--strategies", "linear.yaml", "wrong.yaml")
    assert told == (
        "error: strategy wrong: its flags: unknown key 'lr_scheduler_typ': did you mean 'lr_scheduler_type' or"
        " 'lr_scheduler_kwargs'?\n"
    )
    assert not (folder / "runs").exists()


@pytest.fixture
def mistake(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """The line of a command's mistake."""

    def command(*argv: str) -> str:
        assert main(list(argv)) == 2
        printed = capsys.readouterr()
        assert printed.out == ""
        return printed.err

    return command


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--strategies", "linear.yaml"], "--strategies has 1 of the two or more"),
        (["--strategies", "linear.yaml", "step.yaml", "--jobs", "0"], "--jobs 0: give a number from 1 to 256"),
        (["--strategies", "linear.yaml", "step.yaml", "--worth", "-1"], "--worth -1: give a difference above 0"),
        (["--strategies", "linear.yaml", "step.yaml", "--figure", "x.gif"], "x.gif has no ending of a figure"),
        (["--strategies", "linear.yaml", "step.yaml", "--table"], "no metric of all runs that are done"),
        (["--strategis", "linear.yaml"], "unknown flag --strategis"),
        ([*BOTH, "--race", "--launcher", "submitit"], "--race with --launcher: all jobs are submitted at once"),
        ([*BOTH, "--race", "--metric", "strange"], "(--mode min, or --mode max)"),
        ([*BOTH, "--folds", "1"], "--folds 1: give a number from 2 to 1000"),
        ([*BOTH, "--gpus", "1"], "--gpus has no effect without --launcher submitit"),
        ([*BOTH, "--launcher", "slurm"], "--launcher slurm: known: 'submitit'"),
        ([*BOTH, "--launcher", "submitit", "--cluster", "locl"], "--cluster locl: did you mean 'local'"),
    ],
)
def test_a_mistake_is_one_line(words: list[str], message: str, folder: Path, mistake: Callable[..., str]) -> None:
    assert message in mistake("compare", "task.yaml", *words)


def test_the_table_of_fakes_has_names_values_and_the_direction_of_the_metric(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    start(tmp_path / "out", seeds="0..2").communicate(timeout=60)
    for name, mean in (("first", 0.7), ("second", 0.72)):
        (tmp_path / f"{name}.yaml").write_text(f"mean: {mean}\n")
    (tmp_path / "task.yaml").write_text("recipe: text_classification\n")
    words = ["compare", "task.yaml", "--strategies", "first.yaml", "second.yaml", "--seeds", "0..2", "--table"]
    assert main([*words, "--output_dir", "out"]) == 0
    higher = capsys.readouterr().out
    assert "test_accuracy, points" in higher
    assert "(higher is better)" in higher
    assert main([*words, "--output_dir", "out", "--race"]) == 0
    assert capsys.readouterr().out == higher  # neither has lost
    assert main([*words, "--output_dir", "out", "--mode", "min"]) == 0
    assert "lower is better" in capsys.readouterr().out
    data = json.loads((tmp_path / "out" / "comparison_results.json").read_text())
    assert [each["name"] for each in data["strategies"]] == ["first", "second"]
