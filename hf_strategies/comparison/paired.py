"""The paired difference of two strategies over seeds, its interval, and how many more seeds would find one.

Every seed is trained by both strategies, so that the difference of a seed is free of what both share. An interval
over seeds alone is Student's t. It takes the test set as given. Where the metric is a mean over test examples, the
interval also covers other test examples: seeds and examples are crossed, because every seed is measured on the same
examples, and the variance of the mean difference is

    V = S_seeds / n + S_examples / m - S_rest / (n m)

where n seeds and m examples have differences D[i, j], S_seeds is the variance of the means over examples, S_examples
that of the means over seeds, and S_rest that of D[i, j] without both means (Owen 2007, The pigeonhole bootstrap,
Annals of Applied Statistics 1(2), equation 4). The degrees of freedom are Satterthwaite's (1946).

A bootstrap over a handful of seeds excludes an equal strategy far too often; `python -m benchmarks.comparison`
measures that beside these intervals.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from hf_strategies.errors import StrategyError

__all__ = ["Difference", "more_seeds", "paired_difference", "power"]

MOST_SEEDS = 1000
"""The most seeds that `more_seeds` looks at."""

_QUANTILES = (np.arange(200) + 0.5) / 200


@dataclass(frozen=True)
class Difference:
    """A mean difference with its interval; ``low`` and ``high`` are None where one seed tells nothing of its noise.

    ``seeds`` is how many there are, ``deviation`` the standard deviation of a seed's difference beside what the test
    examples share, and ``fixed`` the variance of the mean that more seeds do not lower. ``over_examples`` tells
    whether the interval covers other test examples too.
    """

    mean: float
    low: float | None
    high: float | None
    seeds: int
    deviation: float
    fixed: float = 0.0
    over_examples: bool = False


def paired_difference(
    seeds: Sequence[float], examples: Sequence[Sequence[float]] | None = None, level: float = 0.95
) -> Difference:
    """Return the mean of the differences of the seeds, with its two-sided interval of ``level``.

    ``examples`` has a row for each seed with the differences of the test examples, whose mean is that of the seed.

    >>> found = paired_difference([1.0, 2.0, 3.0])
    >>> found.mean, round(found.low, 3), round(found.high, 3)
    (2.0, -0.484, 4.484)
    """
    if not seeds:
        raise StrategyError("there is no seed that both strategies have: give both the same seeds")
    mean, count = float(np.mean(seeds)), len(seeds)
    if count == 1:
        return Difference(mean, None, None, 1, 0.0)
    deviation = float(np.std(seeds, ddof=1))
    variance, freedom, fixed = deviation**2 / count, count - 1.0, 0.0
    if examples is not None and len(examples[0]) > 1:
        variance, freedom, fixed = _crossed(np.asarray(examples, dtype=float))
        deviation = math.sqrt(max(variance - fixed, 0.0) * count)
    half = float(stats.t.ppf(0.5 + level / 2, freedom)) * math.sqrt(variance)
    return Difference(mean, mean - half, mean + half, count, deviation, fixed, examples is not None)


def _crossed(differences: np.ndarray) -> tuple[float, float, float]:
    """Return the variance of the mean, its degrees of freedom, and the part of it that is of the examples."""
    count, length = differences.shape
    of_seeds = float(np.var(differences.mean(axis=1), ddof=1)) / count
    of_examples = float(np.var(differences.mean(axis=0), ddof=1)) / length
    rest = differences - differences.mean(axis=1, keepdims=True) - differences.mean(axis=0) + differences.mean()
    of_rest = float((rest**2).sum()) / ((count - 1) * (length - 1)) / (count * length)
    variance = max(of_seeds + of_examples - of_rest, of_seeds, of_examples)
    if variance == 0.0:
        return 0.0, count - 1.0, 0.0
    freedom = (of_seeds + of_examples) ** 2 / (of_seeds**2 / (count - 1) + of_examples**2 / (length - 1))
    return variance, freedom, max(of_examples - of_rest, 0.0)


def power(difference: float, deviation: float, seeds: int, *, fixed: float = 0.0, level: float = 0.95) -> float:
    """Return how often a true ``difference`` is found with so many seeds: the interval is on its side of zero.

    That is 1 - F(t) for the noncentral t with n - 1 degrees of freedom and noncentrality difference / s, where s is
    the standard error and t the quantile of the ``level``.

    >>> round(power(1.0, 1.0, 10), 3)
    0.803
    """
    error = math.sqrt(deviation**2 / seeds + fixed)
    if error == 0.0:
        return 1.0 if difference else 0.0
    limit = stats.t.ppf(0.5 + level / 2, seeds - 1)
    return float(stats.nct.sf(limit, seeds - 1, abs(difference) / error))


def more_seeds(found: Difference, difference: float, *, wanted: float = 0.8, level: float = 0.95) -> int | None:
    """Return how many more seeds would find a true ``difference`` with the power that is ``wanted``.

    The deviation is known from few seeds only: the power is its mean over what the deviation may be, which is
    s sqrt((n - 1) / chi2) for n seeds. None if `MOST_SEEDS` seeds would not do, because the test set has too few
    examples, or the difference is too small; 0 if those there are should do.
    """
    if found.seeds < 2 or not difference:
        return None
    freedom = found.seeds - 1
    deviations = found.deviation * np.sqrt(freedom / stats.chi2.ppf(_QUANTILES, freedom))

    def is_enough(seeds: int) -> bool:
        errors = np.sqrt(deviations**2 / seeds + found.fixed)
        limit = stats.t.ppf(0.5 + level / 2, seeds - 1)
        with np.errstate(divide="ignore"):
            shares = stats.nct.sf(limit, seeds - 1, np.minimum(abs(difference) / errors, 1e3))
        return float(np.nanmean(shares)) >= wanted

    if not is_enough(MOST_SEEDS):
        return None
    low, high = found.seeds - 1, MOST_SEEDS  # the smallest that is enough is above low
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if is_enough(middle) else (middle, high)
    return high - found.seeds
