"""The multiple-choice recipe from flags to files, in one process and in two."""

import json
import random
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForMultipleChoice, AutoTokenizer, Trainer

from hf_strategies import StrategyError
from hf_strategies.recipes import multiple_choice
from tests.finetune.runs import QUIET, predictions, read
from tests.finetune.two_processes import run_recipe

TRAIN_IN_EIGHTS = [*QUIET, "--per_device_train_batch_size", "8"]
STEPS = ["--max_steps", "4", "--eval_strategy", "steps", "--eval_steps", "2", "--logging_steps", "1"]
SAVES = ["--save_strategy", "steps", "--save_steps", "2", "--save_total_limit", "3"]
NOUNS = ["cat", "dog", "plum", "river", "house", "train"]


def quiz(count: int, seed: int, labels: bool = True) -> list[dict[str, Any]]:
    """Contexts of 1 to 20 words with three or four endings of 1 to 9 words."""
    chance = random.Random(seed)
    rows = []
    for index in range(count):
        row: dict[str, Any] = {
            "sent1": " ".join(chance.choices(NOUNS, k=chance.randint(1, 20))) + f" {index}",
            "sent2": "It",
        }
        count_of_endings = 3 + index % 3 // 2
        for place in range(count_of_endings):
            row[f"ending{place}"] = " ".join(chance.choices(NOUNS, k=chance.randint(1, 9))) + f" {place}"
        rows.append(row | ({"label": index % count_of_endings} if labels else {}))
    return rows


def endings_of(row: dict[str, Any]) -> list[str]:
    return [f"It {row[name]}" for name in sorted(row) if name.startswith("ending")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("choice")
    for seed, (name, count) in enumerate({"train": 40, "validation": 19, "test": 13}.items()):
        (folder / f"{name}.json").write_text(json.dumps(quiz(count, seed)), encoding="utf-8")
    (folder / "hidden.json").write_text(json.dumps(quiz(5, 9, labels=False)), encoding="utf-8")
    return folder


def run(folder: Path, out: str, *flags: str, evaluation_batch: int = 4, test: str = "test") -> Trainer:
    files = [f"--{name}_file={folder / name}.json" for name in ("train", "validation")]
    files += [f"--test_file={folder / test}.json", f"--per_device_eval_batch_size={evaluation_batch}"]
    trainer: Trainer = multiple_choice.main([*TRAIN_IN_EIGHTS, *files, *flags, "--output_dir", str(folder / out)])
    return trainer


@pytest.fixture(scope="module")
def plain(folder: Path) -> Path:
    """A run of four steps at a constant learning rate, with baselines."""
    run(folder, "plain", *STEPS, *SAVES, "--baselines", "--lr_scheduler_type", "constant")
    return folder / "plain"


def weights(out: Path) -> dict[str, torch.Tensor]:
    return dict(AutoModelForMultipleChoice.from_pretrained(out).named_parameters())


def test_a_prediction_is_what_the_saved_model_says_of_that_row_alone(plain: Path, folder: Path) -> None:
    model, tokenizer = AutoModelForMultipleChoice.from_pretrained(plain).eval(), AutoTokenizer.from_pretrained(plain)
    rows = read(folder / "test.json")
    assert [row["sent1"] for row in predictions(plain)] == [row["sent1"] for row in rows]
    right = 0
    for row, said in zip(rows, predictions(plain), strict=True):
        endings = endings_of(row)
        inputs = tokenizer([row["sent1"]] * len(endings), endings, padding=True, return_tensors="pt")
        with torch.inference_mode():
            likely = model(**{name: value[None] for name, value in inputs.items()}).logits.softmax(-1)[0]
        assert len(likely) in (3, 4)
        assert said["prediction"] == int(likely.argmax())
        assert said["prediction_text"] == row[f"ending{said['prediction']}"]
        assert said["probability"] == pytest.approx(float(likely.max()), abs=1e-5)
        assert said["probabilities"] == pytest.approx(likely.tolist(), abs=1e-5)
        right += said["prediction"] == row["label"]
    assert read(plain / "all_results.json")["test_accuracy"] == pytest.approx(right / len(rows))


def test_loss_and_accuracy_of_the_validation_set_are_those_of_a_plain_loop(plain: Path, folder: Path) -> None:
    model, tokenizer = AutoModelForMultipleChoice.from_pretrained(plain).eval(), AutoTokenizer.from_pretrained(plain)
    losses, right = [], 0
    for row in read(folder / "validation.json"):
        endings = endings_of(row)
        inputs = tokenizer([row["sent1"]] * len(endings), endings, padding=True, return_tensors="pt")
        with torch.inference_mode():
            scores = model(**{name: value[None] for name, value in inputs.items()}).logits.double().log_softmax(-1)[0]
        losses.append(-float(scores[row["label"]]))
        right += int(scores.argmax()) == row["label"]
    results = read(plain / "all_results.json")
    assert results["eval_loss"] == pytest.approx(sum(losses) / len(losses), rel=1e-6)
    assert results["eval_accuracy"] == pytest.approx(right / len(losses))


def test_baselines_are_on_the_model_card(plain: Path) -> None:
    card = (plain / "README.md").read_text(encoding="utf-8")
    assert "test set, most frequent place: accuracy" in card
    assert "test set, TF-IDF, ending like context: accuracy" in card


def test_a_resumed_run_ends_with_the_weights_of_one_that_went_through(plain: Path, folder: Path) -> None:
    checkpoint = str(plain / "checkpoint-2")
    run(folder, "resumed", *STEPS, *SAVES, "--lr_scheduler_type", "constant", "--resume_from_checkpoint", checkpoint)
    one, other = weights(plain), weights(folder / "resumed")
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_a_saved_model_predicts_rows_without_labels(plain: Path, folder: Path) -> None:
    run(folder, "hidden", "--do_train", "false", "--model_name_or_path", str(plain), test="hidden")
    assert len(predictions(folder / "hidden")) == 5
    assert "test_accuracy" not in read(folder / "hidden" / "all_results.json")
    assert read(folder / "hidden" / "all_results.json")["eval_loss"] == pytest.approx(
        read(plain / "all_results.json")["eval_loss"], rel=1e-6
    )


def test_an_unknown_metric_is_told_before_a_model_is_loaded(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(multiple_choice, "load_model", None)
    flags = ["--early_stopping_patience", "2", "--early_stopping_monitor", "macro_f1"]
    with pytest.raises(StrategyError, match=r"monitor='macro_f1' is no metric here: .*'accuracy'"):
        run(folder, "never", *flags)
    assert not (folder / "never").exists()


@pytest.mark.slow
def test_two_processes_measure_what_one_does(plain: Path, folder: Path) -> None:
    """19 rows are no multiple of two batches of four, so that some are evaluated twice and must not count twice."""
    flags = [*QUIET, "--do_train", "false", "--do_predict", "false", "--model_name_or_path", str(plain)]
    flags += ["--validation_file", str(folder / "validation.json"), "--per_device_eval_batch_size", "4"]
    reports = run_recipe("multiple_choice", folder, [*flags, "--output_dir", str(folder / "two")])
    assert [report["world_size"] for report in reports] == [2, 2]
    one = {name: value for name, value in read(plain / "all_results.json").items() if name in reports[0]["metrics"]}
    assert set(one) >= {"eval_loss", "eval_accuracy"}
    assert [report["metrics"] for report in reports] == [pytest.approx(one, rel=1e-6)] * 2
