"""What counts as an improvement: the margin by which a value has to be better than the best so far."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from hf_strategies.errors import StrategyError
from hf_strategies.stopping.history import Evaluation, Stream
from hf_strategies.stopping.parameters import Number, Parameter

__all__ = ["IMPROVEMENT_PARAMETERS", "Improvement", "best_indices", "best_so_far", "find_best", "standard_error"]


def _setting(parameter: Number) -> Any:
    return field(default=parameter.default, metadata={"parameter": parameter})


@dataclass(frozen=True)
class Improvement:
    """A value v improves on the best b so far if v < b - margin (``min``) or v > b + margin (``max``).

    margin = max(``min_delta``, ``relative_delta`` * abs(b), ``z`` * se), where se is the larger of the standard
    errors of the two evaluations. A standard error is ``<metric>_stderr`` from the log, or else
    sqrt(p (1 - p) / ``samples``), for a proportion p such as accuracy. The first finite value is the first best; NaN
    and infinities never improve.

    If ``z`` is above 0 and the standard error is not known, judging the first finite value raises `StrategyError`.
    """

    min_delta: float = _setting(Number(0.0, "smallest change that is an improvement, in the metric's unit", low=0))
    relative_delta: float = _setting(
        Number(0.0, "smallest change that is an improvement, as a share of the best value", low=0, high=1)
    )
    z: float = _setting(
        Number(0.0, "smallest change that is an improvement, in standard errors of the metric", low=0)
    )
    samples: float | None = _setting(
        Number(None, "examples in the evaluation set, for the standard error of a proportion", low=1)
    )

    @classmethod
    def read(cls, **given: object) -> "Improvement":
        """Check settings as a user gives them; raise `StrategyError` for a bad value."""
        return cls(**{name: IMPROVEMENT_PARAMETERS[name].read(name, value) for name, value in given.items()})

    def margin(self, best: Evaluation, new: Evaluation, name: str) -> float:
        """Return by how much ``new`` has to be better than ``best``; ``name`` is the metric's, for messages."""
        margin = max(self.min_delta, self.relative_delta * abs(best.value))
        if not self.z:
            return margin
        return max(margin, self.z * max(self._standard_error(best, name), self._standard_error(new, name)))

    def check(self, first: Evaluation, name: str) -> None:
        """Raise `StrategyError` if the first finite evaluation lacks the standard error that the margin needs."""
        if self.z:
            self._standard_error(first, name)

    def known_standard_error(self, evaluation: Evaluation, name: str) -> float | None:
        """Return the standard error of an evaluation; None if neither the log nor ``samples`` gives it."""
        if evaluation.stderr is None and self.samples is None:
            return None
        return self._standard_error(evaluation, name)

    def __str__(self) -> str:
        given = {name: getattr(self, name) for name in IMPROVEMENT_PARAMETERS}
        return ", ".join(f"{name}={value:g}" for name, value in given.items() if value)

    @property
    def words(self) -> str:
        """The margin as a part of a sentence, such as " by more than 0.01"; empty if there is no margin."""
        parts = [f"{self.min_delta:g}"] if self.min_delta else []
        parts += [f"{100 * self.relative_delta:g} %"] if self.relative_delta else []
        parts += [f"{self.z:g} standard errors"] if self.z else []
        return f" by more than {' and '.join(parts)}" if parts else ""

    def _standard_error(self, evaluation: Evaluation, name: str) -> float:
        if evaluation.stderr is not None:
            if not evaluation.stderr >= 0.0:
                raise StrategyError(
                    f"{name}_stderr={evaluation.stderr!r} at step {evaluation.step} is no standard error: let"
                    " compute_metrics return a number of at least 0"
                )
            return evaluation.stderr
        if self.samples is None:
            raise StrategyError(
                f"z={self.z:g} needs the standard error of {name}: {_remedy(name)}, or for a proportion such as"
                " accuracy give samples, the number of evaluation examples"
            )
        share = evaluation.value
        if not 0.0 <= share <= 1.0:
            raise StrategyError(
                f"samples={self.samples:g} gives a standard error only to a proportion, and {name} is {share:g}:"
                f" {_remedy(name)}"
            )
        return math.sqrt(share * (1.0 - share) / self.samples)


IMPROVEMENT_PARAMETERS: dict[str, Parameter] = {each.name: each.metadata["parameter"] for each in fields(Improvement)}
"""The settings of an improvement; the checks, the flags, the options of `replay` and the messages use this dict."""


def best_so_far(series: Stream, improvement: Improvement) -> list[int | None]:
    """Return for each evaluation the index of the best one so far; None as long as no value was finite.

    >>> from hf_strategies.stopping.history import Series
    >>> best_so_far(Series.of_values([1.0, 0.9, 0.4, 0.5]), Improvement(min_delta=0.2))
    [0, 0, 2, 2]
    """
    return list(best_indices(series, improvement))


def best_indices(series: Stream, improvement: Improvement) -> Iterator[int | None]:
    """Return an iterator over the entries of `best_so_far`, each before the next evaluation is read."""
    return series.best(improvement) if series.best else find_best(series, improvement)


def find_best(series: Stream, improvement: Improvement) -> Iterator[int | None]:
    """Yield the entries of `best_so_far` by comparing the evaluations; see `best_indices`."""
    sign, index_of_best = series.sign, None
    best: Evaluation | None = None
    for index, new in enumerate(series):
        if math.isfinite(new.value):
            if best is None:
                improvement.check(new, series.name)  # at once, and not only when there are two values to compare
            if best is None or sign * new.value < sign * best.value - improvement.margin(best, new, series.name):
                best, index_of_best = new, index
        yield index_of_best


def standard_error(results: Sequence[float]) -> float:
    """Return the standard error of a mean over examples, s / sqrt(n), where s has n - 1 in its denominator.

    ``results`` has one value for each of the n examples: a loss, or 1.0 for a right answer and 0.0 for a wrong one.
    ``compute_metrics`` can return it beside the mean, such as ``accuracy_stderr`` beside ``accuracy``.

    >>> round(standard_error([1.0, 1.0, 0.0, 1.0]), 6)
    0.25
    """
    count = len(results)
    if count < 2:
        raise StrategyError(f"results has {count} value{'' if count == 1 else 's'}: a standard error takes 2 or more")
    mean = math.fsum(results) / count
    return math.sqrt(math.fsum((value - mean) ** 2 for value in results) / (count - 1) / count)


def _remedy(name: str) -> str:
    single = name.partition("[")[2].removesuffix("]") or name  # without the smoothing: "ema(0.3)[eval_loss]"
    if not single.startswith("eval_"):
        return "watch a single metric, because an expression has none"
    key = single.removeprefix("eval_") + "_stderr"
    return f"let compute_metrics return it as {key!r} (see standard_error)"
