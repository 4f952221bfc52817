"""A replay as text: the tables, the meaning of their columns, and the suggested setting."""

from collections.abc import Iterable

from hf_strategies.report.lines import aligned, fit
from hf_strategies.report.replay.report import ReplayReport
from hf_strategies.stopping.replay.runs import Outcome, PastRun
from hf_strategies.stopping.replay.summary import Suggestion, Summary

__all__ = ["as_text"]

_UNKNOWN = "-"


def as_text(report: ReplayReport, *, per_run: bool = True, width: int | None = None) -> str:
    """Return the table of each run (with ``per_run``), the means over several runs, notes and the suggestion.

    A table that is wider than ``width`` is written in several parts, below each other.
    """
    parts = [_head(report)]
    if per_run:
        parts += [_run_table(report, run, width) for run in report.runs]
    if len(report.runs) > 1:
        parts.append(_means_table(report, width))
    parts += [_notes(report), _suggested(report)]
    return fit("\n\n".join(parts), width)


def _head(report: ReplayReport) -> str:
    runs = "1 run" if len(report.runs) == 1 else f"{len(report.runs)} runs"
    settings = f"{len(report.settings)} setting{'' if len(report.settings) == 1 else 's'}"
    shared = "".join(f", {name}={value}" for name, value in report.shared.items())
    return f"{report.monitor}, {report.better} is better{shared}: {settings}, {runs}"


def _run_table(report: ReplayReport, run: PastRun, width: int | None) -> str:
    outcomes = report.of_run(run)
    secondary = [report.secondary] if report.secondary else []
    columns = ["#", *report.names, "stop at step", "epoch", "best at step", "kept", *secondary]
    rows = [[*columns, "regret", "given up", "saved"]]
    for index, outcome in enumerate(outcomes, 1):
        values = [outcome.setting.values[name] for name in report.names]
        rows.append([str(index), *values, *_stop(outcome), *_kept(outcome, bool(secondary))])
    return "\n".join([_run_line(outcomes[0]), *aligned(rows, left=len(report.names), width=width)])


def _run_line(outcome: Outcome) -> str:
    run, best = outcome.run, outcome.best_of_run
    steps = f"{run.steps} steps"
    if not run.complete:
        planned = f" of {run.planned_steps} planned" if run.planned_steps else ", of how many is not known"
        steps = f"ended at step {run.steps}{planned}"
    summary = f"best {best.value:.6g} at step {best.step}, epoch {best.epoch:.2f}" if best else "never finite"
    return f"{run.name}: {len(outcome.judgement.history)} evaluations, {steps}; {summary}"


def _stop(outcome: Outcome) -> list[str]:
    if outcome.stop:
        return [str(outcome.stop.step), f"{outcome.stop.epoch:.2f}"]
    return ["ran on" if outcome.ran_on else "no stop", _UNKNOWN]


def _kept(outcome: Outcome, secondary: bool) -> list[str]:
    return [
        str(outcome.kept.step) if outcome.kept else _UNKNOWN,
        _number(outcome.kept.value if outcome.kept else None),
        *([_number(outcome.secondary)] if secondary else []),
        _number(outcome.regret),
        _percent(outcome.given_up),
        _percent(outcome.saved),
    ]


def _means_table(report: ReplayReport, width: int | None) -> str:
    secondary = [report.secondary] if report.secondary else []
    rows = [["#", *report.names, "stopped", "ran on", "kept", *secondary, "given up", "+-", "saved"]]
    for index, summary in enumerate(report.summaries, 1):
        values = [summary.setting.values[name] for name in report.names]
        rows.append([str(index), *values, *_means(summary, bool(secondary))])
    title = f"means over {len(report.runs)} runs (stopped, ran on: numbers of runs; +-: standard error)"
    return "\n".join([title, *aligned(rows, left=len(report.names), width=width)])


def _means(summary: Summary, secondary: bool) -> list[str]:
    return [
        str(summary.stopped),
        str(summary.ran_on),
        _number(summary.kept),
        *([_number(summary.secondary)] if secondary else []),
        _percent(summary.given_up),
        _percent(summary.given_up_error),
        _percent(summary.saved),
    ]


def _notes(report: ReplayReport) -> str:
    notes = [
        "kept: the metric at the best evaluation up to the stop; regret: its distance from the run's best; given up:"
        " the regret as a share of what the run gained after its first evaluation; saved: share of the run's steps",
    ]
    if any(outcome.ran_on for outcome in report.outcomes):
        notes.append(
            "ran on: the run ended before this setting would have stopped it, and what came after is not known; it"
            " counts as saving nothing and keeps the best of what is recorded"
        )
    return "\n".join(notes)


def _suggested(report: ReplayReport) -> str:
    suggestion = report.suggestion
    if suggestion is None:
        return f"no suggestion: {report.monitor} is never finite"
    summary = suggestion.summary
    number = report.summaries.index(summary) + 1
    setting = ", ".join(f"{name}={value}" for name, value in summary.setting.values.items())
    line = f"suggested: {setting} (#{number}), which saves {_percent(summary.saved)} of the steps"
    if not suggestion.within:
        line += ", though it gives up more than wanted"
    return "\n  ".join([line, *_reasons(report, suggestion)])


def _reasons(report: ReplayReport, suggestion: Suggestion) -> Iterable[str]:
    """Yield the lines that explain why this setting is suggested."""
    alone = len(report.runs) == 1
    given_up = "the share given up" if alone else "the mean share given up, plus its standard error,"
    if not suggestion.within:
        yield f"no setting keeps {given_up} to at most {_percent(suggestion.tolerance)}; this one gives up least"
    elif alone and not suggestion.tolerance:
        yield "the cheapest of the settings that keep the run's best value"
    else:
        yield f"it saves most of the settings for which {given_up} is at most {_percent(suggestion.tolerance)}"
    if alone:
        yield "one run says little about the next: replay several"


def _number(value: float | None) -> str:
    return _UNKNOWN if value is None else f"{value:.6g}"


def _percent(share: float | None) -> str:
    return _UNKNOWN if share is None else f"{100 * share:.1f} %"
