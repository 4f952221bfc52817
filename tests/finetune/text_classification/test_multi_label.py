"""Examples with any number of labels: from flags to files, and the same in two processes as in one."""

import random
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch
from datasets import ClassLabel, Dataset, Features, List, Value
from sklearn.metrics import f1_score
from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer, EvalPrediction

from hf_strategies import StrategyError
from hf_strategies.finetune.small_bert import train_wordpiece
from hf_strategies.finetune.text_classification.data import (
    ClassificationArguments,
    ClassificationData,
    choose_labels,
    encode,
    load_classification,
)
from hf_strategies.finetune.text_classification.labels import LABEL_KINDS
from hf_strategies.finetune.text_classification.threshold import best_threshold, label_probabilities
from hf_strategies.recipes import text_classification
from tests.finetune.runs import QUIET, predictions, read, write_jsonl
from tests.finetune.two_processes import measure_in_one, train_in_two, write_jsonl_splits

STEPS = ["--max_steps", "24", "--eval_strategy", "steps", "--eval_steps", "12", "--learning_rate", "3e-3"]
SIZES = ["--per_device_train_batch_size", "8", "--per_device_eval_batch_size", "4"]
FLAGS = [*QUIET, *SIZES, "--save_strategy", "no", "--label_column", "labels"]
PETS = ["bird", "cat", "dog"]
MULTI = "multi_label_classification"


def pets(count: int, seed: int) -> list[dict[str, Any]]:
    """Texts that name none to three pets."""
    chance = random.Random(seed)
    rows = []
    for index in range(count):
        labels = [pet for pet in PETS if chance.random() < 0.4]
        words = labels + chance.choices(["the", "a", "day"], k=chance.randint(1, 9))
        chance.shuffle(words)
        rows.append({"text": " ".join([f"no{index}", *words]), "labels": labels})
    return rows


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the data lies."""
    return write_jsonl_splits(tmp_path_factory.mktemp("multi"), pets)


@pytest.fixture(scope="module")
def two(folder: Path) -> list[dict[str, Any]]:
    """What two processes saw that trained a model, in the folder ``two``, and evaluated it."""
    return train_in_two(folder, [*FLAGS, *STEPS])


@pytest.fixture(scope="module")
def one(folder: Path, two: list[dict[str, Any]]) -> dict[str, float]:
    """The metrics that one process finds for the same model, at the threshold that the two found."""
    return measure_in_one(folder, FLAGS)


def outputs(folder: Path, rows: list[dict[str, Any]]) -> np.ndarray:
    """What the saved model says of each text alone: a probability for each label."""
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    with torch.inference_mode():
        found = [model(**tokenizer(row["text"], return_tensors="pt")).logits[0].numpy() for row in rows]
    return label_probabilities(np.array(found))


def hot(rows: list[dict[str, Any]], key: str = "labels") -> np.ndarray:
    return np.array([[int(pet in row[key]) for pet in PETS] for row in rows])


@pytest.mark.slow
def test_two_processes_measure_what_one_does_at_one_threshold(
    two: list[dict[str, Any]], one: dict[str, float]
) -> None:
    assert [report["world_size"] for report in two] == [2, 2]
    assert two[0]["weights"] == two[1]["weights"]
    for report in two:
        assert {name: report["metrics"][name] for name in ("eval_micro_f1", "eval_macro_f1")} == {
            name: one[name] for name in ("eval_micro_f1", "eval_macro_f1")
        }
    assert one["eval_micro_f1"] > 0.6


@pytest.mark.usefixtures("one")
class TestFiles:
    """What the two runs wrote."""

    def test_the_model_says_what_it_is(self, folder: Path) -> None:
        config = AutoConfig.from_pretrained(folder / "two")
        assert (config.problem_type, config.id2label) == (MULTI, dict(enumerate(PETS)))
        assert config.threshold == read(folder / "two" / "all_results.json")["threshold"]

    def test_the_threshold_is_the_best_one_on_the_validation_set(self, folder: Path) -> None:
        threshold = AutoConfig.from_pretrained(folder / "two").threshold
        found, truth = outputs(folder / "two", pets(19, 1)), hot(pets(19, 1))
        assert threshold == pytest.approx(best_threshold(found, truth), abs=1e-4)
        assert threshold != 0.5
        f1 = f1_score(truth, found >= threshold, average="micro")
        assert read(folder / "two" / "all_results.json")["eval_micro_f1"] == pytest.approx(f1)

    def test_metrics_during_training_are_at_the_best_threshold_of_their_time(self, folder: Path) -> None:
        log = read(folder / "two" / "trainer_state.json")["log_history"]
        last = [row for row in log if "eval_micro_f1" in row][-1]
        found, truth = outputs(folder / "two", pets(19, 1)), hot(pets(19, 1))
        assert last["eval_threshold"] == pytest.approx(best_threshold(found, truth), abs=1e-4)
        assert last["eval_micro_f1"] == pytest.approx(
            f1_score(truth, found >= last["eval_threshold"], average="micro")
        )
        assert last["eval_micro_f1"] > f1_score(truth, found >= 0.5, average="micro")

    def test_predictions_are_the_labels_at_least_as_likely_as_the_threshold(self, folder: Path) -> None:
        config, rows = AutoConfig.from_pretrained(folder / "two"), predictions(folder / "two")
        assert [row["text"] for row in rows] == [row["text"] for row in pets(11, 2)]
        found = outputs(folder / "two", pets(11, 2))
        for row, likely in zip(rows, found, strict=True):
            given = {pet: value for pet, value in zip(PETS, likely, strict=True) if value >= config.threshold}
            assert row["prediction"] == sorted(given, key=lambda pet: -row["probabilities"][pet])
            assert row["probabilities"] == pytest.approx(dict(zip(PETS, likely, strict=True)), abs=1e-5)
        f1 = f1_score(hot(rows, "label"), hot(rows, "prediction"), average="micro")
        assert read(folder / "two" / "all_results.json")["test_micro_f1"] == pytest.approx(f1)

    def test_an_evaluation_alone_says_the_same(self, folder: Path) -> None:
        first, again = predictions(folder / "two"), predictions(folder / "one")
        assert [row["prediction"] for row in first] == [row["prediction"] for row in again]
        metrics = [read(folder / name / "all_results.json")["test_micro_f1"] for name in ("two", "one")]
        assert metrics[0] == metrics[1]

    def test_the_card_compares_with_the_baselines(self, folder: Path) -> None:
        card = (folder / "two" / "README.md").read_text(encoding="utf-8")
        for name in ("this model", "most frequent labels", "TF-IDF + one-vs-rest logistic regression"):
            assert f"- test set, {name}: micro_f1 " in card


@pytest.mark.usefixtures("two")
def test_training_a_tuned_model_further_tunes_a_new_threshold(folder: Path, tmp_path: Path) -> None:
    files = [f"--{split}_file={folder / split}.jsonl" for split in ("train", "validation")]
    flags = ["--model_name_or_path", str(folder / "two"), "--max_steps", "1", "--learning_rate", "1e-12"]
    flags += ["--eval_strategy", "steps", "--eval_steps", "1", "--output_dir", str(tmp_path / "out")]
    trainer = text_classification.main([*FLAGS, *files, *flags])
    during, after = [row for row in trainer.state.log_history if "eval_micro_f1" in row]
    assert during["eval_micro_f1"] == pytest.approx(after["eval_micro_f1"])
    assert "eval_threshold" in during
    assert "eval_threshold" not in after


def test_with_many_unlikely_labels_the_metric_moves_before_any_label_is_likely() -> None:
    """62 labels, of which each row has one; the model learns the order long before a probability exceeds a half."""
    random = np.random.default_rng(0)
    truth = np.eye(62, dtype=int)[random.integers(0, 62, 200)]
    noise = random.normal(size=truth.shape)
    model = SimpleNamespace(config=SimpleNamespace())
    kind = LABEL_KINDS[MULTI]

    def score(strength: float, *, trains: bool) -> float:
        logits = strength * truth + noise - 9.0
        compute = kind.compute_metrics(cast(Any, model), trains=trains)
        return compute(EvalPrediction(logits, truth))["micro_f1"]

    assert [score(strength, trains=False) for strength in (0.0, 2.0, 4.0)] == [0.0, 0.0, 0.0]
    tuned = [score(strength, trains=True) for strength in (0.0, 2.0, 4.0)]
    assert tuned == sorted(tuned)
    assert tuned[0] < 0.1 < 0.5 < tuned[-1]


def data(tmp_path: Path, labels: list[Any], **flags: Any) -> ClassificationData:
    file = write_jsonl(
        tmp_path / "rows.jsonl", [{"text": f"t{index}", "label": label} for index, label in enumerate(labels)]
    )
    return load_classification(ClassificationArguments(train_file=file, validation_file=file, **flags))


def test_lists_are_several_labels_and_none_and_become_zeros_and_ones(tmp_path: Path) -> None:
    loaded = data(tmp_path, [["b", "a", "b"], [], ["c"]])
    assert (loaded.kind.name, loaded.labels) == (MULTI, ("a", "b", "c"))
    assert loaded.splits["train"]["label"][:] == [["b", "a"], [], ["c"]]
    labels = choose_labels(loaded, ("LABEL_0", "LABEL_1"))
    encoded = encode(ClassificationArguments(), loaded, train_wordpiece(loaded.texts), labels, max_length=8)
    assert encoded["train"]["labels"][:] == [[1.0, 1.0, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 1.0]]


def test_a_model_for_these_labels_keeps_their_order(tmp_path: Path) -> None:
    assert choose_labels(data(tmp_path, [["a"], ["b"]]), ("c", "b", "a")) == ("c", "b", "a")
    assert choose_labels(data(tmp_path, [["a"], ["b"]]), ("C", "B", "A")) == ("C", "b", "a")


@pytest.mark.parametrize(("separator", "flags"), [("|", {}), (";", {"label_separator": ";"})])
def test_a_text_is_cut_at_the_separator_and_may_be_empty(
    separator: str, flags: dict[str, str], tmp_path: Path
) -> None:
    rows = ["text,label", f"x,b{separator}a", "y,", f"z,a {separator} b{separator}", "w,c d"]
    (tmp_path / "rows.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    file = str(tmp_path / "rows.csv")
    loaded = load_classification(
        ClassificationArguments(train_file=file, validation_file=file, problem_type=MULTI, **flags)
    )
    assert loaded.splits["train"]["label"][:] == [["b", "a"], [], ["a", "b"], ["c d"]]
    assert loaded.labels == ("a", "b", "c d")


def test_whole_numbers_stay_whole_beside_an_empty_cell(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("text,label\nx,3\ny,\nz,10\n", encoding="utf-8")
    file = str(tmp_path / "rows.csv")
    loaded = load_classification(ClassificationArguments(train_file=file, validation_file=file, problem_type=MULTI))
    assert loaded.splits["train"]["label"][:] == [["3"], [], ["10"]]
    assert loaded.labels == ("3", "10")


def test_named_classes_in_lists_keep_their_names_and_order(tmp_path: Path) -> None:
    features = Features({"text": Value("string"), "label": List(ClassLabel(names=["z", "y", "x"]))})
    file = str(tmp_path / "rows.parquet")
    Dataset.from_dict({"text": ["a", "b"], "label": [[0, 2], []]}, features=features).to_parquet(file)
    loaded = load_classification(ClassificationArguments(train_file=file, validation_file=file))
    assert loaded.labels == ("z", "y", "x")
    assert loaded.splits["train"]["label"][:] == [["z", "x"], []]


@pytest.mark.parametrize(
    ("labels", "flags", "words"),
    [
        ([None, None], {"problem_type": MULTI}, r"no row of the train split has a label in 'label': give at least"),
        ([["a"], ["b", None]], {}, r"row 1 of the train split has 'label' = \['b', None\]: a label is missing"),
        ([[0.5, 1.0], [1.0, 0.0]], {}, r"label_column='label' holds lists of float64: give lists of the names"),
        ([[True], [False]], {}, r"holds lists of bool: give lists of the names"),
        ([[["a"]]], {}, r"holds lists of lists: give lists of the names"),
        ([[], []], {}, r"no example of the training set has a label: give at least one"),
        ([["a"]], {"problem_type": "single_label_classification"}, r"'label' holds lists: give --problem_type multi"),
    ],
)
def test_lists_that_are_no_labels_are_told(
    labels: list[Any], flags: dict[str, str], words: str, tmp_path: Path
) -> None:
    with pytest.raises(StrategyError, match=words):
        choose_labels(data(tmp_path, labels, **flags), ("LABEL_0", "LABEL_1"))


def test_a_label_that_training_lacks_is_told_with_its_row(tmp_path: Path) -> None:
    train = write_jsonl(tmp_path / "train.jsonl", [{"text": "t", "label": ["cat", "dog"]}])
    other = write_jsonl(
        tmp_path / "other.jsonl", [{"text": "t", "label": []}, {"text": "t", "label": ["cat", "dgo"]}]
    )
    loaded = load_classification(ClassificationArguments(train_file=train, validation_file=other))
    words = r"label 'dgo' \(row 1 of the validation split\) is not in the training set: did you mean 'dog'\?"
    with pytest.raises(StrategyError, match=words):
        choose_labels(loaded, ())
    with pytest.raises(StrategyError, match="is not one of the model's"):
        choose_labels(loaded, ("cat", "dog"), fixed=True)


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ({"label_separator": ";"}, "label_separator=';' has no effect without --problem_type multi_label"),
        ({"label_separator": "", "problem_type": MULTI}, "label_separator='' separates nothing: give such as"),
    ],
)
def test_a_separator_that_has_no_use_is_refused(flags: dict[str, str], words: str) -> None:
    with pytest.raises(StrategyError, match=words):
        ClassificationArguments(**flags)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--class_weights", "balanced"], f"class_weights='balanced' with problem_type='{MULTI}': only single"),
        (["--label_smoothing_factor", "0.1"], f"label_smoothing_factor=0.1 with problem_type='{MULTI}': only single"),
        (["--metric_for_best_model", "accuracy"], "metric_for_best_model='accuracy' is no metric here: known: "),
    ],
)
def test_what_only_single_labels_have_is_refused_before_a_model_is_loaded(
    flags: list[str], words: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(text_classification, "load_model")
    files = [f"--{split}_file={folder / split}.jsonl" for split in ("train", "validation")]
    with pytest.raises(StrategyError, match=words):
        text_classification.main([*FLAGS, *files, *flags, "--output_dir", str(tmp_path / "out")])
