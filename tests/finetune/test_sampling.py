"""Training batches of like length: every row once, little padding, an order that seed and epoch decide."""

from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
import pytest
import torch
from datasets import Dataset
from safetensors.torch import load_file
from torch.utils.data import DataLoader, SequentialSampler
from transformers import TrainingArguments
from transformers.trainer_pt_utils import LengthGroupedSampler

from hf_strategies.errors import StrategyError
from hf_strategies.finetune.arguments import RecipeArguments
from hf_strategies.finetune.sampling import SeededLengthGroupedSampler, longest_first, token_counts
from hf_strategies.finetune.trainer import RecipeTrainer
from hf_strategies.recipes import text_classification
from tests.finetune.runs import QUIET, reviews, write_csv_splits
from tests.tiny import TinyModel

LENGTHS = np.random.default_rng(0).integers(3, 60, size=1003).tolist()


def batches(order: list[int]) -> list[list[int]]:
    """The lengths of the rows, eight by eight."""
    return [[LENGTHS[index] for index in order[start : start + 8]] for start in range(0, len(order), 8)]


def padding(order: list[int]) -> int:
    return sum(max(lengths) * len(lengths) - sum(lengths) for lengths in batches(order))


@pytest.mark.parametrize("rows", [1, 2, 7, 8, 9, 100, 1003])
@pytest.mark.parametrize("batch", [1, 8, 32])
@pytest.mark.parametrize("pool", [1, 8, 50])
def test_an_epoch_has_every_row_once(rows: int, batch: int, pool: int) -> None:
    assert sorted(SeededLengthGroupedSampler(LENGTHS[:rows], batch, seed=0, pool=pool)) == list(range(rows))


def test_a_pool_of_one_batch_has_the_batches_of_a_random_order_and_larger_ones_pad_less() -> None:
    order = np.random.default_rng((0, 0)).permutation(1003)[:1000].reshape(-1, 8)
    drawn = np.reshape(list(SeededLengthGroupedSampler(LENGTHS, 8, seed=0, pool=1))[:1000], (-1, 8))
    assert {frozenset(batch) for batch in drawn.tolist()} == {frozenset(batch) for batch in order.tolist()}
    padded = [padding(list(SeededLengthGroupedSampler(LENGTHS, 8, seed=0, pool=pool))) for pool in (1, 4, 8, 16)]
    assert padded == sorted(padded, reverse=True)
    assert padded[-1] < padded[0] / 3


def test_with_its_pool_there_is_at_most_a_fifth_more_padding_than_with_transformers_own_grouping() -> None:
    def theirs(seed: int) -> list[int]:
        return list(LengthGroupedSampler(8, lengths=LENGTHS, generator=torch.Generator().manual_seed(seed)))

    ours = list(SeededLengthGroupedSampler(LENGTHS, 8, seed=0, pool=50))
    epochs = range(20)
    assert mean(
        padding(list(SeededLengthGroupedSampler(LENGTHS, 8, seed=seed, pool=50))) for seed in epochs
    ) <= 1.2 * mean(padding(theirs(seed)) for seed in epochs)
    assert 5 * padding(ours) < padding(np.random.default_rng(1).permutation(1003).tolist())


def test_batches_do_not_come_in_the_order_of_their_length() -> None:
    def falls(order: list[int]) -> float:
        return float(np.mean(np.diff([max(lengths) for lengths in batches(order)]) <= 0))

    assert falls(list(LengthGroupedSampler(8, lengths=LENGTHS))) > 0.9
    assert 0.4 < falls(list(SeededLengthGroupedSampler(LENGTHS, 8, seed=0))) < 0.65


def test_the_longest_batch_comes_first_and_what_is_left_over_last() -> None:
    order = list(SeededLengthGroupedSampler(LENGTHS, 8, seed=3))
    assert max(LENGTHS[i] for i in order[:8]) == max(LENGTHS[i] for i in order[:1000])
    assert len(order[1000:]) == 3


def test_each_epoch_has_an_order_of_its_own_which_does_not_depend_on_those_before() -> None:
    one, other = SeededLengthGroupedSampler(LENGTHS, 8, seed=0), SeededLengthGroupedSampler(LENGTHS, 8, seed=0)
    first = list(one)
    one.set_epoch(1)
    other.set_epoch(1)
    assert list(one) == list(other) != first
    assert list(SeededLengthGroupedSampler(LENGTHS, 8, seed=1)) != first


def test_a_pool_that_would_do_nothing_is_refused_and_so_is_none_at_all() -> None:
    with pytest.raises(StrategyError, match="length_pool=4 has no effect with train_sampling_strategy='random'"):
        RecipeArguments(output_dir="out", length_pool=4, train_sampling_strategy="random", use_cpu=True)
    with pytest.raises(StrategyError, match="length_pool=0"):
        RecipeArguments(output_dir="out", length_pool=0, use_cpu=True)


def test_tokens_are_counted_of_rows_as_they_are_chosen_and_of_several_inputs_in_a_row() -> None:
    rows = Dataset.from_dict({"input_ids": [[1], [1, 2, 3], [], [1, 2]]})
    assert token_counts(rows).tolist() == [1, 3, 0, 2]
    assert token_counts(rows.select([3, 1])).tolist() == [2, 3]
    nested = Dataset.from_dict({"input_ids": [[[1], [1, 2]], [[1, 2, 3], [4]]]})
    assert token_counts(nested).tolist() == [2, 3]


def test_evaluation_rows_are_sorted_and_their_places_known() -> None:
    rows = Dataset.from_dict({"input_ids": [[1], [1, 2, 3], [1, 2], [7, 8]], "name": list("abcd")})
    ordered, order = longest_first(rows)
    assert ordered["name"][:] == ["b", "c", "d", "a"]
    assert order.tolist() == [1, 2, 3, 0]
    assert np.asarray(ordered["name"][:])[np.argsort(order)].tolist() == list("abcd")


def test_the_trainer_draws_training_rows_by_it_and_evaluates_in_order(tmp_path: Path) -> None:
    rows = Dataset.from_dict(
        {"input_ids": [[0] * n for n in LENGTHS], "x": [[0.0, 0.0]] * 1003, "labels": [0.0] * 1003}
    )

    args: dict[str, Any] = {"output_dir": str(tmp_path), "use_cpu": True, "report_to": "none"}
    grouped = TrainingArguments(**args, train_sampling_strategy="group_by_length", per_device_train_batch_size=4)
    trainer = RecipeTrainer(model=TinyModel(), args=grouped, train_dataset=rows, eval_dataset=rows)
    sampler = trainer._get_train_sampler()
    assert isinstance(sampler, SeededLengthGroupedSampler)
    assert list(sampler) == list(SeededLengthGroupedSampler(LENGTHS, 4, seed=42))
    assert isinstance(trainer._get_eval_sampler(rows), SequentialSampler)
    # The data loader passes the epoch on, as the Trainer needs it to.
    loader: Any = trainer.accelerator.prepare(DataLoader(range(1003), batch_size=4, sampler=sampler))
    loader.set_epoch(2)
    expected = SeededLengthGroupedSampler(LENGTHS, 4, seed=42)
    expected.set_epoch(2)
    assert list(sampler) == list(expected)
    random = TrainingArguments(**args, train_sampling_strategy="random")
    other = RecipeTrainer(model=TinyModel(), args=random, train_dataset=rows)
    assert not isinstance(other._get_train_sampler(), SeededLengthGroupedSampler)


@pytest.mark.parametrize("pool", ["1", "2", "50"])
def test_a_run_resumed_within_an_epoch_has_the_batches_of_a_whole_one(pool: str, tmp_path: Path) -> None:
    files = write_csv_splits(tmp_path, reviews)
    saves = ["--save_strategy", "steps", "--save_steps", "3", "--save_total_limit", "9"]
    sizes = ["--max_steps", "12", "--per_device_train_batch_size", "8", "--length_pool", pool]
    flags = [*QUIET, *files, *sizes, *saves, "--do_predict", "false", "--do_eval", "false"]
    text_classification.main([*flags, "--output_dir", str(tmp_path / "whole")])
    checkpoint = tmp_path / "whole" / "checkpoint-3"  # of eight steps of the epoch
    text_classification.main(
        [*flags, "--output_dir", str(tmp_path / "resumed"), "--resume_from_checkpoint", str(checkpoint)]
    )
    whole, resumed = (load_file(tmp_path / name / "model.safetensors") for name in ("whole", "resumed"))
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
