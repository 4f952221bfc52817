"""Tags in two CPU processes: one evaluation, gathered in order, equal to that of one process."""

from pathlib import Path
from typing import Any

import pytest

from hf_strategies.recipes import token_classification
from tests.finetune.programs.rank_report import last_metrics
from tests.finetune.runs import QUIET, predictions
from tests.finetune.token_classification.sentences import sentences
from tests.finetune.two_processes import run_recipe, write_jsonl_splits

FLAGS = [*QUIET, "--save_strategy", "no", "--max_length", "9", "--per_device_eval_batch_size", "4"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the data and the runs lie: 19 validation sentences, in batches of 4 on each of two processes."""
    return write_jsonl_splits(tmp_path_factory.mktemp("two"), sentences)


@pytest.fixture(scope="module")
def two(folder: Path) -> list[dict[str, Any]]:
    """What each rank saw of a training in two processes, whose weights at the end are evaluated and saved."""
    files = ["--train_file", "train.jsonl", "--validation_file", "validation.jsonl", "--test_file", "test.jsonl"]
    flags = ["--max_steps", "40", "--eval_strategy", "steps", "--eval_steps", "20", "--learning_rate", "3e-3"]
    flags += ["--per_device_train_batch_size", "8", "--output_dir", "two"]
    return run_recipe("token_classification", folder, [*FLAGS, *files, *flags])


@pytest.fixture(scope="module")
def one(folder: Path, two: list[dict[str, Any]]) -> dict[str, float]:
    """The metrics of the same weights in this process alone."""
    files = ["--validation_file", str(folder / "validation.jsonl"), "--test_file", str(folder / "test.jsonl")]
    flags = ["--do_train", "false", "--model_name_or_path", str(folder / "two"), "--output_dir", str(folder / "one")]
    return last_metrics(token_classification.main([*FLAGS, *files, *flags]).state.log_history)


def test_there_really_are_two_processes(two: list[dict[str, Any]]) -> None:
    assert [report["world_size"] for report in two] == [2, 2]
    assert [report["wrapped_model"] for report in two] == ["DistributedDataParallel"] * 2
    assert two[0]["weights"] == two[1]["weights"]


def test_the_same_weights_have_the_same_metrics_in_one_process(
    two: list[dict[str, Any]], one: dict[str, float]
) -> None:
    names = ["eval_precision", "eval_recall", "eval_f1", "eval_accuracy"]
    for report in two:
        assert [report["metrics"][name] for name in names] == [one[name] for name in names]
        # A loss is the mean over batches, the last of which two processes fill up with other rows.
        assert report["metrics"]["eval_loss"] == pytest.approx(one["eval_loss"], rel=0.1)
    assert 0.3 < one["eval_f1"] < 1


@pytest.mark.usefixtures("one")
def test_the_same_weights_have_the_same_predictions_in_one_process(folder: Path) -> None:
    assert predictions(folder / "two") == predictions(folder / "one")
    assert [row["tokens"] for row in predictions(folder / "one")] == [row["tokens"] for row in sentences(11, 2)]
