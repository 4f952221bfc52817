"""The result of one run of a comparison."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from hf_strategies.errors import StrategyError

__all__ = ["RunRecord", "example_differences"]


@dataclass(frozen=True)
class RunRecord:
    """What one run came to: its strategy and seed, its metric, and what it cost.

    ``value`` is the metric that is compared. ``examples`` has the score of each test example, in the order of the
    data, where the metric is their mean; None where it is not. ``steps``, ``seconds`` and ``flops`` are those of the
    training; ``ended`` is why it ended. Raises `StrategyError` for a metric that is not finite.
    """

    strategy: str
    seed: int
    value: float
    steps: int
    seconds: float
    flops: float
    examples: tuple[float, ...] | None = None
    ended: str = ""

    def __post_init__(self) -> None:
        if not math.isfinite(self.value):
            raise StrategyError(
                f"the metric of {self.strategy}, seed {self.seed}, is {self.value}: compare another metric, or leave"
                " the strategy out"
            )


def example_differences(pairs: Sequence[tuple[RunRecord, RunRecord]], sign: float) -> list[list[float]] | None:
    """Return ``sign`` times the differences of the test examples of each pair; None where a run has none."""
    rows: list[list[float]] = []
    for first, second in pairs:
        ours, theirs = first.examples, second.examples
        if ours is None or theirs is None or len(ours) != len(theirs) or (rows and len(ours) != len(rows[0])):
            return None
        rows.append([sign * (b - a) for a, b in zip(ours, theirs, strict=True)])
    return rows or None
