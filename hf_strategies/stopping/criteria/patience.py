"""Stop criteria: pure functions from the evaluations so far to the reasons to stop.

Each returns one entry per evaluation: None where the criterion does not hold there, else why it does, as the part of
a sentence that follows "stopped early:". An entry depends on no later evaluation.
"""

import math

from hf_strategies.errors import StrategyError
from hf_strategies.lengths import Span
from hf_strategies.stopping.history import Evaluation, Series
from hf_strategies.stopping.improvement import Improvement, best_so_far

__all__ = ["Reasons", "divergence", "growing_patience", "patience", "target", "waits"]

Reasons = list[str | None]

_ROUNDING = 1e-9  # epochs are fractions that the Trainer computes by division


def patience(series: Series, *, patience: Span, baseline: float | None, improvement: Improvement) -> Reasons:
    """The metric has not improved for ``patience`` evaluations, steps or epochs.

    Holds at an evaluation that is no improvement (see `Improvement`) when the distance from the last one that was,
    or from the beginning, is at least ``patience``. With a ``baseline`` an improvement ends the wait only if it is
    better than that too. Keras' EarlyStopping, in evaluations.
    """
    best, waited = best_so_far(series, improvement), waits(series, improvement, patience.unit, baseline)
    allowed = patience.amount - _ROUNDING
    return [
        f"{series.name} has not improved{improvement.words}{_past(baseline)} for {patience.words}"
        if best[index] != index and waited[index] >= allowed
        else None
        for index in range(len(series))
    ]


def waits(series: Series, improvement: Improvement, unit: str, baseline: float | None = None) -> list[float]:
    """Return after each evaluation how long ago the last improvement was, in ``unit``, from the beginning at first.

    >>> waits(Series.of_values([3.0, 4.0, 2.0, 2.5]), Improvement(), "evaluations")
    [0.0, 1.0, 0.0, 1.0]
    """
    best = best_so_far(series, improvement)
    found, since = [], _beginning(series, unit)
    for index, evaluation in enumerate(series.evaluations):
        now = _position(series, evaluation, index, unit)
        better = best[index] == index
        if better and (baseline is None or _beats(series, evaluation.value, baseline, improvement.min_delta)):
            since = now
        found.append(now - since)
    return found


def growing_patience(series: Series, *, factor: float, offset: int, improvement: Improvement) -> Reasons:
    """The metric has not improved for ``factor`` * (number of the best evaluation) + ``offset`` evaluations.

    A run that still improved late may wait longer. The evaluations are counted from 1; while there is no best the
    number is 0. AutoGluon's adaptive early stopping of tabular models.
    """
    best, waited = best_so_far(series, improvement), waits(series, improvement, "evaluations")
    found: Reasons = []
    for index in range(len(series)):
        number = 0 if (now := best[index]) is None else now + 1
        allowed = factor * number + offset
        holds = best[index] != index and waited[index] >= allowed - _ROUNDING
        said = f"{series.name} has not improved{improvement.words} for {waited[index]:g} evaluations, {factor:g} *"
        found.append(f"{said} {number} + {offset} being allowed" if holds else None)
    return found


def target(series: Series, *, value: float) -> Reasons:
    """The metric has reached ``value``: v <= ``value`` where lower is better, v >= ``value`` where higher is.

    NaN and infinities never reach it.
    """
    return [
        f"{series.name} has reached {value:g} ({series.sign * cost:.6g})"
        if math.isfinite(cost) and cost <= series.sign * value
        else None
        for cost in series.costs
    ]


def divergence(series: Series, *, threshold: float | None, factor: float | None) -> Reasons:
    """The metric is NaN or infinite, worse than ``threshold``, or worse than ``factor`` times the best so far.

    Where higher is better, worse than the best divided by ``factor``. The factor is for metrics above 0: while the
    best is not, nothing is worse by it.
    """
    found: Reasons = []
    best = math.inf
    for value, cost in zip(series.values, series.costs, strict=True):
        best = min(best, cost) if math.isfinite(cost) else best
        found.append(_diverged(series, value, best, threshold, factor))
    return found


def _diverged(series: Series, value: float, best: float, threshold: float | None, factor: float | None) -> str | None:
    if not math.isfinite(value):
        return f"{series.name} is {value}"
    if threshold is not None and series.sign * value > series.sign * threshold:
        return f"{series.name} is beyond {threshold:g} ({value:.6g})"
    if factor is not None and series.sign * best > 0.0:
        limit = best * factor if series.mode == "min" else best / factor
        if series.sign * value > limit:
            return (
                f"{series.name} is {value:.6g}, over {factor:g} times worse than the best, {series.sign * best:.6g}"
            )
    return None


def _position(series: Series, evaluation: Evaluation, index: int, unit: str) -> float:
    match unit:
        case "evaluations":
            return float(index + 1)
        case "epochs":
            return evaluation.epoch
        case "of training":
            return evaluation.step / _planned(series)
    return float(evaluation.step)


def _beginning(series: Series, unit: str) -> float:
    match unit:
        case "evaluations":
            return 0.0
        case "epochs":
            return series.from_epoch
        case "of training":
            return series.from_step / _planned(series)
    return float(series.from_step)


def _planned(series: Series) -> int:
    if not series.total_steps:
        raise StrategyError(
            "a patience that is a fraction of training needs its planned steps, which are not known here: give it in"
            " evaluations, steps ('500 steps') or epochs ('2ep')"
        )
    return series.total_steps


def _beats(series: Series, value: float, baseline: float, min_delta: float) -> bool:
    return series.sign * value < series.sign * baseline - min_delta


def _past(baseline: float | None) -> str:
    return "" if baseline is None else f" past {baseline:g}"
