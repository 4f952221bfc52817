"""The learning-rate range test: the ramp of rates, when to stop, and what to read from the curve of losses."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from hf_strategies.errors import StrategyError
from hf_strategies.values import number

__all__ = ["Ramp", "RangeTest", "read_beta", "read_range_test", "smooth", "stop_reason"]

_FEWEST_STEPS = 10
_DIVERGED = 4.0  # times the best smoothed loss, as in fastai


@dataclass(frozen=True)
class Ramp:
    """Learning rates that grow by a constant factor per step, from ``start_lr`` to ``end_lr`` over ``steps``.

    The rate of step k is ``start_lr * (end_lr / start_lr) ** (k / (steps - 1))``: ``start_lr`` at k = 0 and
    ``end_lr`` at the last, k = ``steps - 1``. Raises `StrategyError` unless 0 < start_lr < end_lr and there are
    at least 10 whole steps. Numbers may be given as text.

    >>> Ramp("1e-4", 1.0, 41).rate(20)
    0.01
    """

    start_lr: float
    end_lr: float
    steps: int

    def __post_init__(self) -> None:
        """Read and check the numbers."""
        start, end, steps = (number(name, getattr(self, name)) for name in ("start_lr", "end_lr", "steps"))
        if start <= 0:
            raise StrategyError(f"start_lr={start!r} is not above 0: give a tiny rate, such as start_lr=1e-7")
        if end <= start:
            raise StrategyError(f"end_lr={end!r} is not above start_lr={start!r}: give a larger end_lr, such as 1.0")
        if steps != int(steps) or steps < _FEWEST_STEPS:
            raise StrategyError(f"steps={steps!r} is no whole number from {_FEWEST_STEPS} on: give one, such as 100")
        for name, value in (("start_lr", float(start)), ("end_lr", float(end)), ("steps", int(steps))):
            object.__setattr__(self, name, value)

    def rate(self, step: int) -> float:
        """Return the learning rate of a step, counted from 0."""
        done = step / (self.steps - 1)
        return float(self.start_lr ** (1.0 - done) * self.end_lr**done)


@dataclass(frozen=True)
class RangeTest:
    """What a range test saw and what it suggests; `read_range_test` makes it.

    ``rates`` and ``losses`` belong together by position: the loss was measured just before the optimizer step of
    that rate. ``smoothed`` is the curve that was read. ``suggestion`` is the rate at which it falls most steeply,
    ``minimum_over_ten`` a tenth of the rate at its minimum; both are None when it does not fall.
    """

    rates: tuple[float, ...]
    losses: tuple[float, ...]
    smoothed: tuple[float, ...]
    suggestion: float | None
    minimum_over_ten: float | None
    stopped_because: str

    def __str__(self) -> str:
        """Say the suggestion, or that there is none, in one line."""
        ending = f"Range test of {len(self.rates)} steps, {self.stopped_because}."
        if self.suggestion is None or self.minimum_over_ten is None:
            return (
                "No learning rate to suggest: the loss never fell by more than its own noise. Give more steps, larger"
                f" batches or another range of rates. {ending}"
            )
        hint = " The loss was still falling: give a larger end_lr." if self._still_falling else ""
        return (
            f"Suggested learning rate {self.suggestion:.2g} (steepest descent), or {self.minimum_over_ten:.2g}"
            f" (minimum / 10). {ending}{hint}"
        )

    @property
    def _still_falling(self) -> bool:
        return self.smoothed[-1] == min(self.smoothed)


def read_beta(beta: object) -> float:
    """Read the weight of a neighbour in the smoothing; raises `StrategyError` unless it is in [0, 1).

    >>> read_beta("0.9")
    0.9
    """
    read = float(number("beta", beta))
    if not 0.0 <= read < 1.0:
        raise StrategyError(f"beta={read!r} is not in [0, 1): give 0 for no smoothing, or such as 0.9")
    return read


def smooth(losses: Sequence[float], beta: float) -> tuple[float, ...]:
    """Average each loss with its neighbours, with weight ``beta ** distance``.

    Up to where the bias-corrected exponential moving average is lowest, the neighbours are those on both sides: that
    average looks back only and so lags by up to beta / (1 - beta) steps, and a rate read from it is too high by as
    many steps of the ramp. From there on it is that average, so that what diverges later does not weigh here.

    >>> smooth([4.0, 2.0, 0.0], beta=0.5)
    (2.857142857142857, 2.0, 1.1428571428571428)
    """
    behind = _averages(losses, beta)
    if not behind:
        return ()
    falling = losses[: behind.index(min(behind)) + 1]
    left, right = _sums(falling, beta), _sums(falling[::-1], beta)[::-1]
    both = [
        (before + after - loss) / (before_weight + after_weight - 1.0)
        for loss, (before, before_weight), (after, after_weight) in zip(falling, left, right, strict=True)
    ]
    return (*both, *behind[len(both) :])


def stop_reason(losses: Sequence[float], beta: float = 0.9) -> str | None:
    """Say why the test must not go on after these losses, or None when it may.

    It stops at a loss that is NaN or infinite, and when the average of the losses so far (weights
    ``beta ** distance``, bias-corrected) is over 4 times the best that this average has been.

    >>> stop_reason([1.0, 0.5, float("nan")])
    'stopped because the loss is nan'
    >>> stop_reason([1.0, 0.5, 40.0], beta=0.0)
    'stopped because the loss diverged: 40 after 0.5'
    """
    if not losses:
        return None
    if not math.isfinite(losses[-1]):
        return f"stopped because the loss is {losses[-1]}"
    averages = _averages(losses, beta)
    best = min(averages)
    # For a loss that can be negative, 4 times the best would be below it.
    if averages[-1] > best + (_DIVERGED - 1.0) * abs(best):
        return f"stopped because the loss diverged: {averages[-1]:.3g} after {best:.3g}"
    return None


def read_range_test(
    rates: Sequence[float], losses: Sequence[float], *, beta: float = 0.9, stopped_because: str | None = None
) -> RangeTest:
    """Read the suggestions from the losses that were seen at growing rates.

    The suggestion is the rate where the smoothed loss falls most steeply against log(rate), of those up to its
    minimum (Smith 2017, arXiv:1506.01186, as fastai reads it). There is none when the smoothed loss falls by no
    more than the standard deviation of the losses around it.

    Args:
        rates: learning rates, growing.
        losses: the training loss at each; a last one that is NaN or infinite is left out.
        beta: weight of a neighbour in the smoothing, in [0, 1); with 0 there is no telling a fall from noise.
        stopped_because: why there are no more; None for the end of the ramp.

    Raises `StrategyError` when ``beta`` is out of range or the lengths differ.

    >>> rates = [10.0**power for power in range(-6, 1)]
    >>> read_range_test(rates, [1.0, 1.0, 0.9, 0.5, 0.1, 0.0, 0.0], beta=0.0).suggestion
    0.001
    """
    beta = read_beta(beta)
    if len(rates) != len(losses):
        raise StrategyError(f"{len(rates)} rates do not fit {len(losses)} losses: give one loss for each rate")
    seen = [(rate, loss) for rate, loss in zip(rates, losses, strict=True) if math.isfinite(loss)]
    rates, losses = tuple(rate for rate, _ in seen), tuple(loss for _, loss in seen)
    smoothed = smooth(losses, beta)
    falls = len(seen) > 2 and _falls(losses, smoothed)
    return RangeTest(
        rates,
        losses,
        smoothed,
        _steepest(rates, smoothed) if falls else None,
        rates[smoothed.index(min(smoothed))] / 10.0 if falls else None,
        stopped_because or "run to the end of the ramp",
    )


def _sums(losses: Sequence[float], beta: float) -> list[tuple[float, float]]:
    """The exponentially weighted sum of losses, and that of the weights, up to each position."""
    total = weight = 0.0
    sums = []
    for loss in losses:
        total, weight = beta * total + loss, beta * weight + 1.0
        sums.append((total, weight))
    return sums


def _averages(losses: Sequence[float], beta: float) -> list[float]:
    return [total / weight for total, weight in _sums(losses, beta)]


def _falls(losses: Sequence[float], smoothed: Sequence[float]) -> bool:
    low = smoothed.index(min(smoothed))
    rest = [loss - line for loss, line in zip(losses[: low + 1], smoothed, strict=False)]
    noise = math.sqrt(sum(difference**2 for difference in rest) / len(rest))
    return smoothed[0] - smoothed[low] > noise


def _steepest(rates: Sequence[float], smoothed: Sequence[float]) -> float:
    last = min(smoothed.index(min(smoothed)), len(rates) - 2)
    slopes = {
        (smoothed[at + 1] - smoothed[at - 1]) / math.log(rates[at + 1] / rates[at - 1]): rates[at]
        for at in range(last, 0, -1)
    }
    return slopes[min(slopes)]
