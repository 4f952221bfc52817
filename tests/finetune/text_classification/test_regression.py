"""Labels that are numbers: from flags to files, and the same in two processes as in one."""

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer

from hf_strategies import StrategyError
from hf_strategies.finetune.text_classification.data import (
    ClassificationArguments,
    ClassificationData,
    choose_labels,
    load_classification,
)
from hf_strategies.finetune.text_classification.labels import kind_of_model
from hf_strategies.recipes import text_classification
from tests.finetune.programs.rank_report import last_metrics
from tests.finetune.runs import QUIET, predictions, read, write_jsonl
from tests.finetune.two_processes import measure_in_one, train_in_two, write_jsonl_splits

STEPS = ["--max_steps", "30", "--eval_strategy", "steps", "--eval_steps", "15", "--learning_rate", "5e-3"]
SIZES = ["--per_device_train_batch_size", "8", "--per_device_eval_batch_size", "4"]
FLAGS = [*QUIET, *SIZES, "--save_strategy", "no"]


def stars(count: int, seed: int) -> list[dict[str, Any]]:
    """Texts whose number of stars, from 0.5 to 4.5, is that of their good words."""
    chance = random.Random(seed)
    rows = []
    for index in range(count):
        good = chance.randint(0, 4)
        words = ["fine"] * good + ["grim"] * (4 - good) + chance.choices(["the", "a", "day"], k=chance.randint(1, 9))
        chance.shuffle(words)
        rows.append({"text": " ".join([f"no{index}", *words]), "label": good + 0.5})
    return rows


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the data lies."""
    return write_jsonl_splits(tmp_path_factory.mktemp("regression"), stars)


@pytest.fixture(scope="module")
def two(folder: Path) -> list[dict[str, Any]]:
    """What two processes saw that trained a model, in the folder ``two``, and evaluated it."""
    return train_in_two(folder, [*FLAGS, *STEPS])


@pytest.fixture(scope="module")
def one(folder: Path, two: list[dict[str, Any]]) -> dict[str, float]:
    """The metrics that one process finds for the same model."""
    return measure_in_one(folder, FLAGS)


@pytest.mark.slow
def test_two_processes_measure_what_one_does(two: list[dict[str, Any]], one: dict[str, float]) -> None:
    assert [report["world_size"] for report in two] == [2, 2]
    assert two[0]["weights"] == two[1]["weights"]
    for report in two:
        for name in ("eval_pearson", "eval_spearman", "eval_rmse"):
            assert report["metrics"][name] == pytest.approx(one[name], rel=1e-3)
    assert one["eval_loss"] == pytest.approx(one["eval_rmse"] ** 2, rel=1e-4)
    assert one["eval_pearson"] > 0.5


@pytest.mark.usefixtures("one")
class TestFiles:
    """What the two runs wrote."""

    def test_the_model_says_what_it_is(self, folder: Path) -> None:
        config = AutoConfig.from_pretrained(folder / "two")
        assert (config.problem_type, config.num_labels, config.id2label) == ("regression", 1, {0: "score"})
        kind = kind_of_model(config)
        assert kind is not None
        assert kind.name == "regression"

    def test_each_prediction_is_the_number_that_the_model_gives_its_text_alone(self, folder: Path) -> None:
        model = AutoModelForSequenceClassification.from_pretrained(folder / "two").eval()
        tokenizer = AutoTokenizer.from_pretrained(folder / "two")
        rows = predictions(folder / "two")
        assert [(row["text"], row["label"]) for row in rows] == [(row["text"], row["label"]) for row in stars(11, 2)]
        with torch.inference_mode():
            alone = [float(model(**tokenizer(row["text"], return_tensors="pt")).logits[0, 0]) for row in rows]
        assert [row["prediction"] for row in rows] == pytest.approx(alone, abs=1e-4)
        assert [row["prediction"] for row in predictions(folder / "one")] == pytest.approx(alone, abs=1e-4)

    def test_the_test_metrics_are_those_of_the_predictions(self, folder: Path) -> None:
        rows, results = predictions(folder / "two"), read(folder / "two" / "all_results.json")
        errors = np.array([row["prediction"] - row["label"] for row in rows])
        assert results["test_rmse"] == pytest.approx(np.sqrt(np.square(errors).mean()), rel=1e-5)
        assert "threshold" not in results

    def test_the_card_compares_with_the_baselines(self, folder: Path) -> None:
        card = (folder / "two" / "README.md").read_text(encoding="utf-8")
        for name in ("this model", "mean of the labels", "TF-IDF + ridge regression"):
            assert f"- test set, {name}: pearson " in card


def data(tmp_path: Path, labels: list[Any], **flags: Any) -> ClassificationData:
    file = write_jsonl(
        tmp_path / "rows.jsonl", [{"text": f"t{index}", "label": label} for index, label in enumerate(labels)]
    )
    return load_classification(ClassificationArguments(train_file=file, validation_file=file, **flags))


def test_fractions_are_taken_for_regression_and_the_labels_are_numbers(tmp_path: Path) -> None:
    loaded = data(tmp_path, [0.5, 2, 3])
    assert loaded.kind.name == "regression"
    assert loaded.splits["train"]["label"][:] == [0.5, 2.0, 3.0]
    assert choose_labels(loaded, ("LABEL_0", "LABEL_1")) == ("score",)
    assert choose_labels(loaded, ("LABEL_0",)) == ("LABEL_0",)  # one output has no other meaning


def test_whole_numbers_written_as_fractions_are_too_and_it_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert data(tmp_path, [1.0, 2.0]).kind.name == "regression"
    assert "taken for regression. If they are classes, give --problem_type single_label" in caplog.text


@pytest.mark.parametrize("labels", [[0, 5, 3], ["0", "5", " 3.0 "]])
def test_whole_numbers_and_texts_are_numbers_when_told_so(labels: list[Any], tmp_path: Path) -> None:
    assert data(tmp_path, labels).kind.name == "single_label_classification"
    assert data(tmp_path, labels, problem_type="regression").splits["train"]["label"][:] == [0.0, 5.0, 3.0]


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        ([1.5, float("inf")], r"row 1 of the train split has 'label' = inf: regression needs finite numbers"),
        ([1.5, float("nan")], r"row 1 of the train split has 'label' = nan: regression needs finite numbers"),
        (["1", "many"], r"row 1 of the train split has 'label' = 'many': regression needs numbers"),
        ([None, None], r"no row of the train split has a label in 'label': give at least one"),
    ],
)
def test_a_label_that_is_no_finite_number_is_told_with_its_row(labels: list[Any], words: str, tmp_path: Path) -> None:
    rows = "".join(json.dumps({"text": "t", "label": label}) + "\n" for label in labels)
    (tmp_path / "rows.jsonl").write_text(rows, encoding="utf-8")
    with pytest.raises(StrategyError, match=words):
        load_classification(
            ClassificationArguments(train_file=str(tmp_path / "rows.jsonl"), problem_type="regression")
        )


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (
            ["--early_stopping_patience", "2", "--early_stopping_monitor", "accuracy"],
            "no metric here: known: 'loss', 'p",
        ),
        (["--class_weights", "balanced"], "class_weights='balanced' with problem_type='regression': only single"),
        (
            ["--label_smoothing_factor", "0.1"],
            "label_smoothing_factor=0.1 with problem_type='regression': only single",
        ),
    ],
)
def test_what_only_classes_have_is_refused_before_a_model_is_loaded(
    flags: list[str], words: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(text_classification, "load_model")
    files = [f"--{split}_file={folder / split}.jsonl" for split in ("train", "validation")]
    with pytest.raises(StrategyError, match=words):
        text_classification.main([*FLAGS, *files, *flags, "--output_dir", str(tmp_path / "out")])


class TestAModelThatIsOnlyEvaluated:
    """Its own kind of labels counts, not what the data look like."""

    def flags(self, folder: Path, tmp_path: Path) -> list[str]:
        whole = write_jsonl(tmp_path / "whole.jsonl", [row | {"label": int(row["label"])} for row in stars(6, 1)])
        model = ["--do_train", "false", "--model_name_or_path", str(folder / "two")]
        return [*FLAGS, *model, "--validation_file", whole, "--output_dir", str(tmp_path / "out")]

    @pytest.mark.usefixtures("two")
    def test_whole_numbers_are_numbers_for_a_regression_model(self, folder: Path, tmp_path: Path) -> None:
        trainer = text_classification.main(self.flags(folder, tmp_path))
        assert "eval_rmse" in last_metrics(trainer.state.log_history)

    @pytest.mark.usefixtures("two")
    def test_another_problem_type_is_refused(self, folder: Path, tmp_path: Path) -> None:
        words = "problem_type='single_label_classification' does not fit the model, whose own is 'regression'"
        with pytest.raises(StrategyError, match=words):
            text_classification.main([*self.flags(folder, tmp_path), "--problem_type", "single_label_classification"])

    def test_a_model_with_several_outputs_does_no_regression(self, tmp_path: Path) -> None:
        loaded = data(tmp_path, [0.5, 2])
        with pytest.raises(StrategyError, match="problem_type='regression' needs a model with one output: it has 2"):
            choose_labels(loaded, ("a", "b"), fixed=True)


@pytest.mark.usefixtures("two")
def test_a_model_of_another_kind_becomes_one_of_this(folder: Path, tmp_path: Path) -> None:
    classes = write_jsonl(
        tmp_path / "classes.jsonl", [row | {"label": "ab"[index % 2]} for index, row in enumerate(stars(16, 0))]
    )
    flags = [*FLAGS, "--max_steps", "2", "--model_name_or_path", str(folder / "two")]
    text_classification.main([*flags, "--train_file", classes, "--output_dir", str(tmp_path / "classes")])
    config = AutoConfig.from_pretrained(tmp_path / "classes")
    assert (config.problem_type, config.id2label) == ("single_label_classification", {0: "a", 1: "b"})
    flags[-1] = str(tmp_path / "classes")
    numbers = str(folder / "train.jsonl")
    text_classification.main([*flags, "--train_file", numbers, "--output_dir", str(tmp_path / "numbers")])
    assert AutoConfig.from_pretrained(tmp_path / "numbers").problem_type == "regression"
