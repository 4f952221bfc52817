"""Batches of rows with similar lengths, in an order that depends only on the seed and the epoch."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from datasets import Dataset
from torch.utils.data import Sampler

from hf_strategies.finetune.encoding import list_column

__all__ = ["LENGTH_POOL", "SeededLengthGroupedSampler", "longest_first", "token_counts"]

LENGTH_POOL = 8
"""The default number of batches that are sorted together; its table is in benchmarks/results/batches.md."""

_MIN_POOLS = 4  # per epoch: with fewer, the batches would be nearly the same in each epoch


class SeededLengthGroupedSampler(Sampler[int]):
    """Draw each row once per epoch, so that the rows of a batch have similar lengths.

    A random order is cut into pools of up to ``pool`` batches, each pool is sorted by length and cut into batches,
    and the batches of all pools are shuffled. The batch with the longest row comes first, so that a batch that does
    not fit into memory fails at once; the rows that do not fill a batch come last.

    transformers' `LengthGroupedSampler` leaves the batches of a pool in the order of their lengths, and draws from
    the global random numbers, so that a resumed epoch has another order. Here the order depends only on ``seed`` and
    the epoch.

    Args:
        lengths: The length of each row.
        batch: The number of rows of a step, on all processes together.
        seed: Seed of the order.
        pool: The number of batches that are sorted together. With 1 the batches are random; with more there is less
            padding, and the batches of an epoch are less like those of a random order.

    >>> sampler = SeededLengthGroupedSampler([3, 9, 1, 8, 2, 7], batch=2, seed=0)
    >>> sorted(sampler), list(sampler) == list(sampler)
    ([0, 1, 2, 3, 4, 5], True)
    """

    def __init__(
        self, lengths: Sequence[int] | np.ndarray, batch: int, *, seed: int, pool: int = LENGTH_POOL
    ) -> None:
        self._lengths = np.asarray(lengths)
        self._batch, self._seed, self._pool, self._epoch = batch, seed, pool, 0

    def set_epoch(self, epoch: int) -> None:
        """Draw the order of ``epoch`` from now on; the data loader calls it."""
        self._epoch = epoch

    def __len__(self) -> int:
        return len(self._lengths)

    def __iter__(self) -> Iterator[int]:
        random = np.random.default_rng((self._seed, self._epoch))
        order = random.permutation(len(self))
        whole = len(order) // self._batch * self._batch
        pool = self._batch * max(1, min(self._pool, len(order) // (_MIN_POOLS * self._batch)))
        for start in range(0, whole, pool):
            part = order[start : min(start + pool, whole)]
            order[start : start + len(part)] = part[np.argsort(-self._lengths[part], kind="stable")]
        batches = order[:whole].reshape(-1, self._batch)
        if len(batches):
            random.shuffle(batches)
            longest = int(self._lengths[batches].max(axis=1).argmax())
            batches[[0, longest]] = batches[[longest, 0]]
        yield from (int(index) for index in (*batches.reshape(-1), *order[whole:]))


def token_counts(rows: Dataset) -> np.ndarray:
    """Return the number of tokens of each row; if a row has several inputs, as in multiple choice, of the longest."""
    ids = list_column(rows, "input_ids")
    return np.asarray([_longest(row) for row in ids] if _is_nested(ids) else ids.value_lengths())


def longest_first(rows: Dataset) -> tuple[Dataset, np.ndarray]:
    """Return the rows sorted from the longest to the shortest, and the original place of each.

    >>> rows = Dataset.from_dict({"input_ids": [[1], [1, 2, 3], [1, 2]]})
    >>> longest_first(rows)[1].tolist()
    [1, 2, 0]
    """
    order = np.argsort(-token_counts(rows), kind="stable")
    return rows.select(order.tolist()), order


def _is_nested(lists: Any) -> bool:
    return hasattr(lists.type.value_type, "value_type")


def _longest(row: Any) -> int:
    return max(len(part) for part in row.as_py())
