"""The report of the benchmark of strategies: the table and the figure, written beside the records."""

from pathlib import Path

from benchmarks.strategies.figure import draw
from benchmarks.strategies.results import machines, read
from benchmarks.strategies.table import Ways, goals, task_table, ways
from benchmarks.strategies.tasks import TASKS
from hf_strategies.errors import StrategyError


def write_report(results: Path, layers: int, scale: int) -> str:
    """Write the table (.md) and the figure (.png) beside the CSV file, and return the table."""
    everything: dict[str, Ways] = {}
    for name, task in TASKS.items():
        key = (name, task.layers(layers), scale)
        records = [r for r in read(results) if (r.key.task, r.key.layers, r.key.scale) == key]
        if task_ways := ways(task, records):
            everything[name] = task_ways
    if not everything:
        raise StrategyError(f"results={str(results)!r} has no whole grid of runs: run some before --table")
    used = sum(record.seconds for record in read(results))
    tables = "\n\n".join(task_table(TASKS[name], task_ways) for name, task_ways in everything.items())
    made = f"{layers} layers of MiniLM, {scale} x the rows; all runs took {used / 60:.0f} minutes of one core."
    machine = "\n".join(machines(results))
    text = (
        f"# Strategies side by side\n\n{made}\n{machine}\n\n## Goals\n\n{goals(everything)}\n\n## Tasks\n\n{tables}\n"
    )
    results.with_suffix(".md").write_text(text, encoding="utf-8")
    draw(everything, results.with_suffix(".png"))
    return text
