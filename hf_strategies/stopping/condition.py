"""The condition to stop, as users write it: criteria joined by ``or`` and ``and``.

`parse` turns the text into a `Condition`, and `reasons` judges evaluations by it. Each criterion judges the metric
that the rule watches, unless it is given another one with ``monitor``.
"""

import ast
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from hf_strategies.errors import StrategyError, did_you_mean
from hf_strategies.lengths import Span
from hf_strategies.stopping.criteria.reasons import Entries, entries
from hf_strategies.stopping.criteria.table import CRITERIA, Criterion
from hf_strategies.stopping.evaluation_log import EvaluationLog, GrowingSeries
from hf_strategies.stopping.history import Series, Stream
from hf_strategies.stopping.improvement import IMPROVEMENT_PARAMETERS, Improvement
from hf_strategies.stopping.metric import Direction, Metric
from hf_strategies.stopping.parameters import Parameter
from hf_strategies.stopping.smoothing import Smoothing
from hf_strategies.syntax import WrittenCall, shown, syntax_tree, with_quotes, written_call

__all__ = [
    "COMMON_PARAMETERS",
    "Call",
    "Condition",
    "CountedPatience",
    "Join",
    "WatchedMetric",
    "calls",
    "check_parameters",
    "metric_names",
    "parse",
    "patience_in_evaluations",
    "reasons",
    "watched_by",
]

COMMON_PARAMETERS = ("monitor", "mode", "smoothing")
"""What every criterion takes besides its own parameters: another metric to judge, its direction, its smoothing."""

_EXAMPLE = "'patience(3) or target(0.95)'"


@dataclass(frozen=True)
class WatchedMetric:
    """A metric with what is needed to judge it: its direction, its smoothing, and what counts as an improvement."""

    metric: Metric
    mode: Direction
    smoothing: Smoothing | None = None
    improvement: Improvement = field(default_factory=Improvement)

    def series(self, log: EvaluationLog, first: int = 0) -> GrowingSeries:
        """Return the series of this metric, smoothed, from the evaluation with the index ``first`` on."""
        return log.series(self.metric, self.mode, self.smoothing, first)

    def __str__(self) -> str:
        return f"{self.smoothing}[{self.metric.text}]" if self.smoothing else self.metric.text


@dataclass(frozen=True)
class Call:
    """One criterion with the values of all its parameters.

    ``common`` holds those of `COMMON_PARAMETERS`, and of the parameters of an improvement, that the user gave to
    this criterion.
    """

    criterion: Criterion
    parameters: Mapping[str, Any]
    common: Mapping[str, Any]

    def __str__(self) -> str:
        rows = self.criterion.parameters
        first = next(iter(rows), "")
        parts = [repr(self.parameters[first])] if self.parameters.get(first) is not None else []
        named = {name: value for name, value in self.parameters.items() if value != _default(rows[name], name)}
        named.pop(first, None)
        parts += [f"{name}={value!r}" for name, value in (named | dict(self.common)).items()]
        return f"{self.criterion.name}({', '.join(parts)})" if rows or parts else self.criterion.name


@dataclass(frozen=True)
class Join:
    """Conditions of which one (``word`` is "or") or all ("and") have to hold at the same evaluation."""

    word: str
    parts: tuple["Condition", ...]

    def __str__(self) -> str:
        return f" {self.word} ".join(f"({part})" if isinstance(part, Join) else str(part) for part in self.parts)


Condition = Call | Join


def parse(text: object) -> Condition:
    """Read criteria that are joined by ``or`` and ``and``, or by ``any(...)`` and ``all(...)``.

    A criterion takes its parameters by position or by name. Raises `StrategyError` for a text that cannot be read,
    for an unknown name, and for a parameter that is missing, unknown or out of range.

    >>> str(parse("patience(5) or target(0.95) and generalisation_loss"))
    'patience(5) or (target(0.95) and generalisation_loss(5.0))'
    """
    if not isinstance(text, str) or not text.strip():
        raise StrategyError(f"stop_when={text!r} is no criterion: write one such as {_EXAMPLE}")
    tree = syntax_tree(text)
    if tree is None:
        quoted = with_quotes(text)
        remedy = f"a length with a unit, or a name with a space, needs quotes: {quoted}" if quoted else None
        raise StrategyError(f"stop_when={text!r} cannot be read: {remedy or f'write criteria such as {_EXAMPLE}'}")
    return _condition(tree)


def calls(condition: Condition) -> list[Call]:
    """Return all criteria of a condition, in the order in which they are written."""
    if isinstance(condition, Call):
        return [condition]
    return [call for part in condition.parts for call in calls(part)]


def reasons(condition: Condition, watched: WatchedMetric, stream_of: Callable[[WatchedMetric], Stream]) -> Entries:
    """Return an iterator over the evaluations: why the condition holds at each; None where it does not.

    ``stream_of`` returns the evaluations of a metric. Each entry is taken before the next evaluation is read. Of
    criteria joined by ``or``, the first that holds gives the reason. Of criteria joined by ``and``, all do.
    """
    if isinstance(condition, Call):
        judged = watched_by(condition, watched)
        return entries(condition.criterion.function, stream_of(judged), **_arguments(condition, judged))
    by_evaluation = zip(*(reasons(part, watched, stream_of) for part in condition.parts), strict=True)
    if condition.word == "or":
        return (next((reason for reason in each if reason), None) for each in by_evaluation)
    return (" and ".join(map(str, each)) if all(each) else None for each in by_evaluation)


def check_parameters(condition: Condition, watched: WatchedMetric) -> None:
    """Judge an empty series by each criterion, which raises `StrategyError` if its parameters do not fit together."""
    for call in calls(condition):
        judged = watched_by(call, watched)
        call.criterion.function(Series((), judged.mode, str(judged), 1), **_arguments(call, judged))


@dataclass(frozen=True)
class CountedPatience:
    """A patience in evaluations: its amount, its baseline, and what it waits for."""

    amount: float
    baseline: float | None
    watched: WatchedMetric


def patience_in_evaluations(condition: Condition, watched: WatchedMetric) -> CountedPatience | None:
    """Return the first patience in evaluations of a condition that waits for the watched metric, if there is one."""
    for call in calls(condition):
        patience, judged = call.parameters.get("patience"), watched_by(call, watched)
        if isinstance(patience, Span) and patience.unit == "evaluations" and judged.metric == watched.metric:
            return CountedPatience(patience.amount, call.parameters.get("baseline"), judged)
    return None


def _arguments(call: Call, judged: WatchedMetric) -> dict[str, Any]:
    """Return the arguments of a criterion beside the evaluations."""
    extra = {"improvement": judged.improvement} if call.criterion.takes_improvement else {}
    return {**call.parameters, **extra}


def watched_by(call: Call, watched: WatchedMetric) -> WatchedMetric:
    """Return what one criterion judges: the rule's ``watched`` metric, changed by what the criterion was given.

    A criterion of another metric starts from the default improvement, whose margin is 0, and not from the rule's: a
    margin has the unit of its metric.
    """
    given = call.common
    metric = Metric.read(given["monitor"]) if "monitor" in given else watched.metric
    same = metric == watched.metric
    mode = watched.mode if same and "mode" not in given else metric.direction(given.get("mode"))
    smoothing = given.get("smoothing", watched.smoothing if same else None)
    changes = {name: row.read(name, given[name]) for name, row in IMPROVEMENT_PARAMETERS.items() if name in given}
    improvement = replace(watched.improvement if same else Improvement(), **changes)
    return WatchedMetric(metric, mode, None if smoothing is None else Smoothing.read(smoothing), improvement)


def metric_names(condition: Condition, watched: WatchedMetric) -> tuple[str, ...]:
    """Return the names, as in the Trainer's log, of all metrics that a condition and its rule need."""
    names = [*watched.metric.names]
    for call in calls(condition):
        names += watched_by(call, watched).metric.names
    return tuple(dict.fromkeys(names))


def _condition(tree: ast.expr) -> Condition:
    match tree:
        case ast.BoolOp(op=op, values=values):
            return Join("or" if isinstance(op, ast.Or) else "and", tuple(map(_condition, values)))
        case ast.Call(func=ast.Name(id="any" | "all" as word), args=[_, *_] as parts, keywords=[]):
            return Join({"any": "or", "all": "and"}[word], tuple(map(_condition, parts)))
    if call := written_call("stop_when", tree):
        return _call(call)
    raise StrategyError(f"stop_when: {shown(tree)!r} is no criterion: write one such as {_EXAMPLE}")


def _call(written: WrittenCall) -> Call:
    if written.name not in CRITERIA:
        raise StrategyError(
            f"stop_when: there is no criterion {written.name!r}: {did_you_mean(written.name, CRITERIA)}"
        )
    row = CRITERIA[written.name]
    common_names = (*COMMON_PARAMETERS, *(IMPROVEMENT_PARAMETERS if row.takes_improvement else ()))
    given = written.bound([*row.parameters], _signature(row), more=common_names)
    common = {key: given.pop(key) for key in common_names if key in given}
    return Call(row, {key: _parameter_value(row, key, given) for key in row.parameters}, common)


def _parameter_value(row: Criterion, key: str, given: Mapping[str, Any]) -> Any:
    parameter = row.parameters[key]
    if key not in given and parameter.default is ...:
        raise StrategyError(f"stop_when: {row.name} needs {key}, {parameter.help}: {_signature(row)}")
    return parameter.read(key, given[key]) if key in given else _default(parameter, key)


def _default(parameter: Parameter, key: str) -> Any:
    return parameter.default if parameter.default in (None, ...) else parameter.read(key, parameter.default)


def _signature(row: Criterion) -> str:
    parts = [key if each.default is ... else f"{key}={each.default!r}" for key, each in row.parameters.items()]
    return f"{row.name}({', '.join(parts)})"
