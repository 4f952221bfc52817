"""Criteria of patience, of a target and of divergence.

A criterion is a pure function of the evaluations so far. It returns a list with one entry for each evaluation: None,
or the reason to stop there, as the part of a sentence that follows "Stopped early:". An entry depends on no later
evaluation.
"""

import math

from hf_strategies.errors import StrategyError
from hf_strategies.lengths import Span
from hf_strategies.stopping.history import Evaluation, Series
from hf_strategies.stopping.improvement import Improvement, best_so_far

__all__ = ["Reasons", "divergence", "growing_patience", "patience", "target", "waits"]

Reasons = list[str | None]
"""What a criterion returns: for each evaluation None, or the reason to stop there."""

_ROUNDING = 1e-9  # epochs are fractions that the Trainer computes by division


def patience(series: Series, *, patience: Span, baseline: float | None, improvement: Improvement) -> Reasons:
    """The metric has not improved for ``patience`` evaluations, steps or epochs.

    The criterion holds at an evaluation that is no improvement (see `Improvement`) and is at least ``patience`` after
    the last improvement, or after the beginning. With a ``baseline`` an improvement ends the wait only if it is also
    better than the baseline. With a patience in evaluations this is EarlyStopping of Keras.
    """
    best, waited = best_so_far(series, improvement), waits(series, improvement, patience.unit, baseline)
    least = patience.amount - _ROUNDING
    return [
        f"{series.name} has not improved{improvement.words}{_past_baseline(baseline)} for {patience.words}"
        if best[index] != index and waited[index] >= least
        else None
        for index in range(len(series))
    ]


def waits(series: Series, improvement: Improvement, unit: str, baseline: float | None = None) -> list[float]:
    """Return at each evaluation the distance, in ``unit``, from the last improvement or else from the beginning.

    With a ``baseline`` only improvements that are also better than the baseline count.

    >>> waits(Series.of_values([3.0, 4.0, 2.0, 2.5]), Improvement(), "evaluations")
    [0.0, 1.0, 0.0, 1.0]
    """
    best = best_so_far(series, improvement)
    distances, since = [], _beginning(series, unit)
    for index, evaluation in enumerate(series.evaluations):
        now = _position(series, evaluation, index, unit)
        improved = best[index] == index
        if improved and (baseline is None or _beats(series, evaluation.value, baseline, improvement.min_delta)):
            since = now
        distances.append(now - since)
    return distances


def growing_patience(series: Series, *, factor: float, offset: int, improvement: Improvement) -> Reasons:
    """The metric has not improved for ``factor`` * (number of the best evaluation) + ``offset`` evaluations.

    A run whose best evaluation came late waits longer. Evaluations are counted from 1; as long as there is no best
    evaluation its number is 0. This is the adaptive early stopping of AutoGluon for tabular models.
    """
    best, waited = best_so_far(series, improvement), waits(series, improvement, "evaluations")
    reasons: Reasons = []
    for index in range(len(series)):
        number = 0 if (best_index := best[index]) is None else best_index + 1
        allowed = factor * number + offset
        holds = best[index] != index and waited[index] >= allowed - _ROUNDING
        reason = f"{series.name} has not improved{improvement.words} for {waited[index]:g} evaluations, {factor:g} *"
        reasons.append(f"{reason} {number} + {offset} being allowed" if holds else None)
    return reasons


def target(series: Series, *, value: float) -> Reasons:
    """The metric has reached ``value``: v <= ``value`` where lower is better, v >= ``value`` where higher is.

    NaN and infinities never reach a target.
    """
    return [
        f"{series.name} has reached {value:g} ({series.sign * cost:.6g})"
        if math.isfinite(cost) and cost <= series.sign * value
        else None
        for cost in series.costs
    ]


def divergence(series: Series, *, threshold: float | None, factor: float | None) -> Reasons:
    """The metric is NaN or infinite, worse than ``threshold``, or worse than ``factor`` times the best so far.

    Where higher is better, the last case is a value below the best divided by ``factor``. The factor is for metrics
    above 0: as long as the best value is not above 0, it has no effect.
    """
    reasons: Reasons = []
    best = math.inf
    for value, cost in zip(series.values, series.costs, strict=True):
        best = min(best, cost) if math.isfinite(cost) else best
        reasons.append(_diverged(series, value, best, threshold, factor))
    return reasons


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
    """Return where in training an evaluation is, in ``unit``."""
    match unit:
        case "evaluations":
            return float(index + 1)
        case "epochs":
            return evaluation.epoch
        case "of training":
            return evaluation.step / _planned_steps(series)
    return float(evaluation.step)


def _beginning(series: Series, unit: str) -> float:
    """Return where in training the series begins, in ``unit``."""
    match unit:
        case "evaluations":
            return 0.0
        case "epochs":
            return series.from_epoch
        case "of training":
            return series.from_step / _planned_steps(series)
    return float(series.from_step)


def _planned_steps(series: Series) -> int:
    if not series.total_steps:
        raise StrategyError(
            "a patience that is a fraction of training needs its planned steps, which are not known here: give it in"
            " evaluations, steps ('500 steps') or epochs ('2ep')"
        )
    return series.total_steps


def _beats(series: Series, value: float, baseline: float, min_delta: float) -> bool:
    return series.sign * value < series.sign * baseline - min_delta


def _past_baseline(baseline: float | None) -> str:
    return "" if baseline is None else f" past {baseline:g}"
