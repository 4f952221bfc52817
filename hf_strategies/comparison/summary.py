"""A comparison of strategies with the first: means, paired differences, wins, cost, and a sentence for each."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from hf_strategies.comparison.paired import Difference, more_seeds, paired_difference
from hf_strategies.comparison.race import RACE_LEVEL
from hf_strategies.comparison.record import RunRecord, example_differences
from hf_strategies.errors import StrategyError

__all__ = ["Challenger", "Comparison", "Strategy", "summarize"]


@dataclass(frozen=True)
class Strategy:
    """A strategy over its seeds: mean of the metric, its standard error (None for one seed), mean cost."""

    name: str
    seeds: tuple[int, ...]
    values: tuple[float, ...]
    mean: float
    error: float | None
    steps: float
    seconds: float
    flops: float


@dataclass(frozen=True)
class Challenger:
    """A strategy beside the first one, over the seeds that both have; a positive difference is better.

    ``wins`` is the share of these seeds at which it is better, a tie counting half. ``raced`` tells that a race has
    ended it, after these seeds; its interval is then that of the race.
    """

    name: str
    difference: Difference
    wins: float
    sentence: str
    raced: bool = False


@dataclass(frozen=True)
class Comparison:
    """Strategies, the first of which the others are compared with.

    ``scale`` is what values and differences are multiplied with for display, and ``unit`` its name: points for a
    metric between 0 and 1.
    """

    metric: str
    greater_is_better: bool
    strategies: tuple[Strategy, ...]
    challengers: tuple[Challenger, ...]
    scale: float
    unit: str
    level: float


def summarize(
    records: Sequence[RunRecord],
    *,
    metric: str,
    greater_is_better: bool = True,
    worth: float | None = None,
    raced: Collection[str] = (),
) -> Comparison:
    """Compare strategies, in the order in which they come, with the first.

    ``worth`` is the difference that is worth finding, in the unit of the metric; by default 0.01 of a metric between
    0 and 1, and otherwise the difference that was found. With several challengers the intervals hold together
    (Bonferroni: each has the level 1 - 0.05 / k); those of the strategies in ``raced``, which a race has ended, have
    the level of the race. Raises `StrategyError` for fewer than two strategies, for two
    results of one strategy and seed, and where two strategies share no seed.

    >>> runs = [RunRecord(name, seed, value, 10, 1.0, 1e9) for name, values in
    ...         {"a": (0.50, 0.52, 0.51), "b": (0.53, 0.56, 0.54)}.items() for seed, value in enumerate(values)]
    >>> print(summarize(runs, metric="accuracy").challengers[0].sentence)
    b is better than a by 1.9 to 4.8 points (95 % interval over 3 seeds)
    """
    names = list(dict.fromkeys(record.strategy for record in records))
    if len(names) < 2:
        raise StrategyError("a comparison needs results of two strategies: wait for more runs, or name another one")
    by_name = {name: _by_seed(records, name) for name in names}
    strategies = tuple(_strategy(name, by_name[name]) for name in names)
    is_ratio = all(0.0 <= record.value <= 1.0 for record in records)
    scale, unit = (100.0, "points") if is_ratio else (1.0, "")
    level = 1.0 - 0.05 / (len(names) - 1)
    sign = 1.0 if greater_is_better else -1.0
    wanted = worth if worth is not None else 0.01 if is_ratio else None
    first, count = by_name[names[0]], len(names) - 1
    words = {False: _Words(names[0], scale, unit, count), True: _Words(names[0], scale, unit, count, RACE_LEVEL)}
    challengers = tuple(_challenger(first, by_name[name], sign, wanted, words[name in raced]) for name in names[1:])
    return Comparison(metric, greater_is_better, strategies, challengers, scale, unit, level)


@dataclass(frozen=True)
class _Words:
    """What sentences share: the name of the first strategy, the unit, how many intervals there are, their level."""

    first: str
    scale: float
    unit: str
    count: int
    together: float = 0.95

    @property
    def level(self) -> float:
        """The level of each interval."""
        return 1.0 - (1.0 - self.together) / self.count

    @property
    def is_race(self) -> bool:
        """Whether the intervals are those of a race."""
        return self.together == RACE_LEVEL


def _by_seed(records: Sequence[RunRecord], name: str) -> dict[int, RunRecord]:
    found: dict[int, RunRecord] = {}
    for record in (each for each in records if each.strategy == name):
        if record.seed in found:
            raise StrategyError(f"there are two results of {name}, seed {record.seed}: leave one out")
        found[record.seed] = record
    return dict(sorted(found.items()))


def _strategy(name: str, runs: dict[int, RunRecord]) -> Strategy:
    values = tuple(run.value for run in runs.values())
    error = stdev(values) / len(values) ** 0.5 if len(values) > 1 else None
    cost = [fmean(getattr(run, what) for run in runs.values()) for what in ("steps", "seconds", "flops")]
    return Strategy(name, tuple(runs), values, fmean(values), error, *cost)


def _challenger(
    first: dict[int, RunRecord],
    other: dict[int, RunRecord],
    sign: float,
    worth: float | None,
    words: _Words,
) -> Challenger:
    seeds = [seed for seed in first if seed in other]
    differences = [sign * (other[seed].value - first[seed].value) for seed in seeds]
    examples = example_differences([(first[seed], other[seed]) for seed in seeds], sign)
    found = paired_difference(differences, examples, words.level)
    wins = sum(1.0 if each > 0 else 0.5 if each == 0 else 0.0 for each in differences) / len(differences)
    name = next(iter(other.values())).strategy
    return Challenger(name, found, wins, _sentence(name, found, words, worth), words.is_race)


def _sentence(name: str, found: Difference, words: _Words, worth: float | None) -> str:
    """Say what the data support, and no more."""
    if found.low is None or found.high is None:
        return f"one seed tells nothing of the noise between seeds: {name} and {words.first} need at least two"
    low, high = found.low * words.scale, found.high * words.scale
    covers = " and test examples" if found.over_examples else ""
    together = "" if words.count == 1 else f", all {words.count} together"
    ended = ", after which the race has ended for it" if words.is_race else ""
    interval = f"{100 * words.together:g} % interval over {found.seeds} seeds{covers}{together}{ended}"
    if low > 0 or high < 0:
        word, (near, far) = ("better", (low, high)) if low > 0 else ("worse", (-high, -low))
        return f"{name} is {word} than {words.first} by {_range(near, far, words.unit)} ({interval})"
    most = _number(max(-low, high) + 0.0, words.unit)
    line = f"{name} and {words.first} may be equal: differences up to {most} cannot be excluded ({interval})"
    wanted = worth if worth is not None else abs(found.mean)
    if not wanted:
        return line
    seeds = more_seeds(found, wanted, level=words.level)
    of = _number(wanted * words.scale, words.unit)
    if seeds is None:
        why = "the test set has too few examples" if found.fixed else "that is too small"
        return f"{line}; no number of seeds up to 1,000 would tell {of}: {why}"
    many = "these seeds" if seeds == 0 else f"{seeds} more seeds" if seeds > 1 else "1 more seed"
    return f"{line}; {many} would tell a difference of {of} in 80 % of comparisons"


def _range(low: float, high: float, unit: str) -> str:
    return f"{_digits(low)} to {_number(high, unit)}"


def _number(value: float, unit: str) -> str:
    return f"{_digits(value)} {unit}".rstrip()


def _digits(value: float) -> str:
    return f"{value:.1f}" if abs(value) >= 0.95 else f"{value:.2g}"
