"""The text of ``hf-strategies criteria``: the table of the stop criteria, and a sheet about one criterion."""

import inspect
from collections.abc import Sequence

from hf_strategies.report.lines import fill
from hf_strategies.stopping.condition import COMMON_PARAMETERS
from hf_strategies.stopping.criteria.table import CRITERIA, Criterion
from hf_strategies.stopping.improvement import IMPROVEMENT_PARAMETERS
from hf_strategies.stopping.parameters import Parameter

__all__ = ["criteria_overview", "criterion_sheet", "signature"]

_USE = """
Join them with `or` and `and`:
  --early_stopping_when "patience(5) or target(0.95) or divergence(factor=3)"
  EarlyStopping(stop_when="patience(5) or generalisation_loss(10)")
All take monitor= and mode=, to look at another metric, and smoothing=.
`hf-strategies criteria NAME` tells the formula and the parameters of one.
"""


def criteria_overview() -> str:
    """Return the table of the criteria, and how to combine them.

    >>> print(criteria_overview().splitlines()[1].split()[0])
    patience(patience=3,
    """
    width = max(len(signature(row)) for row in CRITERIA.values()) + 2
    lines = [f"  {signature(row):<{width}}{row.summary}" for row in CRITERIA.values()]
    return "\n".join([f"Stop criteria ({len(CRITERIA)})", *lines, _USE.rstrip()])


def criterion_sheet(row: Criterion, width: int | None = None) -> str:
    """Return the formula, the parameters and the source of a criterion, with a worked example.

    ``width`` is that of the paragraphs; None leaves them as they are in the source.
    """
    text = (inspect.getdoc(row.function) or row.summary).partition(">>>")[0].rstrip().replace("``", "")
    improvement = IMPROVEMENT_PARAMETERS if row.takes_improvement else {}
    parts = [
        signature(row),
        "",
        fill(text, width) if width else text,
        "",
        "Parameters",
        *_parameter_lines(list({**row.parameters, **improvement}.items())),
        f"  {', '.join(COMMON_PARAMETERS)}: another metric to look at; its direction; 'ema(0.3)' or the like",
        "",
        f"Source: {row.source}",
    ]
    return "\n".join([*parts, *_example(row)])


def signature(row: Criterion) -> str:
    """Write a criterion with its parameters and their defaults.

    >>> signature(CRITERIA["target"]), signature(CRITERIA["successive_increases"])
    ('target(value)', 'successive_increases(count=3, strip=5)')
    """
    shown = [key if each.default is ... else f"{key}={each.default!r}" for key, each in row.parameters.items()]
    return f"{row.name}({', '.join(shown)})"


def _parameter_lines(parameters: Sequence[tuple[str, Parameter]]) -> list[str]:
    width = max(len(name) for name, _ in parameters) + 2
    return [f"  {name:<{width}}{each.help} ({_default(each)})" for name, each in parameters]


def _default(parameter: Parameter) -> str:
    if parameter.default is ...:
        return "needed"
    return "unset" if parameter.default is None else f"{parameter.default}"


def _example(row: Criterion) -> list[str]:
    """Return the lines of the worked example, if the criterion has one."""
    case = row.golden
    if case is None:
        return []
    values = ", ".join(f"{value:g}" for value in case.values)
    columns = "".join(f"; {name} {', '.join(f'{value:g}' for value in each)}" for name, each in case.columns.items())
    settings = ", ".join(f"{name}={value!r}" for name, value in case.settings.items())
    stop = "goes on" if case.stop_index is None else f"stops at number {case.stop_index + 1}"
    best = "none" if case.best_index is None else f"number {case.best_index + 1}"
    word = "lower" if case.mode == "min" else "higher"
    title = f"Example ({word} is better): {row.name}({settings})"
    return ["", title, f"  values {values}{columns}", f"  {stop}; best: {best}"]
