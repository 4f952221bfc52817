"""Criteria that look at the shape of the curves: Prechelt's three, and the gap to the training loss."""

import math
from collections.abc import Sequence

from hf_strategies.errors import StrategyError
from hf_strategies.stopping.criteria.patience import Reasons
from hf_strategies.stopping.history import Series

__all__ = ["generalisation_gap", "generalisation_loss", "progress_quotient", "successive_increases"]


def generalisation_loss(series: Series, *, alpha: float) -> Reasons:
    """Prechelt's GL(``alpha``): the metric is more than ``alpha`` percent worse than the best so far.

    GL(t) = 100 * (E(t) / E_opt(t) - 1), where E is the metric and E_opt the least E up to t. Where higher is
    better: 100 * (1 - E(t) / E_opt(t)), of the greatest. A value that is not finite is infinitely worse; while
    E_opt is not above 0 the criterion does not hold. Prechelt 1998, "Early Stopping - But When?".
    """
    return [
        f"{series.name} is {loss:.4g} % worse than its best, more than {alpha:g} %" if loss > alpha else None
        for loss in _losses(series)
    ]


def progress_quotient(series: Series, *, alpha: float, strip: int) -> Reasons:
    """Prechelt's PQ(``alpha``): generalisation loss is high against the progress still made in training.

    GL(t) / P_k(t) > ``alpha``, where GL is as in `generalisation_loss` and P_k(t) = 1000 * (mean of the training
    loss over the last k evaluations / the least of them - 1) is the training progress in a ``strip`` of k. Looked
    at at the end of each strip: at the evaluations k, 2k, ... counted from 1. Where there is no progress at all
    any loss above 0 stops; progress to a training loss of 0 or below is infinite, and never does. Prechelt 1998.
    """
    train = _train_losses(series, "progress_quotient")
    found: Reasons = []
    for index, loss in enumerate(_losses(series)):
        window = [value for value in train[max(0, index + 1 - strip) : index + 1] if value is not None]
        if (index + 1) % strip or len(window) < strip:
            found.append(None)
            continue
        progress = _progress(window)
        holds = loss > alpha * progress
        said = f"{series.name} is {loss:.4g} % worse than its best at a training progress of {progress:.4g} per mille"
        found.append(f"{said}, a quotient of more than {alpha:g}" if holds else None)
    return found


def successive_increases(series: Series, *, count: int, strip: int) -> Reasons:
    """Prechelt's UP(``count``): the metric got worse in so many strips in a row.

    A strip of k evaluations got worse when the metric at its end is worse than at the end of the strip before:
    E(t) > E(t - k), at t = k, 2k, ... counted from 1. What is not finite is worse than what is. Prechelt 1998.
    """
    costs = [cost if math.isfinite(cost) else math.inf for cost in series.costs]
    found: Reasons = []
    rises = 0
    for index, cost in enumerate(costs):
        if (index + 1) % strip or index < strip:
            found.append(None)
            continue
        before = costs[index - strip]
        rises = rises + 1 if cost > before or cost == math.inf else 0
        said = f"{series.name} got worse in {count} {'strip' if count == 1 else 'strips'} of {strip} in a row"
        found.append(said if rises >= count else None)
    return found


def generalisation_gap(series: Series, *, gap: float | None, ratio: float | None) -> Reasons:
    """The metric exceeds the training loss by more than ``gap``, or is more than ``ratio`` times as high.

    For a validation loss of the same kind as the training loss, whose mean since the evaluation before is taken;
    label smoothing and dropout raise the training loss. One of the two has to be given; the ratio is for training
    losses that are not negative.
    """
    if gap is None and ratio is None:
        raise StrategyError("generalisation_gap has neither gap nor ratio: give one, such as gap=0.5")
    if series.mode == "max":
        raise StrategyError(
            f"generalisation_gap compares losses, and of {series.name} higher is better: watch a loss,"
            " generalisation_gap(0.5, monitor=loss)"
        )
    found: Reasons = []
    for value, train in zip(series.values, _train_losses(series, "generalisation_gap"), strict=True):
        wide = train is not None and gap is not None and value - train > gap
        steep = train is not None and ratio is not None and train >= 0 and value > ratio * train
        limit = f"more than {gap:g} above" if wide else f"more than {ratio or 0:g} times"
        said = f"{series.name} is {value:.6g}, {limit} the training loss of {train or 0:.6g}"
        found.append(said if wide or steep else None)
    return found


def _losses(series: Series) -> list[float]:
    """GL at each evaluation, in percent."""
    found, best = [], math.inf
    for cost in series.costs:
        best = min(best, cost) if math.isfinite(cost) else best
        if not math.isfinite(cost):
            found.append(math.inf)
        elif series.sign * best <= 0.0:
            found.append(0.0)
        else:
            found.append(100.0 * (cost - best) / abs(best))
    return found


def _progress(window: Sequence[float]) -> float:
    """Training progress in a strip, per mille."""
    low, mean = min(window), math.fsum(window) / len(window)
    if mean <= low:  # all are equal; rounding may even put the mean below them
        return 0.0
    return 1000.0 * (mean / low - 1.0) if low > 0.0 else math.inf


def _train_losses(series: Series, criterion: str) -> list[float | None]:
    for evaluation in series.evaluations:
        if evaluation.train_loss is None and evaluation.step > 0:
            raise StrategyError(
                f"{criterion} needs the training loss, and none was logged before the evaluation at step"
                f" {evaluation.step}: log at least as often as you evaluate (logging_strategy, logging_steps)"
            )
    return [evaluation.train_loss for evaluation in series.evaluations]
