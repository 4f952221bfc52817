"""The learning-rate range test: its growing rates, when it stops, and the rate that its losses suggest."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from hf_strategies.errors import StrategyError
from hf_strategies.values import number

__all__ = ["Ramp", "RangeTest", "read_beta", "read_range_test", "smooth", "stop_reason"]

_FEWEST_STEPS = 10
_DIVERGED = 4.0  # a loss of this many times the best averaged loss has diverged; as in fastai


@dataclass(frozen=True)
class Ramp:
    """Learning rates that grow by a constant factor per step, from ``start_lr`` to ``end_lr`` over ``steps``.

    The rate of step k is ``start_lr * (end_lr / start_lr) ** (k / (steps - 1))``: ``start_lr`` at k = 0 and
    ``end_lr`` at the last step, k = ``steps - 1``. Raises `StrategyError` unless 0 < start_lr < end_lr and ``steps``
    is a whole number of at least 10. The numbers may be text.

    >>> Ramp("1e-4", 1.0, 41).rate(20)
    0.01
    """

    start_lr: float
    end_lr: float
    steps: int

    def __post_init__(self) -> None:
        """Check the numbers, and turn text into numbers."""
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
        """Return the learning rate of ``step``, counted from 0."""
        done = step / (self.steps - 1)
        return float(self.start_lr ** (1.0 - done) * self.end_lr**done)


@dataclass(frozen=True)
class RangeTest:
    """The result of a range test: its rates and losses, and the suggested rates. `read_range_test` creates it.

    ``losses[k]`` was measured just before the optimizer step with the rate ``rates[k]``; ``smoothed`` are the losses
    after smoothing. ``suggestion`` is the rate at which the smoothed loss falls most steeply, ``minimum_over_ten`` a
    tenth of the rate at its minimum; both are None when the smoothed loss does not fall. ``stopped_because`` says why
    the test ended.
    """

    rates: tuple[float, ...]
    losses: tuple[float, ...]
    smoothed: tuple[float, ...]
    suggestion: float | None
    minimum_over_ten: float | None
    stopped_because: str

    def __str__(self) -> str:
        """Return one line with the suggestion, or with the reason why there is none."""
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
    """Return ``beta``, the weight of a neighbour in the smoothing; raises `StrategyError` unless it is in [0, 1).

    >>> read_beta("0.9")
    0.9
    """
    weight = float(number("beta", beta))
    if not 0.0 <= weight < 1.0:
        raise StrategyError(f"beta={weight!r} is not in [0, 1): give 0 for no smoothing, or such as 0.9")
    return weight


def smooth(losses: Sequence[float], beta: float) -> tuple[float, ...]:
    """Average each loss with its neighbours, with weight ``beta ** distance``.

    Up to the minimum of the bias-corrected exponential moving average, the neighbours on both sides count. The moving
    average itself uses past losses only. It therefore lags by up to beta / (1 - beta) steps, and a rate read from it
    would be too high by as many steps of the ramp. After the minimum the result is the moving average, so that a loss
    that diverges later has no weight before it diverges.

    >>> smooth([4.0, 2.0, 0.0], beta=0.5)
    (2.857142857142857, 2.0, 1.1428571428571428)
    """
    moving = _averages(losses, beta)
    if not moving:
        return ()
    falling = losses[: moving.index(min(moving)) + 1]
    past, future = _sums(falling, beta), _sums(falling[::-1], beta)[::-1]
    # Both sums contain the loss itself, with weight 1.
    two_sided = [
        (before + after - loss) / (before_weight + after_weight - 1.0)
        for loss, (before, before_weight), (after, after_weight) in zip(falling, past, future, strict=True)
    ]
    return (*two_sided, *moving[len(two_sided) :])


def stop_reason(losses: Sequence[float], beta: float = 0.9) -> str | None:
    """Return the reason why the test has to stop after these losses; None when it may go on.

    The test stops at a loss that is NaN or infinite. It also stops when the moving average of the losses (weights
    ``beta ** distance``, bias-corrected) is over 4 times the lowest value that this average has had.

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
    # For a positive best average, this limit is 4 times it; for a negative one, 4 times it would be a lower loss.
    if averages[-1] > best + (_DIVERGED - 1.0) * abs(best):
        return f"stopped because the loss diverged: {averages[-1]:.3g} after {best:.3g}"
    return None


def read_range_test(
    rates: Sequence[float], losses: Sequence[float], *, beta: float = 0.9, stopped_because: str | None = None
) -> RangeTest:
    """Return the result of a range test, with the suggested rates, from the losses at growing rates.

    The suggestion is the rate, up to the minimum of the smoothed loss, where the smoothed loss falls most steeply
    against log(rate) (Smith 2017, arXiv:1506.01186, as fastai reads it). There is no suggestion when the smoothed
    loss falls by no more than the standard deviation of the losses around it.

    Args:
        rates: learning rates, growing.
        losses: the training loss at each rate; a loss that is NaN or infinite is left out.
        beta: weight of a neighbour in the smoothing, in [0, 1); with 0, any fall gives a suggestion, noise too.
        stopped_because: why the test ended; None for the end of the ramp.

    Raises `StrategyError` when ``beta`` is out of range or the lengths differ.

    >>> rates = [10.0**power for power in range(-6, 1)]
    >>> read_range_test(rates, [1.0, 1.0, 0.9, 0.5, 0.1, 0.0, 0.0], beta=0.0).suggestion
    0.001
    """
    beta = read_beta(beta)
    if len(rates) != len(losses):
        raise StrategyError(f"{len(rates)} rates do not fit {len(losses)} losses: give one loss for each rate")
    finite = [(rate, loss) for rate, loss in zip(rates, losses, strict=True) if math.isfinite(loss)]
    rates, losses = tuple(rate for rate, _ in finite), tuple(loss for _, loss in finite)
    smoothed = smooth(losses, beta)
    falls = len(finite) > 2 and _falls(losses, smoothed)
    return RangeTest(
        rates,
        losses,
        smoothed,
        _steepest(rates, smoothed) if falls else None,
        rates[smoothed.index(min(smoothed))] / 10.0 if falls else None,
        stopped_because or "run to the end of the ramp",
    )


def _sums(losses: Sequence[float], beta: float) -> list[tuple[float, float]]:
    """Return, up to each position, the sum of the losses and that of their weights ``beta ** distance``."""
    total = weight = 0.0
    sums = []
    for loss in losses:
        total, weight = beta * total + loss, beta * weight + 1.0
        sums.append((total, weight))
    return sums


def _averages(losses: Sequence[float], beta: float) -> list[float]:
    """Return the bias-corrected exponential moving average at each position."""
    return [total / weight for total, weight in _sums(losses, beta)]


def _falls(losses: Sequence[float], smoothed: Sequence[float]) -> bool:
    """Return whether the smoothed loss falls by more than the standard deviation of the losses around it."""
    lowest = smoothed.index(min(smoothed))
    residuals = [loss - average for loss, average in zip(losses[: lowest + 1], smoothed, strict=False)]
    noise = math.sqrt(sum(residual**2 for residual in residuals) / len(residuals))
    return smoothed[0] - smoothed[lowest] > noise


def _steepest(rates: Sequence[float], smoothed: Sequence[float]) -> float:
    """Return the rate, up to the minimum, with the steepest fall; of equally steep falls, the lowest rate."""
    last = min(smoothed.index(min(smoothed)), len(rates) - 2)
    # Downwards, because of equal slopes the last to be entered replaces the others.
    rate_by_slope = {
        (smoothed[at + 1] - smoothed[at - 1]) / math.log(rates[at + 1] / rates[at - 1]): rates[at]
        for at in range(last, 0, -1)
    }
    return rate_by_slope[min(rate_by_slope)]
