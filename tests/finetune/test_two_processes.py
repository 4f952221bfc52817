"""The recipe in two CPU processes does what it does in one."""

import csv
import random
from pathlib import Path
from typing import Any

import pytest

from tests.finetune.runs import QUIET
from tests.finetune.two_processes import run_recipe

WORDS = {"cats": ["meow", "purr", "whisker", "paw"], "dogs": ["bark", "fetch", "tail", "bone"]}
COMMON = ["the", "a", "is", "on", "we", "saw", "it", "near", "house"]


def write_examples(file: Path, count: int, seed: int) -> None:
    chance = random.Random(seed)
    with file.open("w", newline="") as handle:
        writer = csv.writer(handle)
        writer.writerow(["text", "label"])
        for index in range(count):
            label = ["cats", "dogs"][index % 2]
            words = chance.choices(COMMON, k=chance.randint(2, 12)) + chance.choices(WORDS[label], k=1)
            writer.writerow([" ".join(words), label])


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[dict[str, Any]]]:
    """One process with batches of 8, two with batches of 4: the same steps; then both evaluate the same weights."""
    folder = tmp_path_factory.mktemp("two")
    write_examples(folder / "train.csv", 64, seed=0)
    write_examples(folder / "validation.csv", 32, seed=1)
    data = ["--train_file", "train.csv", "--validation_file", "validation.csv"]
    flags = [*data, *QUIET, "--save_strategy", "no"]
    train = [
        *flags,
        "--num_train_epochs",
        "8",
        "--logging_steps",
        "1",
        "--eval_strategy",
        "steps",
        "--eval_steps",
        "4",
    ]
    train += [
        "--length_pool",
        "2",
        "--learning_rate",
        "2e-3",
        "--lr_scheduler_type",
        "exponential_warmup_cosine_decay",
    ]
    train += ["--early_stopping_patience", "2", "--early_stopping_monitor", "loss"]
    evaluate = [*flags, "--do_train", "false", "--do_predict", "false", "--model_name_or_path", "one"]
    found = {}
    for name, processes, batch in (("one", 1, 8), ("two", 2, 4)):
        sizes = ["--per_device_train_batch_size", str(batch), "--per_device_eval_batch_size", str(batch)]
        found[name] = run_recipe("text_classification", folder, [*train, *sizes, "--output_dir", name], processes)
        found[f"{name} evaluates"] = run_recipe(
            "text_classification", folder, [*evaluate, *sizes, "--output_dir", f"{name}-evaluates"], processes
        )
    return found


def test_there_really_are_two_processes(reports: dict[str, list[dict[str, Any]]]) -> None:
    assert [report["world_size"] for report in reports["two"]] == [2, 2]
    assert [report["distributed_type"] for report in reports["two"]] == ["MULTI_CPU", "MULTI_CPU"]
    assert [report["wrapped_model"] for report in reports["two"]] == ["DistributedDataParallel"] * 2
    assert [report["world_size"] for report in reports["one"]] == [1]


def test_each_step_has_the_learning_rate_that_it_has_in_one_process(
    reports: dict[str, list[dict[str, Any]]],
) -> None:
    (one,), (two, _) = reports["one"], reports["two"]
    common = min(len(one["learning_rates"]), len(two["learning_rates"]))
    assert common >= 12
    assert two["learning_rates"][:common] == one["learning_rates"][:common]


def test_both_ranks_stop_at_the_same_step_with_the_same_weights(reports: dict[str, list[dict[str, Any]]]) -> None:
    first, second = reports["two"]
    assert first["global_step"] == second["global_step"]
    assert first["records"] == second["records"]
    (record,) = first["records"].values()
    assert record["restored_best_weights"] is True
    assert first["weights"] == second["weights"]


def test_the_run_in_two_processes_was_stopped_early(reports: dict[str, list[dict[str, Any]]]) -> None:
    (record,) = reports["two"][0]["records"].values()
    assert record["stopped"] is True
    assert record["stop_step"] == reports["two"][0]["global_step"] < 64


def test_the_same_weights_have_the_same_evaluation_loss(reports: dict[str, list[dict[str, Any]]]) -> None:
    (one,) = reports["one evaluates"]
    losses = [report["eval_losses"] for report in reports["two evaluates"]]
    assert reports["two evaluates"][0]["world_size"] == 2
    assert losses == [pytest.approx(one["eval_losses"], abs=1e-6)] * 2
    assert len(one["eval_losses"]) == 1
