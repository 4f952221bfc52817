"""The greedy soup: what is taken in, and the evaluation by a recipe in a process of its own."""

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import BertConfig, BertForSequenceClassification, set_seed

from hf_strategies.checkpoints.folder import WeightedMean
from hf_strategies.checkpoints.greedy import greedy_soup
from hf_strategies.checkpoints.sources import Source, Watched
from hf_strategies.cli.main import main
from hf_strategies.stopping.metric import Metric
from tests.checkpoints.runs import write_checkpoint
from tests.cli.commands import check_mistake
from tests.finetune.models import SIZES, wordpiece
from tests.finetune.runs import write_csv

SOURCES = [Source(Path(name), name, step) for step, name in enumerate("abcd")]


def soup_of(values: Mapping[str, float], mode: str = "max") -> tuple[str, float, list[str]]:
    """The names in a soup, its value, and what was evaluated, in this order; a mean has the names of its sources."""
    asked = []

    def evaluate(mean: WeightedMean) -> float:
        asked.append("".join(source.name for source in mean.sources))
        assert list(mean.shares) == [1 / len(mean.sources)] * len(mean.sources)
        return values[asked[-1]]

    watched = Watched(Metric.read("accuracy"), "max" if mode == "max" else "min")
    soup = greedy_soup(SOURCES, watched, evaluate)
    return "".join(source.name for source in soup.mean.sources), soup.value, asked


def test_from_the_best_on_each_is_taken_in_that_does_not_make_the_mean_worse() -> None:
    # alone b is best, then d, a, c; with d worse, with a better, with c as good as without it
    alone = {"a": 0.5, "b": 0.75, "c": 0.25, "d": 0.625}
    chosen, value, asked = soup_of({**alone, "bd": 0.7, "ab": 0.8, "abc": 0.8})
    assert (chosen, value) == ("abc", 0.8)
    assert asked == ["a", "b", "c", "d", "bd", "ab", "abc"]


def test_lower_may_be_better_and_the_best_alone_may_stay_alone() -> None:
    alone = {"a": 0.5, "b": 0.75, "c": 0.25, "d": 0.625}
    assert soup_of({**alone, "ac": 0.3, "cd": 0.3, "bc": 0.3}, "min")[:2] == ("c", 0.25)


def test_of_equal_ones_the_older_comes_first_and_a_mean_that_is_not_better_is_enough() -> None:
    means = {"ab": 0.5, "abc": 0.5, "abcd": 0.5}
    assert soup_of({**dict.fromkeys("abcd", 0.5), **means})[:2] == ("abcd", 0.5)


def test_final_models_of_several_runs_are_tried_too_and_the_recipe_gets_its_flags(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands = []

    def recipe(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        """Measure minus the distance of the weight from 2."""
        commands.append(command[1:])
        model, results = (
            Path(command[command.index(f"--{name}") + 1]) for name in ("model_name_or_path", "output_dir")
        )
        weight = load_file(model / "model.safetensors")["w"].item()
        results.mkdir()
        (results / "eval_results.json").write_text(json.dumps({"eval_accuracy": -abs(weight - 2), "epoch": 1.0}))
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr("hf_strategies.checkpoints.greedy.subprocess.run", recipe)
    runs = []
    for value in (0.5, 3.0, 5.0):  # 3 is best alone, (3 + 0.5) / 2 is nearer to 2, (3 + 0.5 + 5) / 3 is further
        runs.append(str(write_checkpoint(tmp_path / f"run_{value}", {"w": torch.tensor([value])})))
    flags = ["--greedy", "--metric", "accuracy", "--output", str(tmp_path / "o")]
    assert main(["average", *runs, *flags, "--recipe", "text_classification", "--validation-file", "x.csv"]) == 0
    assert load_file(tmp_path / "o" / "model.safetensors")["w"].item() == 1.75
    assert len(commands) == 5
    for command in commands:
        assert command[:4] == ["-m", "hf_strategies.recipes.text_classification", "--validation_file", "x.csv"]
        assert command[-6:] == ["--do_train", "false", "--do_eval", "true", "--do_predict", "false"]
    card = (tmp_path / "o" / "README.md").read_text()
    assert "the plain mean of 2 of 3 final models, by eval_accuracy as the recipe text_classification has it." in card
    assert "eval_accuracy of the average: -0.25." in card
    mistaken = ["--greedy", "--metric", "acuracy", "--mode", "max", "--output", str(tmp_path / "p")]
    assert main(["average", *runs, *mistaken, "--recipe", "text_classification"]) == 2


@pytest.fixture
def run(tmp_path: Path) -> tuple[Path, str]:
    """Two checkpoints of a tiny classifier with its tokenizer, and a validation set."""
    tokenizer = wordpiece(model_max_length=42)
    config = BertConfig(**SIZES, vocab_size=len(tokenizer), id2label={0: "calm", 1: "loud"})
    rows = [{"text": text, "label": label} for text, label in (("a calm lake", "calm"), ("a loud storm", "loud"))]
    for step in (2, 4):
        set_seed(step)
        folder = tmp_path / "run" / f"checkpoint-{step}"
        BertForSequenceClassification(config).save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        (folder / "trainer_state.json").write_text(json.dumps({"global_step": step, "log_history": []}))
    return tmp_path / "run", write_csv(tmp_path / "dev.csv", rows)


def loss_by_hand(folder: Path) -> float:
    tokenizer, model = wordpiece(), BertForSequenceClassification.from_pretrained(folder)
    inputs = tokenizer(["a calm lake", "a loud storm"], return_tensors="pt", padding=True)
    with torch.no_grad():
        return float(model.eval()(**inputs, labels=torch.tensor([0, 1])).loss)


@pytest.mark.parametrize("count", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_recipe_in_a_process_of_its_own_decides(
    run: tuple[Path, str], count: int, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, file = run
    flags = ["--last", str(count), "--recipe", "text_classification", "--validation_file", file, "--use_cpu"]
    assert main(["average", str(folder), "--greedy", *flags]) == 0
    printed = capsys.readouterr()
    alone = [loss_by_hand(folder / f"checkpoint-{step}") for step in (2, 4)[-count:]]
    kept = loss_by_hand(folder / "average")
    measured = [float(line.split(": ")[1]) for line in printed.err.splitlines()[:count]]
    assert measured == pytest.approx(alone, abs=1e-5)
    assert kept <= min(alone)
    taken = "taken in" in printed.err
    assert f"the plain mean of {2 if taken else 1} of {count} checkpoints of run, by eval_loss" in printed.out
    assert f"eval_loss of the average: {kept:.4f}"[:-1] in (folder / "average" / "README.md").read_text()
    assert not list(folder.glob("**/_candidate*"))


@pytest.mark.slow
def test_what_the_recipe_says_is_passed_on(
    run: tuple[Path, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, _ = run
    command = f"average {folder} --greedy --last 1 --recipe text_classification --use_cpu --validation_file"
    check_mistake(f"{command} {tmp_path}/none.csv", "the recipe text_classification failed: validation_file=", capsys)
    assert sorted(path.name for path in folder.iterdir()) == ["checkpoint-2", "checkpoint-4"]
