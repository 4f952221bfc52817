"""When to stop, as a user writes it: criteria joined by ``or`` and ``and``."""

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from hf_strategies.errors import StrategyError, did_you_mean
from hf_strategies.stopping.criteria.table import CRITERIA, Criterion
from hf_strategies.stopping.history import LogRow, Series, Usage, series_of
from hf_strategies.stopping.improvement import IMPROVEMENT_PARAMETERS, Improvement
from hf_strategies.stopping.metric import Direction, Metric
from hf_strategies.stopping.smoothing import Smoothing
from hf_strategies.stopping.syntax import shown, syntax_tree

__all__ = ["COMMON", "Call", "Join", "Node", "Seen", "View", "calls", "names_of", "parse", "reasons", "view_of"]


COMMON = ("monitor", "mode", "smoothing")
"""What every criterion takes besides its own parameters: the metric it looks at, if not the one watched."""

EXAMPLE = "'patience(3) or target(0.95)'"


@dataclass(frozen=True)
class Call:
    """One criterion with its parameters, read and complete; ``given`` are the common ones that stand there."""

    criterion: Criterion
    parameters: Mapping[str, Any]
    given: Mapping[str, Any]

    def __str__(self) -> str:
        rows = self.criterion.parameters
        first = next(iter(rows), "")
        parts = [repr(self.parameters[first])] if self.parameters.get(first) is not None else []
        named = {name: value for name, value in self.parameters.items() if value != _default(rows[name], name)}
        named.pop(first, None)
        parts += [f"{name}={value!r}" for name, value in (named | dict(self.given)).items()]
        return f"{self.criterion.name}({', '.join(parts)})" if rows or parts else self.criterion.name


@dataclass(frozen=True)
class Join:
    """Several conditions of which any, or all, have to hold at one evaluation."""

    word: str  # "or", "and"
    parts: tuple["Node", ...]

    def __str__(self) -> str:
        return f" {self.word} ".join(f"({part})" if isinstance(part, Join) else str(part) for part in self.parts)


Node = Call | Join


def parse(text: object) -> Node:
    """Read criteria joined by ``or`` / ``and``, or by ``any(...)`` / ``all(...)``.

    A criterion takes its parameters in their order or by name. Raises `StrategyError` for what cannot be read, an
    unknown name, a parameter that is missing, unknown or out of range.

    >>> str(parse("patience(5) or target(0.95) and generalisation_loss"))
    'patience(5) or (target(0.95) and generalisation_loss(5.0))'
    """
    if not isinstance(text, str) or not text.strip():
        raise StrategyError(f"stop_when={text!r} is no criterion: write one such as {EXAMPLE}")
    tree = syntax_tree(text)
    if tree is None:
        raise StrategyError(f"stop_when={text!r} cannot be read: write criteria such as {EXAMPLE}")
    return _node(tree)


def calls(node: Node) -> list[Call]:
    """All criteria of a condition."""
    return [node] if isinstance(node, Call) else [call for part in node.parts for call in calls(part)]


def _node(tree: ast.expr) -> Node:
    match tree:
        case ast.BoolOp(op=op, values=values):
            return Join("or" if isinstance(op, ast.Or) else "and", tuple(map(_node, values)))
        case ast.Call(func=ast.Name(id="any" | "all" as word), args=[_, *_] as parts, keywords=[]):
            return Join({"any": "or", "all": "and"}[word], tuple(map(_node, parts)))
        case ast.Call(func=ast.Name(id=name), args=values, keywords=keywords):
            return _call(name, [_value(value) for value in values], _named(name, keywords))
        case ast.Name(id=name):
            return _call(name, [], {})
    raise StrategyError(f"stop_when: {shown(tree)!r} is no criterion: write one such as {EXAMPLE}")


def _named(name: str, keywords: Sequence[ast.keyword]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for keyword in keywords:
        if keyword.arg is None:
            raise StrategyError(f"stop_when: {name} is given **{shown(keyword.value)}: write name=value")
        if keyword.arg in found:
            raise StrategyError(f"stop_when: {name} is given {keyword.arg} twice: leave one of the two")
        found[keyword.arg] = _value(keyword.value)
    return found


def _call(name: str, values: Sequence[Any], named: Mapping[str, Any]) -> Call:
    if name not in CRITERIA:
        raise StrategyError(f"stop_when: there is no criterion {name!r}: {did_you_mean(name, CRITERIA)}")
    row = CRITERIA[name]
    if len(values) > len(row.parameters):
        raise StrategyError(
            f"stop_when: {name} takes {len(row.parameters)} values, not {len(values)}: {_signature(row)}"
        )
    given = dict(zip(row.parameters, values, strict=False))
    for key in sorted(given.keys() & named.keys()):
        raise StrategyError(f"stop_when: {name} is given {key} twice: leave one of the two: {_signature(row)}")
    given |= named
    common = {key: given.pop(key) for key in _common(row) if key in given}
    for key in sorted(given.keys() - row.parameters.keys()):
        near = did_you_mean(key, [*row.parameters, *_common(row)])
        raise StrategyError(f"stop_when: {name} has no parameter {key!r}: {near}")
    return Call(row, {key: _read(row, key, given) for key in row.parameters}, common)


def _read(row: Criterion, key: str, given: Mapping[str, Any]) -> Any:
    parameter = row.parameters[key]
    if key not in given and parameter.default is ...:
        raise StrategyError(f"stop_when: {row.name} needs {key}, {parameter.help}: {_signature(row)}")
    return parameter.read(key, given[key]) if key in given else _default(parameter, key)


def _default(parameter: Any, key: str) -> Any:
    return parameter.default if parameter.default in (None, ...) else parameter.read(key, parameter.default)


def _common(row: Criterion) -> tuple[str, ...]:
    return (*COMMON, *(IMPROVEMENT_PARAMETERS if row.improves else ()))


def _signature(row: Criterion) -> str:
    parts = [key if each.default is ... else f"{key}={each.default!r}" for key, each in row.parameters.items()]
    return f"{row.name}({', '.join(parts)})"


def _value(tree: ast.expr) -> Any:
    """A number, a text or None; a bare name is a text, so that monitor=accuracy needs no quotes."""
    if isinstance(tree, ast.Name):
        return tree.id
    try:
        return ast.literal_eval(tree)
    except (ValueError, TypeError):
        raise StrategyError(f"stop_when: {shown(tree)!r} is no value: give a number or a text") from None


@dataclass(frozen=True)
class Seen:
    """What there is to judge: evaluations, what training had used up at them, its planned steps."""

    rows: Sequence[LogRow]
    usage: Usage | None = None
    total_steps: int | None = None


@dataclass(frozen=True)
class View:
    """How a criterion looks at the evaluations: which metric, which way, smoothed how, what is an improvement."""

    metric: Metric
    mode: Direction
    smoothing: Smoothing | None = None
    improvement: Improvement = field(default_factory=Improvement)

    def series(self, seen: "Seen", first: int = 0) -> Series:
        """Take the series that it looks at out of the evaluations, from number ``first`` on."""
        found = series_of(
            seen.rows, self.metric, self.mode, usage=seen.usage, total_steps=seen.total_steps, first=first
        )
        return self.smoothing.of(found) if self.smoothing else found


def view_of(call: Call, watched: View) -> View:
    """Return how one criterion looks at the evaluations: as the rule does, except for what is given to the criterion.

    For another metric than the watched one, the margin of an improvement is 0 unless it is given: a margin has the
    unit of its metric.
    """
    given: Mapping[str, Any] = call.given
    metric = Metric.read(given["monitor"]) if "monitor" in given else watched.metric
    same = metric == watched.metric
    mode = watched.mode if same and "mode" not in given else metric.direction(given.get("mode"))
    smoothing = given.get("smoothing", watched.smoothing if same else None)
    settings = {name: row.read(name, given[name]) for name, row in IMPROVEMENT_PARAMETERS.items() if name in given}
    improvement = replace(watched.improvement if same else Improvement(), **settings)
    return View(metric, mode, None if smoothing is None else Smoothing.read(smoothing), improvement)


def reasons(node: Node, watched: View, seen: Seen, first: int = 0) -> list[str | None]:
    """Return for each evaluation from number ``first`` on why the condition holds there, or None.

    Of criteria joined by ``or`` the first that holds is the reason; joined by ``and``, all of them are.
    """
    if isinstance(node, Call):
        view = view_of(node, watched)
        extra = {"improvement": view.improvement} if node.criterion.improves else {}
        return list(node.criterion.function(view.series(seen, first), **node.parameters, **extra))
    parts = [reasons(part, watched, seen, first) for part in node.parts]
    if node.word == "or":
        return [next((said for said in each if said), None) for each in zip(*parts, strict=True)]
    return [" and ".join(map(str, each)) if all(each) else None for each in zip(*parts, strict=True)]


def names_of(node: Node, watched: View) -> tuple[str, ...]:
    """Return all the metrics' names in the log that a condition needs."""
    found = [*watched.metric.names]
    for call in calls(node):
        found += view_of(call, watched).metric.names
    return tuple(dict.fromkeys(found))
