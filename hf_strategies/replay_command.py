"""The command ``replay``: past runs and a grid of settings into a table, or a figure."""

from argparse import Namespace
from collections.abc import Sequence

from hf_strategies.errors import StrategyError, did_you_mean
from hf_strategies.replay_inputs import read_runs
from hf_strategies.replay_options import grid_lists
from hf_strategies.stopping.metric import Metric, direction
from hf_strategies.stopping.replay.runs import PastRun, refuse_missing, replay
from hf_strategies.stopping.replay.settings import grid
from hf_strategies.stopping.replay.summary import suggest, summarise

__all__ = ["replay_command"]

_FORMATS = ("text", "csv", "json")


def replay_command(options: Namespace) -> str:
    """Tell what each setting would have done to the runs given."""
    from hf_strategies.report.replay.data import as_csv, as_json
    from hf_strategies.report.replay.report import ReplayReport
    from hf_strategies.report.replay.table import as_text

    if options.format is not None and options.format not in _FORMATS:
        raise StrategyError(f"--format {options.format} is unknown: {did_you_mean(options.format, _FORMATS)}")
    lists = grid_lists(options)
    if not options.runs:
        raise StrategyError("RUN is missing: see hf-strategies replay --help")
    runs = read_runs(options.runs)
    mode = _mode(options, runs)
    settings = grid(options.monitor, mode, samples=options.samples, **lists)
    outcomes = replay(runs, settings, secondary=options.secondary)
    summaries = summarise(outcomes)
    report = ReplayReport(
        runs, settings, outcomes, summaries, suggest(summaries, options.tolerance), options.secondary
    )
    if options.output is not None:
        from hf_strategies.report.replay.figure import draw_replay

        draw_replay(report, options.output)
    if options.format in (None, "text"):
        wrote = f"\n\nwrote {options.output}" if options.output is not None else ""
        return as_text(report, per_run=options.per_run or len(runs) == 1) + wrote
    return as_csv(report) if options.format == "csv" else as_json(report)


def _mode(options: Namespace, runs: Sequence[PastRun]) -> str:
    """The direction of the metric; that its name is right comes first, because a mistyped one has no direction."""
    metric = Metric.read(options.monitor)
    for run in runs:
        refuse_missing(run, metric)
    try:
        return direction(options.monitor, options.mode)
    except StrategyError as mistake:
        raise StrategyError(f"{mistake} (--mode min, or --mode max)") from None
