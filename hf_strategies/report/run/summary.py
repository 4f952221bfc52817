"""Runs as tables of text: what each came to and at what cost, which settings differ, how it ended, and advice."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from hf_strategies.errors import short, visible
from hf_strategies.report.lines import aligned, fit
from hf_strategies.report.run.advice import advice
from hf_strategies.report.run.logged_run import LoggedRun
from hf_strategies.report.run.looks import shortened
from hf_strategies.report.run.settings import differing_settings

__all__ = ["Cell", "duration", "summary_cells", "summary_text"]

_UNKNOWN = "-"
_WIDEST = 28  # columns of a setting's value
_NAME = 60  # columns of a name


@dataclass(frozen=True)
class Cell:
    """A cell of the table of runs: the name of its column, its text, and its number to sort by (None: the text)."""

    column: str
    text: str
    number: float | None = None


def summary_cells(run: LoggedRun) -> list[Cell]:
    """Return the cells of a run: its metric, the best value and its step, and what it cost."""
    best = run.best(run.monitor) if run.monitor else None
    metric = shortened(visible((run.monitor or _UNKNOWN).removeprefix("eval_")), _WIDEST)
    return [
        Cell("metric", metric),
        Cell("best", f"{best.value:.6g}" if best else _UNKNOWN, best.value if best else None),
        Cell("at step", str(best.step) if best else _UNKNOWN, best.step if best else None),
        Cell("steps", str(run.steps), run.steps),
        Cell("epochs", _UNKNOWN if run.epochs is None else f"{run.epochs:.2f}", run.epochs),
        Cell("time", _UNKNOWN if run.seconds is None else duration(run.seconds), run.seconds),
        Cell("FLOPs", _UNKNOWN if run.flops is None else f"{run.flops:.3g}", run.flops),
        Cell("end", run.end.word),
    ]


def summary_text(runs: Sequence[LoggedRun], width: int) -> str:
    """Return the runs as text: a table, the settings that differ, and for each run its end and the advice."""
    parts = [_one(runs[0])] if len(runs) == 1 else [_table(runs, width), *_settings(runs, width)]
    parts += [_notes(number, run) for number, run in enumerate(runs, start=1)] if len(runs) > 1 else _advice(runs[0])
    return fit("\n\n".join(parts), width)


def duration(seconds: float) -> str:
    """Return a time in the two largest units that it has.

    >>> duration(12.34), duration(125), duration(7384)
    ('12.3 s', '2 min 5 s', '2 h 3 min')
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    return f"{whole // 60} min {whole % 60} s" if whole < 3600 else f"{whole // 3600} h {whole % 3600 // 60} min"


def _one(run: LoggedRun) -> str:
    """Return the table of one run, a line for each of its metrics."""
    planned = f" of {run.past.planned_steps} planned" if run.past.planned_steps not in (None, run.steps) else ""
    facts = {cell.column: cell.text for cell in summary_cells(run) if cell.text != _UNKNOWN}
    head = f"{run.steps} steps{planned}"
    head += f", {facts['epochs']} epochs" if "epochs" in facts else ""
    head += f", {facts['time']}" if "time" in facts else ""
    head += f", {facts['FLOPs']} FLOPs" if "FLOPs" in facts else ""
    lines = [shortened(visible(run.name), 3 * _NAME), head, run.end.sentence]
    return "\n".join([*lines, "", *_metric_lines(run)] if run.metrics else [*lines, "No evaluation was logged."])


def _metric_lines(run: LoggedRun) -> list[str]:
    rows = [["", "metric", "best", "at step", "epoch", "last", "evaluations"]]
    for name in run.metrics:
        found, best = run.evaluations(name), run.best(name)
        values = [f"{best.value:.6g}", str(best.step), f"{best.epoch:.2f}"] if best else [_UNKNOWN] * 3
        last = f"{found[-1].value:.6g}" if found else _UNKNOWN
        mark = "*" if name == run.monitor else ""
        rows.append([mark, shortened(visible(name.removeprefix("eval_")), _WIDEST), *values, last, str(len(found))])
    return aligned(rows, left=1)


def _table(runs: Sequence[LoggedRun], width: int) -> str:
    cells = [summary_cells(run) for run in runs]
    rows = [["#", *(cell.column for cell in cells[0])]]
    rows += [[str(number), *(cell.text for cell in row)] for number, row in enumerate(cells, start=1)]
    return "\n".join(aligned(rows, left=1, width=width))


def _settings(runs: Sequence[LoggedRun], width: int) -> Iterator[str]:
    """Yield the table of the settings that differ, a line for each run."""
    different = differing_settings(runs)
    if different:
        rows = [["#", *(shortened(visible(name), _WIDEST) for name in different)]]
        for index in range(len(runs)):
            values = [shortened(visible(values[index]), _WIDEST) for values in different.values()]
            rows.append([str(index + 1), *values])
        yield "\n".join(["settings that differ, as far as the states tell", *aligned(rows, left=0, width=width)])


def _notes(number: int, run: LoggedRun) -> str:
    name = f"#{number} {shortened(visible(run.name), _NAME)}"
    return "\n".join([name, f"  {short(visible(run.end.sentence), 400)}", *(f"  - {line}" for line in advice(run))])


def _advice(run: LoggedRun) -> list[str]:
    found = advice(run)
    return ["\n".join(["worth a look:", *(f"  - {line}" for line in found)])] if found else []
