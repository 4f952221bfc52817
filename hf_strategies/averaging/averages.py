"""Averages: the coefficient of the newest weights after the n-th averaged update, and the table with a row for each.

With the weights w_1, ..., w_n of the updates that are averaged, and a coefficient c_n in [0, 1], c_1 = 1, the average
is ``a_n = a_(n-1) + c_n * (w_n - a_(n-1))``. It is the weighted mean of w_1, ..., w_n with the weights
``c_j * (1 - c_(j+1)) * ... * (1 - c_n)``, which are at least 0 and sum to 1.

A new average is one function and, in `_ROWS`, one row. ``hf-strategies averages`` and the laws in the tests follow
from the row.
"""

import math
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from itertools import pairwise
from typing import Any

from hf_strategies.averaging.parameters import Length, Number, Parameter, Word
from hf_strategies.errors import StrategyError

__all__ = ["AVERAGES", "AverageRow", "ema", "polynomial", "shape_weights", "tail", "tail_slot", "tail_start"]


def ema(n: int, *, decay: float | None = None, over: int | float | None = None) -> float:
    """Forget exponentially: ``c_n = 2 / (min(W, n) + 1)``, or ``max(1 - decay, 2 / (n + 1))``.

    W is ``over``: a number of updates or, in (0, 1), a fraction of the n updates so far, ``W = over * n``; c_n is 1
    where the formula gives more. ``over`` and ``decay`` are two ways to say the same, ``decay = (W - 1) / (W + 1)``:
    the mean age of the averaged weights is then that of the plain mean of the last W, (W - 1) / 2 updates, as the
    ``span`` of ``pandas.DataFrame.ewm``. Until W updates are done, the n-th weights get ``2 / (n + 1)``, so that the
    average is not held back by the first weights: ``c_1 = 1``, and w_j has the weight ``2 * j / (n * (n + 1))``.

    Raises `StrategyError` unless exactly one of the two is given.

    >>> [ema(n, over=3) for n in (1, 3, 100)], ema(100, decay=0.5), ema(7, over=0.5)
    ([1.0, 0.5, 0.5], 0.5, 0.4444444444444444)
    """
    if decay is not None and over is None:
        return max(1.0 - decay, 2.0 / (n + 1))
    if over is not None and decay is None:
        return min(1.0, 2.0 / ((min(over, n) if over >= 1 else over * n) + 1))
    raise StrategyError("average: ema needs one of decay and over: write ema(over='1ep') or ema(decay=0.999)")


def polynomial(n: int, *, power: float) -> float:
    """Weigh later updates more, as a power of their number: ``c_n = (power + 1) / (n + power)``.

    The weight of w_j is ``(power + 1) * G(j + power) * G(n) / (G(j) * G(n + power + 1))`` with the gamma function G,
    which approaches ``(power + 1) / n * (j / n) ** power``: there is no horizon to choose. The mean age of the
    averaged weights is ``(n - 1) / (power + 2)`` updates. ``power=0`` is the plain mean of all.

    >>> [polynomial(n, power=3) for n in (1, 2, 5)]
    [1.0, 0.8, 0.5]
    """
    return (power + 1.0) / (n + power)


def tail(n: int, *, over: int | float) -> tuple[float, float]:
    """Take the plain mean of the last updates, at least ``over`` and less than twice as many.

    The average after n updates is the plain mean of w_(s+1), ..., w_n, where s is `tail_start`: the window begins
    after an update of a fixed sequence t_0 = 0 < t_1 < t_2 < ..., at the last of them that leaves at least ``over``
    updates. With W = ``over`` updates, ``t_k = k * W``: the mean is of all n updates while n < W, else of the last
    ``W + n mod W``, which are exactly W at each multiple of W. With a fraction, f = ``over`` in (0, 1) of the n
    updates so far, ``t_1 = 1`` and ``t_(k+1) = max(t_k + 1, ceil(t_k / (1 - f)))``: the share of the n updates that
    are averaged is at least f and below ``2 * f - f ** 2 + (1 - f) / n``. For ``over=0.5`` the windows begin after
    the updates 0, 1, 2, 4, 8, ..., and a half to three quarters of the updates are averaged (suffix averaging).

    Two means are kept in turn. The result has the coefficients of both, ``1 / (n - t_k)`` for the one that began at
    t_k, and 0 for one that is not begun yet.

    >>> [tail(n, over=3) for n in (1, 3, 4, 5)]
    [(1.0, 0.0), (0.3333333333333333, 0.0), (0.25, 1.0), (0.2, 0.5)]
    """
    count, latest = _latest_restart(n, over)
    coefficients = [0.0, 0.0]
    coefficients[count % 2] = 1.0 / (n - latest)
    if count:
        coefficients[(count - 1) % 2] = 1.0 / (n - _restart(count - 1, n, over))
    return coefficients[0], coefficients[1]


def tail_start(n: int, *, over: int | float) -> int:
    """Return the number of updates that `tail` leaves out after n updates.

    >>> [tail_start(n, over=3) for n in (1, 2, 3, 5, 6, 9)], [tail_start(n, over=0.5) for n in (1, 2, 3, 4, 7, 8)]
    ([0, 0, 0, 0, 3, 6], [0, 1, 1, 2, 2, 4])
    """
    return _restart(_count_read(n, over), n, over)


def tail_slot(n: int, *, over: int | float) -> int:
    """Return which of the two means of `tail` is the average after n updates.

    >>> [tail_slot(n, over=3) for n in (1, 2, 3, 5, 6, 9)]
    [0, 0, 0, 0, 1, 0]
    """
    return _count_read(n, over) % 2


def shape_weights(snapshots: int | Sequence[int], *, curve: Callable[[int, int], float]) -> tuple[float, ...]:
    """Imitate a decay of the learning rate, from snapshots of a held rate: ``c_j = d(j - 1) - d(j)``, ``d(N) = 0``.

    ``snapshots`` is their number N, where they lie at even distances, or the steps at which they were taken, in
    rising order; c_j is the weight of the j-th of them, j = 1, ..., N. ``d(j) = curve(j, N)`` is the decay after j of
    N steps: a function of `hf_strategies.schedules.DECAYS`, which is 1 at step 0. Where the steps s_1, ..., s_N are
    given, ``d(j) = curve(s_j - s_0, s_N - s_0)``, and the window begins one distance before the first of them,
    ``s_0 = s_1 - (s_2 - s_1)``.

    The weighted mean is the first snapshot plus d times each later movement: what happened between the snapshots j
    and j + 1 counts ``d(j)``. A straight line to 0 gives each snapshot the share of the window that ends with it,
    which is the plain mean at even distances.

    Raises `StrategyError` for no snapshot, for steps that do not rise, and for a curve that does not begin at 1,
    rises, or goes below 0.

    >>> shape_weights(2, curve=lambda step, steps: (1 - step / steps) ** 2)
    (0.75, 0.25)
    >>> shape_weights([4, 8, 16], curve=lambda step, steps: 1 - step / steps)
    (0.25, 0.25, 0.5)
    """
    steps = [*range(1, snapshots + 1)] if isinstance(snapshots, int) else [*snapshots]
    if not steps or any(after <= before for before, after in pairwise(steps)):
        raise StrategyError(f"snapshots={snapshots!r} are none, or do not rise: give their number, or their steps")
    start = steps[0] - (steps[1] - steps[0] if len(steps) > 1 else 1)
    decay = [*(float(curve(step - start, steps[-1] - start)) for step in (start, *steps[:-1])), 0.0]
    weights = tuple(before - after for before, after in pairwise(decay))
    if decay[0] != 1.0 or not all(weight >= 0.0 for weight in weights):
        raise StrategyError(
            f"the curve of a shape begins at {decay[0]:g}, rises or goes below 0: give one that falls from 1"
        )
    return weights


def _latest_restart(n: int, over: int | float) -> tuple[int, int]:
    """Return the last k with t_k < n, and t_k; see `tail`."""
    if over >= 1:
        count = (n - 1) // int(over)
        return count, count * int(over)
    restarts = _restarts(over, 1 << n.bit_length())
    count = bisect_left(restarts, n) - 1
    return count, restarts[count]


def _restart(count: int, n: int, over: int | float) -> int:
    """Return t_k for k = ``count``, which is at most n."""
    return count * int(over) if over >= 1 else _restarts(over, 1 << n.bit_length())[count]


def _count_read(n: int, over: int | float) -> int:
    """Return the k of the mean that is the average: the last one with t_(k+1) <= n, or 0."""
    return max(0, _latest_restart(n + 1, over)[0] - 1)


@lru_cache(maxsize=8)
def _restarts(share: float, limit: int) -> tuple[int, ...]:
    """Return t_0, t_1, ... of a fraction, up to the first one of at least ``limit``."""
    exact = Fraction(repr(share))  # the decimal number that the user wrote, so that 9 / (1 - 0.1) is exactly 10
    up, down = exact.denominator, exact.denominator - exact.numerator
    restarts = [0, 1]
    while restarts[-1] < limit:
        restarts.append(max(restarts[-1] + 1, -(-restarts[-1] * up // down)))
    return tuple(restarts)


@dataclass(frozen=True)
class AverageRow:
    """One row of the table: an average with its name, its parameters, a summary of one line and its source.

    ``function(n, **parameters)`` returns the coefficient of the newest weights at the n-th averaged update; with
    ``slots`` above 1 it returns one coefficient for each running average that is kept, and ``slot`` returns the index
    of the one to read after n updates. A length reaches the function as a number of updates, or as a fraction, in
    (0, 1), of the n updates. A row with ``snapshots`` has no such coefficients: its function returns the weights of n
    snapshots. ``golden`` is (n, parameters, value), worked out by hand.
    """

    name: str
    function: Callable[..., Any]
    parameters: Mapping[str, Parameter]
    summary: str
    source: str
    golden: tuple[int, Mapping[str, Any], Any] | None = None
    slots: int = 1
    slot: Callable[..., int] | None = None
    snapshots: bool = False


def _squared(step: float, steps: float) -> float:
    return math.pow(1.0 - step / steps, 2)


_ROWS = [
    AverageRow(
        "ema",
        ema,
        {
            "over": Length(None, "the updates whose plain mean is as old, or a fraction of those done"),
            "decay": Number(None, "factor of the old average at each update", low=0.0, high=1.0, below_high=True),
        },
        "forgets exponentially, the first weights at once",
        "Polyak & Juditsky 1992; Morales-Brotons et al. 2024, arXiv:2411.18704; span as in pandas ewm",
        # W = min(4, 9) = 4: 2 / (4 + 1)
        golden=(9, {"over": 4, "decay": None}, 0.4),
    ),
    AverageRow(
        "tail",
        tail,
        {"over": Length(..., "the updates that are averaged, at the least, or a fraction of those done")},
        "the plain mean of the last updates, of over to twice as many; keeps two means",
        "Rakhlin et al. 2012, arXiv:1109.5647 (suffix averaging); Sanyal et al. 2023, arXiv:2306.03241 (LAWA)",
        # windows begin after updates 0 and 3: 1 / 5 and 1 / (5 - 3)
        golden=(5, {"over": 3}, (0.2, 0.5)),
        slots=2,
        slot=tail_slot,
    ),
    AverageRow(
        "polynomial",
        polynomial,
        {"power": Number(3.0, "the weight of an update grows as this power of its number", low=0.0, high=1e6)},
        "later updates weigh more, as a power of their number: no horizon to choose",
        "Shamir & Zhang 2013, arXiv:1212.1824",
        # (2 + 1) / (4 + 2)
        golden=(4, {"power": 2.0}, 0.5),
    ),
    AverageRow(
        "shape",
        shape_weights,
        {"curve": Word("sqrt", "name of a decay or cooldown, such as 'linear' and 'cosine'")},
        "imitates a decay of the learning rate, from the checkpoints of a held one",
        "WSM: Tian et al. 2025, arXiv:2507.17634; Hagele et al. 2024, arXiv:2405.18392",
        # d = 1, 1/4, 0: 1 - 1/4 and 1/4 - 0
        golden=(2, {"curve": _squared}, (0.75, 0.25)),
        snapshots=True,
    ),
]

AVERAGES: dict[str, AverageRow] = {row.name: row for row in _ROWS}
"""Every average by its name."""
