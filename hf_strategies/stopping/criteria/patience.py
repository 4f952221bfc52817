"""Criteria of patience, of a target and of divergence.

A criterion is a pure function of the evaluations so far. It yields one entry for each evaluation, before it reads the
next: None, or the reason to stop there, as the part of a sentence that follows "Stopped early:".
"""

import itertools
import math
from collections.abc import Iterator

from hf_strategies.errors import StrategyError
from hf_strategies.lengths import Span
from hf_strategies.stopping.criteria.reasons import Entries, one_by_one
from hf_strategies.stopping.history import Stream
from hf_strategies.stopping.improvement import Improvement, best_indices

__all__ = ["divergence", "growing_patience", "patience", "target", "waits"]

_ROUNDING = 1e-9  # epochs are fractions that the Trainer computes by division


@one_by_one
def patience(series: Stream, *, patience: Span, baseline: float | None, improvement: Improvement) -> Entries:
    """The metric has not improved for ``patience`` evaluations, steps or epochs.

    The criterion holds at an evaluation that is no improvement (see `Improvement`) and is at least ``patience`` after
    the last improvement, or after the beginning. With a ``baseline`` an improvement ends the wait only if it is also
    better than the baseline. With a patience in evaluations this is EarlyStopping of Keras.
    """
    least = patience.amount - _ROUNDING
    reason = f"{series.name} has not improved{improvement.words}{_past_baseline(baseline)} for {patience.words}"
    waiting = waits(series, improvement, patience.unit, baseline)
    return (None if improved or waited < least else reason for improved, waited in waiting)


def waits(
    series: Stream, improvement: Improvement, unit: str, baseline: float | None = None
) -> Iterator[tuple[bool, float]]:
    """Return an iterator over the evaluations: whether each improves, and the distance, in ``unit``, that it waits.

    The distance is that from the last improvement or else from the beginning. With a ``baseline`` only improvements
    that are also better than the baseline count for it.

    >>> from hf_strategies.stopping.history import Series
    >>> list(waits(Series.of_values([3.0, 4.0, 2.0, 2.5]), Improvement(), "evaluations"))
    [(True, 0.0), (False, 1.0), (True, 0.0), (False, 1.0)]
    """
    since, positions = _positions(series, unit)
    return _waits_since(since, positions, series, improvement, baseline)


def _waits_since(
    since: float, positions: Iterator[float], series: Stream, improvement: Improvement, baseline: float | None
) -> Iterator[tuple[bool, float]]:
    indices = best_indices(series, improvement)
    for index, (evaluation, now, best) in enumerate(zip(series, positions, indices, strict=False)):
        improved = best == index
        if improved and (baseline is None or _beats(series, evaluation.value, baseline, improvement.min_delta)):
            since = now
        yield improved, now - since


@one_by_one
def growing_patience(series: Stream, *, factor: float, offset: int, improvement: Improvement) -> Entries:
    """The metric has not improved for ``factor`` * (number of the best evaluation) + ``offset`` evaluations.

    A run whose best evaluation came late waits longer. Evaluations are counted from 1; as long as there is no best
    evaluation its number is 0. This is the adaptive early stopping of AutoGluon for tabular models.
    """
    number = 0
    for index, (improved, waited) in enumerate(waits(series, improvement, "evaluations")):
        number = index + 1 if improved else number
        if improved or waited < factor * number + offset - _ROUNDING:
            yield None
        else:
            reason = f"{series.name} has not improved{improvement.words} for {waited:g} evaluations, {factor:g} *"
            yield f"{reason} {number} + {offset} being allowed"


@one_by_one
def target(series: Stream, *, value: float) -> Entries:
    """The metric has reached ``value``: v <= ``value`` where lower is better, v >= ``value`` where higher is.

    NaN and infinities never reach a target.
    """
    for evaluation in series:
        reached = math.isfinite(evaluation.value) and series.sign * evaluation.value <= series.sign * value
        yield f"{series.name} has reached {value:g} ({evaluation.value:.6g})" if reached else None


@one_by_one
def divergence(series: Stream, *, threshold: float | None, factor: float | None) -> Entries:
    """The metric is NaN or infinite, worse than ``threshold``, or worse than ``factor`` times the best so far.

    Where higher is better, the last case is a value below the best divided by ``factor``. The factor is for metrics
    above 0: as long as the best value is not above 0, it has no effect.
    """
    best = math.inf
    for evaluation in series:
        cost = series.sign * evaluation.value
        best = min(best, cost) if math.isfinite(cost) else best
        yield _diverged(series, evaluation.value, best, threshold, factor)


def _diverged(series: Stream, value: float, best: float, threshold: float | None, factor: float | None) -> str | None:
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


def _positions(series: Stream, unit: str) -> tuple[float, Iterator[float]]:
    """Return where in training, in ``unit``, the series begins, and an iterator over where its evaluations are."""
    match unit:
        case "evaluations":
            return 0.0, itertools.count(1.0)
        case "epochs":
            return series.from_epoch, (evaluation.epoch for evaluation in series)
        case "of training":
            planned = _planned_steps(series)
            return series.from_step / planned, (evaluation.step / planned for evaluation in series)
    return float(series.from_step), (float(evaluation.step) for evaluation in series)


def _planned_steps(series: Stream) -> int:
    if not series.total_steps:
        raise StrategyError(
            "a patience that is a fraction of training needs its planned steps, which are not known here: give it in"
            " evaluations, steps ('500 steps') or epochs ('2ep')"
        )
    return series.total_steps


def _beats(series: Stream, value: float, baseline: float, min_delta: float) -> bool:
    return series.sign * value < series.sign * baseline - min_delta


def _past_baseline(baseline: float | None) -> str:
    return "" if baseline is None else f" past {baseline:g}"
