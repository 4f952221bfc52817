"""A page of HTML with the curves and the table of runs, which works from a file and without a network."""

import html
import json
import math
import os
from collections.abc import Iterator, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from hf_strategies.errors import StrategyError, visible
from hf_strategies.files import write_text
from hf_strategies.report.run.advice import advice
from hf_strategies.report.run.logged_run import LoggedRun
from hf_strategies.report.run.looks import look, shortened
from hf_strategies.report.run.runs_figure import is_loss, run_marks
from hf_strategies.report.run.settings import differing_settings
from hf_strategies.report.run.summary import summary_cells
from hf_strategies.report.run.thinning import Point, finite, thinned

__all__ = ["checked_page", "page", "write_page"]

_ALL_POINTS = 100_000  # of all curves together: about 2.5 MB
_MOST_POINTS = 6000  # of a curve
_FEWEST_POINTS = 200
_NAME = 80
_LABEL = 40
_MOST_EXTRAS = 24  # series that training logged beside losses and rates

# Nothing is loaded, not even by a mistake: the browser refuses it.
_POLICY = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:"


def checked_page(path: str | os.PathLike[str]) -> Path:
    """Return the path of a page; refuse an ending other than .html, and a folder that does not exist."""
    file = Path(path)
    if file.suffix.lower() not in (".html", ".htm"):
        raise StrategyError(f"{file} has no ending of a page: give a name that ends in .html")
    if not os.path.isdir(file.parent):  # Path.is_dir() raises for a name that is too long
        raise StrategyError(f"{file}: there is no folder {file.parent}: make it first")
    return file


def write_page(runs: Sequence[LoggedRun], path: str | os.PathLike[str]) -> None:
    """Write the page of runs into a file; raises `StrategyError` for a file that cannot be written.

    Needs plotly, whose program is written into the page.
    """
    file = checked_page(path)
    text = page(runs)
    try:
        write_text(file, text)
    except (OSError, ValueError) as mistake:  # ValueError: a name with a null byte, or that no encoding has
        raise StrategyError(f"{file} cannot be written: {getattr(mistake, 'strerror', None) or mistake}") from mistake


def page(runs: Sequence[LoggedRun]) -> str:
    """Return the page of runs as HTML.

    Whatever comes from the runs is escaped: as HTML in the table, and in the data, which are JSON, each ``<``.
    """
    title = f"{len(runs)} runs" if len(runs) > 1 else f"Run {shortened(visible(runs[0].name), _NAME)}"
    parts = [
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{_text(title)}</title><style>{_own('page.css')}</style></head><body>",
        f"<header><h1>{_text(title)}</h1>",
        '<button id="theme" type="button">Light or dark</button></header>',
        _table(runs),
        f'<div id="series" role="group" aria-label="Series"></div><div id="plot"></div>{_notes(runs)}',
        f'<script type="application/json" id="data">{_json(page_data(runs))}</script>',
        f"<script>{_plotly()}</script><script>{_own('page.js')}</script></body></html>\n",
    ]
    return "".join(parts)


def page_data(runs: Sequence[LoggedRun]) -> dict[str, Any]:
    """Return what the page draws: the runs with their looks and events, the panels, and the curves."""
    curves = [curve for index, run in enumerate(runs) for curve in _curves(index, run)]
    most = min(_MOST_POINTS, max(_FEWEST_POINTS, _ALL_POINTS // max(1, len(curves))))
    panels = sorted(dict.fromkeys((_order(curve), curve["panel"]) for curve in curves), key=lambda each: each[0])
    thin = any(len(curve["points"]) > most for curve in curves)
    return {
        "runs": [_run(index, run) for index, run in enumerate(runs)],
        "panels": [{"name": name, "shown": order < 3} for order, name in panels],
        "curves": [_drawn(curve, most) for curve in curves],
        "thinned": most if thin else None,
    }


def _run(index: int, run: LoggedRun) -> dict[str, Any]:
    own = look(index)
    found = [(0, "start"), *((mark.step, mark.text) for mark in run_marks(run)), (run.steps, "end")]
    events: dict[int, list[str]] = {}
    for step, text in found:
        events.setdefault(step, []).append(text)
    marked = [{"x": step, "text": "; ".join(texts)} for step, texts in sorted(events.items())]
    name = shortened(visible(run.name), _NAME)
    return {"name": name, "color": own.color, "dash": own.dash, "marker": own.marker, "steps": run.steps} | {
        "events": marked
    }


def _curves(index: int, run: LoggedRun) -> Iterator[dict[str, Any]]:
    """Yield the curves of a run, each with its panel and with all of its points."""
    groups = len({line.name for line in run.rate_lines}) > 1
    for line in run.rate_lines:
        kind = "line" if line.is_exact else "steps"
        name = line.name if groups else ""
        yield {"run": index, "panel": "learning rate", "name": name, "kind": kind, "points": line.points}
    yield {"run": index, "panel": "loss", "name": "training", "kind": "training", "points": run.losses}
    for metric in run.metrics:
        points = [(each.step, each.value) for each in run.evaluations(metric)]
        panel = "loss" if is_loss(metric) else visible(metric.removeprefix("eval_"))
        name = metric.removeprefix("eval_") if is_loss(metric) else ""
        best = run.best(metric)
        more = {"best": [best.step, best.value]} if best else {}
        yield {"run": index, "panel": panel, "name": name, "kind": "evaluations", "points": points} | more
    for key in run.other_keys[:_MOST_EXTRAS]:
        yield {
            "run": index,
            "panel": visible(f"{key} (training)"),
            "name": "",
            "kind": "training",
            "points": run.logged(key),
        }


def _order(curve: dict[str, Any]) -> int:
    """Return the place of a curve's panel; those from 3 on are not shown at first."""
    first = {"learning rate": 0, "loss": 1}
    return int(first.get(curve["panel"], 2 if curve["kind"] == "evaluations" else 3))


def _drawn(curve: dict[str, Any], most: int) -> dict[str, Any]:
    """Return a curve with fewer points, in lists of x and y; what is not finite is apart, at the value before it."""
    points = thinned(curve["points"], most)
    good = finite(points)
    odd = [[_short(x), _before(good, x), str(y)] for x, y in points if not math.isfinite(y)]
    texts = {"name": shortened(visible(curve["name"]), _LABEL)}
    columns = {"x": [_short(x) for x, _ in points], "y": [_short(y) for _, y in points], "odd": odd}
    return {key: value for key, value in curve.items() if key != "points"} | texts | columns


def _before(good: Sequence[Point], x: float) -> float | None:
    """Return the value of the last good point before ``x``, or else of the first."""
    earlier = next((value for step, value in reversed(good) if step <= x), None)
    return _short(earlier if earlier is not None else good[0][1]) if good else 0.0


def _short(value: float) -> float | None:
    """Return a number with six digits, or a whole number as it is; None for what is not finite."""
    if not math.isfinite(value):
        return None
    return value if isinstance(value, int) else float(f"{value:.6g}")


def _table(runs: Sequence[LoggedRun]) -> str:
    """Return the table of the runs, a line for each, whose columns the page sorts."""
    different = differing_settings(runs) if len(runs) > 1 else {}
    heads = ["run", *(cell.column for cell in summary_cells(runs[0])), *different]
    rows = [_row(index, run, [values[index] for values in different.values()]) for index, run in enumerate(runs)]
    head = "".join(
        f'<th scope="col"><button type="button" title="{_text(name)}">{_text(shortened(visible(name), _LABEL))}'
        "</button></th>"
        for name in heads
    )
    body = "".join(rows)
    return f'<div class="wide"><table id="runs"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _row(index: int, run: LoggedRun, settings: Sequence[str]) -> str:
    name = shortened(visible(run.name), _NAME)
    label = f'<label title="{_text(run.name)}"><input type="checkbox" checked data-run="{index}">'
    cells = [f'<th scope="row">{label}<i style="background:{look(index).color}"></i>{_text(name)}</label></th>']
    for cell in summary_cells(run):
        number = "" if cell.number is None or not math.isfinite(cell.number) else f' data-number="{cell.number!r}"'
        cells.append(f"<td{number}>{_text(cell.text)}</td>")
    for value in settings:
        cells.append(f'<td title="{_text(value)}">{_text(shortened(visible(value), _LABEL))}</td>')
    return f"<tr>{''.join(cells)}</tr>"


def _notes(runs: Sequence[LoggedRun]) -> str:
    """Return how each run ended, and the advice on it."""
    parts = []
    for run in runs:
        lines = "".join(f"<li>{_text(line)}</li>" for line in advice(run))
        name = _text(shortened(visible(run.name), _NAME))
        parts.append(f"<dt>{name}</dt><dd>{_text(run.end.sentence)}{f'<ul>{lines}</ul>' if lines else ''}</dd>")
    return f'<section><h2>What the logs tell</h2><dl>{"".join(parts)}</dl><p id="thinned"></p></section>'


def _text(text: object) -> str:
    return html.escape(visible(text))


def _json(data: object) -> str:
    """Return data as JSON that cannot end the script element it stands in, nor begin a comment there."""
    text = json.dumps(data, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _own(name: str) -> str:
    return resources.files("hf_strategies.report.run").joinpath(name).read_text(encoding="utf-8")


def _plotly() -> str:
    try:
        from plotly.offline import get_plotlyjs
    except ImportError as mistake:
        raise StrategyError(
            "a page needs plotly, which is not installed: pip install 'hf-strategies[html]', or leave --html out"
        ) from mistake
    return str(get_plotlyjs())
