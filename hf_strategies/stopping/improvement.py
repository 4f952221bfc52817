"""What counts as an improvement: the margin by which the best so far has to be beaten."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from hf_strategies.errors import StrategyError
from hf_strategies.stopping.history import Evaluation, Series
from hf_strategies.stopping.parameters import Number, Parameter

__all__ = ["IMPROVEMENT_PARAMETERS", "Improvement", "best_so_far", "standard_error"]


def _row(row: Number) -> Any:
    return field(default=row.default, metadata={"row": row})


@dataclass(frozen=True)
class Improvement:
    """A value v improves on the best b so far when v < b - margin (``min``) or v > b + margin (``max``).

    margin = max(``min_delta``, ``relative_delta`` * abs(b), ``z`` * se), where se is the larger standard error of
    the two evaluations: the log's ``<metric>_stderr``, or sqrt(p (1 - p) / ``samples``) for a proportion p such as
    accuracy. The first finite value is the first best; NaN and infinities never improve.

    Raises `StrategyError` when ``z`` is above 0 and the standard error is not known, at the first finite value.
    """

    min_delta: float = _row(Number(0.0, "smallest change that is an improvement, in the metric's unit", low=0))
    relative_delta: float = _row(
        Number(0.0, "smallest change that is an improvement, as a share of the best value", low=0, high=1)
    )
    z: float = _row(Number(0.0, "smallest change that is an improvement, in standard errors of the metric", low=0))
    samples: float | None = _row(
        Number(None, "examples in the evaluation set, for the standard error of a proportion", low=1)
    )

    @classmethod
    def read(cls, **given: object) -> "Improvement":
        """Check settings as a user gives them; raises `StrategyError` for a bad value."""
        return cls(**{name: IMPROVEMENT_PARAMETERS[name].read(name, value) for name, value in given.items()})

    def margin(self, best: Evaluation, new: Evaluation, name: str) -> float:
        """By how much ``new`` has to be better than ``best``."""
        margin = max(self.min_delta, self.relative_delta * abs(best.value))
        if not self.z:
            return margin
        return max(margin, self.z * max(self._error(best, name), self._error(new, name)))

    def check(self, first: Evaluation, name: str) -> None:
        """Ask for what the margin will need; raises `StrategyError` if the first finite evaluation lacks it."""
        if self.z:
            self._error(first, name)

    def __str__(self) -> str:
        given = {name: getattr(self, name) for name in IMPROVEMENT_PARAMETERS}
        return ", ".join(f"{name}={value:g}" for name, value in given.items() if value)

    @property
    def words(self) -> str:
        """The margin as a sentence needs it; empty when any gain will do."""
        parts = [f"{self.min_delta:g}"] if self.min_delta else []
        parts += [f"{100 * self.relative_delta:g} %"] if self.relative_delta else []
        parts += [f"{self.z:g} standard errors"] if self.z else []
        return f" by more than {' and '.join(parts)}" if parts else ""

    def _error(self, evaluation: Evaluation, name: str) -> float:
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


IMPROVEMENT_PARAMETERS: dict[str, Parameter] = {each.name: each.metadata["row"] for each in fields(Improvement)}
"""The settings of an improvement, each once: checks, flags, options of `replay` and messages follow from these."""


def best_so_far(series: Series, improvement: Improvement) -> list[int | None]:
    """Return after each evaluation the index of the best so far, None while no value was finite.

    >>> best_so_far(Series.of_values([1.0, 0.9, 0.4, 0.5]), Improvement(min_delta=0.2))
    [0, 0, 2, 2]
    """
    found: list[int | None] = []
    best: int | None = None
    for index, new in enumerate(series.evaluations):
        if math.isfinite(new.value):
            if best is None:
                improvement.check(new, series.name)  # not only when there are two to compare
            if best is None or _beats(series, new, series.evaluations[best], improvement):
                best = index
        found.append(best)
    return found


def _remedy(name: str) -> str:
    single = name.partition("[")[2].removesuffix("]") or name  # of what is smoothed, when it is
    if not single.startswith("eval_"):
        return "watch a single metric, because an expression has none"
    key = single.removeprefix("eval_") + "_stderr"
    return f"let compute_metrics return it as {key!r} (see standard_error)"


def standard_error(results: Sequence[float]) -> float:
    """Return the standard error of a mean over examples, s / sqrt(n), s with n - 1 in its denominator.

    ``results`` are per example (1.0 for a right answer and 0.0 for a wrong one, or a loss), n of them. For
    ``compute_metrics`` to return beside the mean, as ``accuracy_stderr`` beside ``accuracy``.

    >>> round(standard_error([1.0, 1.0, 0.0, 1.0]), 6)
    0.25
    """
    count = len(results)
    if count < 2:
        raise StrategyError(f"results has {count} value{'' if count == 1 else 's'}: a standard error takes 2 or more")
    mean = math.fsum(results) / count
    return math.sqrt(math.fsum((value - mean) ** 2 for value in results) / (count - 1) / count)


def _beats(series: Series, new: Evaluation, best: Evaluation, improvement: Improvement) -> bool:
    margin = improvement.margin(best, new, series.name)
    return series.sign * new.value < series.sign * best.value - margin
