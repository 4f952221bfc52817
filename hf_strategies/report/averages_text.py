"""The text of ``hf-strategies averages``: the table of the averages of weights, and a sheet about one of them."""

import inspect

from hf_strategies.averaging import AVERAGES, AverageRow
from hf_strategies.averaging.average import signature
from hf_strategies.averaging.parameters import Parameter
from hf_strategies.report.lines import fill

__all__ = ["average_sheet", "averages_overview"]

_USE = """
Lengths are steps (500), epochs ('2ep'), or a fraction of the averaged updates that are done (0.5):
  WeightAveraging("ema(over='1ep')")
After training, from checkpoints: hf-strategies average RUN_DIR --last 5.
`hf-strategies averages NAME` tells the formula and the parameters of one.
"""


def averages_overview() -> str:
    """Return the table of the averages, and how to write one.

    >>> averages_overview().splitlines()[2].split()[0]
    'tail(over)'
    """
    width = max(len(signature(row)) for row in AVERAGES.values()) + 2
    lines = [f"  {signature(row):<{width}}{row.summary}" for row in AVERAGES.values()]
    return "\n".join([f"Averages of weights ({len(AVERAGES)})", *lines, _USE.rstrip()])


def average_sheet(row: AverageRow, width: int | None = None) -> str:
    """Return the formula, the parameters and the source of an average.

    ``width`` is that of the paragraphs; None leaves them as they are in the source.
    """
    text = (inspect.getdoc(row.function) or row.summary).partition(">>>")[0].rstrip().replace("``", "")
    size = max((len(name) for name in row.parameters), default=0) + 2
    lines = [f"  {name:<{size}}{each.help} ({_default(each)})" for name, each in row.parameters.items()]
    means = f"{row.slots} running mean{'s' if row.slots > 1 else ''} in memory"
    return "\n".join(
        [
            signature(row),
            "",
            fill(text, width) if width else text,
            "",
            *(["Parameters", *lines, ""] if lines else []),
            f"Keeps: {'the snapshots themselves' if row.snapshots else means}",
            f"Source: {row.source}",
        ]
    )


def _default(parameter: Parameter) -> str:
    if parameter.default is ...:
        return "needed"
    return "unset" if parameter.default is None else f"{parameter.default}"
