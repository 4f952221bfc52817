"""Criteria of overfitting: the three of Prechelt 1998, and the gap between validation and training loss."""

import math
from collections import deque
from collections.abc import Iterator, Sequence

from hf_strategies.errors import StrategyError
from hf_strategies.stopping.criteria.reasons import Entries, one_by_one
from hf_strategies.stopping.history import Evaluation, Stream

__all__ = ["generalisation_gap", "generalisation_loss", "progress_quotient", "successive_increases"]


@one_by_one
def generalisation_loss(series: Stream, *, alpha: float) -> Entries:
    """Prechelt's GL(``alpha``): the metric is more than ``alpha`` percent worse than the best so far.

    GL(t) = 100 * (E(t) / E_opt(t) - 1), where E is the metric and E_opt the least E up to t. Where higher is
    better, GL(t) = 100 * (1 - E(t) / E_opt(t)), and E_opt is the greatest E up to t. GL is infinite at a value that
    is not finite. As long as E_opt is not above 0 the criterion does not hold. Prechelt 1998, "Early Stopping - But
    When?".
    """
    for loss in _generalisation_losses(series):
        yield f"{series.name} is {loss:.4g} % worse than its best, more than {alpha:g} %" if loss > alpha else None


@one_by_one
def progress_quotient(series: Stream, *, alpha: float, strip: int) -> Entries:
    """Prechelt's PQ(``alpha``): the generalisation loss is high relative to the progress that training still makes.

    GL(t) / P_k(t) > ``alpha``, where GL is as in `generalisation_loss` and P_k(t) = 1000 * (mean of the training
    loss over the last k evaluations / the least of them - 1) is the training progress in a ``strip`` of k. The
    criterion holds only at the end of a strip: at the evaluations k, 2k, ... counted from 1. Without any progress it
    holds for any GL above 0. With a training loss of 0 or below, progress is infinite and it does not hold. Prechelt
    1998.
    """
    train: deque[float | None] = deque(maxlen=strip)
    for index, (evaluation, loss) in enumerate(zip(series, _generalisation_losses(series), strict=True), 1):
        train.append(_train_loss(evaluation, "progress_quotient"))
        window = [] if index % strip else [value for value in train if value is not None]
        if len(window) < strip:
            yield None
            continue
        progress = _progress(window)
        words = f"{series.name} is {loss:.4g} % worse than its best"
        reason = f"{words} at a training progress of {progress:.4g} per mille, a quotient of more than {alpha:g}"
        yield reason if loss > alpha * progress else None


@one_by_one
def successive_increases(series: Stream, *, count: int, strip: int) -> Entries:
    """Prechelt's UP(``count``): the metric got worse in ``count`` strips in a row.

    In a ``strip`` of k evaluations the metric got worse if it is worse at the end of the strip than at the end of
    the strip before: E(t) > E(t - k) at t = k, 2k, ... counted from 1. A value that is not finite is worse than any
    that is finite. Prechelt 1998.
    """
    reason = f"{series.name} got worse in {count} {'strip' if count == 1 else 'strips'} of {strip} in a row"
    rises, before = 0, math.inf  # before: at the end of the strip before; no value of the first strip is worse
    for index, evaluation in enumerate(series, 1):
        if index % strip:
            yield None
            continue
        cost = series.sign * evaluation.value
        cost = cost if math.isfinite(cost) else math.inf
        rises = rises + 1 if index > strip and (cost > before or cost == math.inf) else 0
        before = cost
        yield reason if rises >= count else None


@one_by_one
def generalisation_gap(series: Stream, *, gap: float | None, ratio: float | None) -> Entries:
    """The metric exceeds the training loss by more than ``gap``, or is more than ``ratio`` times as high.

    The metric has to be a validation loss of the same kind as the training loss; label smoothing and dropout raise
    the training loss. The training loss is its mean since the evaluation before. One of ``gap`` and ``ratio``, or
    both, has to be given; ``ratio`` is for training losses that are not negative.
    """
    if gap is None and ratio is None:
        raise StrategyError("generalisation_gap has neither gap nor ratio: give one, such as gap=0.5")
    if series.mode == "max":
        raise StrategyError(
            f"generalisation_gap compares losses, and of {series.name} higher is better: watch a loss,"
            " generalisation_gap(0.5, monitor=loss)"
        )
    return _gaps(series, gap, ratio)


def _gaps(series: Stream, gap: float | None, ratio: float | None) -> Entries:
    for evaluation in series:
        value, train = evaluation.value, _train_loss(evaluation, "generalisation_gap")
        over_gap = train is not None and gap is not None and value - train > gap
        over_ratio = train is not None and ratio is not None and train >= 0 and value > ratio * train
        limit = f"more than {gap:g} above" if over_gap else f"more than {ratio or 0:g} times"
        reason = f"{series.name} is {value:.6g}, {limit} the training loss of {train or 0:.6g}"
        yield reason if over_gap or over_ratio else None


def _generalisation_losses(series: Stream) -> Iterator[float]:
    """Yield Prechelt's GL at each evaluation, in percent."""
    best = math.inf
    for evaluation in series:
        cost = series.sign * evaluation.value
        best = min(best, cost) if math.isfinite(cost) else best
        if not math.isfinite(cost):
            yield math.inf
        elif series.sign * best <= 0.0:
            yield 0.0
        else:
            yield 100.0 * (cost - best) / abs(best)


def _progress(window: Sequence[float]) -> float:
    """Return Prechelt's P_k, the training progress in a strip of training losses, per mille."""
    low, mean = min(window), math.fsum(window) / len(window)
    if mean <= low:  # all losses are equal; rounding can give a mean that is even below the least
        return 0.0
    return 1000.0 * (mean / low - 1.0) if low > 0.0 else math.inf


def _train_loss(evaluation: Evaluation, criterion: str) -> float | None:
    """Return the training loss of an evaluation; raise `StrategyError` if it is missing after step 0."""
    if evaluation.train_loss is None and evaluation.step > 0:
        raise StrategyError(
            f"{criterion} needs the training loss, and none was logged before the evaluation at step"
            f" {evaluation.step}: log at least as often as you evaluate (logging_strategy, logging_steps)"
        )
    return evaluation.train_loss
