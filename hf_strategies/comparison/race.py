"""The race: a strategy that has clearly lost against the first one gets no further seeds.

After each seed from the third on, in the order of the list, the interval of the paired difference is looked at. A
strategy whose interval lies below zero has lost. Looking often at an interval of 95 % would drop equal strategies
far too often, so that these looks have 99.9 %, as in trials of medicine that may end early (Haybittle 1971; Peto et
al. 1976); with so strict a limit the interval at the end may stay as it is. Dodge et al. 2020 (arXiv:2002.06305)
stop single runs that begin badly; that picks the best of many seeds, and would bias a comparison of means.
"""

from collections.abc import Mapping, Sequence

from hf_strategies.comparison.paired import paired_difference
from hf_strategies.comparison.record import RunRecord, example_differences

__all__ = ["FIRST_LOOK", "RACE_LEVEL", "lost_after", "raced_records"]

FIRST_LOOK = 3
"""The number of seeds after which a strategy may be dropped first."""

RACE_LEVEL = 0.999
"""The level of the intervals that are looked at, all challengers together."""


def lost_after(
    records: Sequence[RunRecord], strategies: Sequence[str], seeds: Sequence[int], *, greater_is_better: bool = True
) -> dict[str, int]:
    """Return after how many of the ``seeds`` each strategy that has lost did so; the first one cannot lose.

    It depends on the results of those seeds alone, not on which others are done already. The last seed is no look:
    there is nothing left to save.

    >>> runs = [RunRecord(name, seed, value + seed / 1000, 1, 1.0, 1.0)
    ...         for name, value in {"a": 0.7, "b": 0.5}.items() for seed in range(4)]
    >>> lost_after(runs, ["a", "b"], range(9))
    {'b': 3}
    """
    first, *others = strategies
    found = {(record.strategy, record.seed): record for record in records}
    lost = {name: _look(found, first, name, seeds, greater_is_better, len(others)) for name in others}
    return {name: count for name, count in lost.items() if count is not None}


def raced_records(records: Sequence[RunRecord], lost: Mapping[str, int], seeds: Sequence[int]) -> list[RunRecord]:
    """Return the records without those of a strategy that came after it had lost."""
    kept = {name: set(seeds[:count]) for name, count in lost.items()}
    return [record for record in records if record.strategy not in kept or record.seed in kept[record.strategy]]


def _look(
    found: Mapping[tuple[str, int], RunRecord],
    first: str,
    name: str,
    seeds: Sequence[int],
    greater_is_better: bool,
    count: int,
) -> int | None:
    """Return the number of seeds after which a strategy has lost; None if it has not, as far as seeds are done."""
    sign = 1.0 if greater_is_better else -1.0
    pairs: list[tuple[RunRecord, RunRecord]] = []
    for seed in seeds[:-1]:
        if (first, seed) not in found or (name, seed) not in found:
            return None
        pairs.append((found[first, seed], found[name, seed]))
        if len(pairs) < FIRST_LOOK:
            continue
        differences = [sign * (theirs.value - ours.value) for ours, theirs in pairs]
        level = 1.0 - (1.0 - RACE_LEVEL) / count
        interval = paired_difference(differences, example_differences(pairs, sign), level)
        if interval.high is not None and interval.high < 0:
            return len(pairs)
    return None
