"""Advice on a run that has ended: what its log shows to be worth another look, each in one line with its number."""

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise

from hf_strategies.errors import StrategyError
from hf_strategies.report.run.logged_run import LoggedRun
from hf_strategies.report.run.thinning import finite
from hf_strategies.stopping.history import Evaluation, Stream
from hf_strategies.stopping.improvement import Improvement, find_best
from hf_strategies.stopping.metric import Direction
from hf_strategies.stopping.replay.runs import replay
from hf_strategies.stopping.replay.settings import grid
from hf_strategies.stopping.replay.summary import suggest, summarise

__all__ = ["advice", "long_warmup", "losses_not_finite", "noisy_improvements", "rate_at_the_end", "wasted_steps"]

LONG_WARMUP = 1 / 3
"""The share of the steps from which on a warmup is called long."""

HIGH_RATE = 0.3
"""The share of the peak from which on the last rate is called high."""

WORTH_SAVING = 0.1
"""The share of the steps from which on a saving is told."""

FEWEST_EVALUATIONS = 5
"""The fewest evaluations from which the replay of a patience is told."""

_PATIENCES = tuple(range(1, 11))
_RISES_BY_DESIGN = ("one_cycle", "slanted_triangular", "triangular", "cosine_restarts")


def advice(run: LoggedRun) -> list[str]:
    """Return the advice on a run; none for a run that is not over, and no line that the log does not support."""
    if not run.end.is_over or not run.steps:
        return []
    found = (
        long_warmup(run),
        wasted_steps(run),
        rate_at_the_end(run),
        noisy_improvements(run),
        losses_not_finite(run),
    )
    return [line for line in found if line]


def long_warmup(run: LoggedRun) -> str | None:
    """Tell a warmup that took a third of the steps or more, or all of them.

    A warmup that only the logged rates tell is known to a logging step, and it is said to be about so long. Schedules
    that rise for long by design are left out.
    """
    plan, logged = run.warmup_steps, run.logged_warmup
    steps = plan or logged
    if not steps or _is_cycle(run) or min(steps, run.steps) < LONG_WARMUP * run.steps:
        return None
    if steps > run.steps:
        return f"the run ended at step {run.steps}, in its warmup of {steps} steps"
    about = "" if plan else "about "
    return f"warmup took {about}{_percent(steps / run.steps)} of the run (to step {steps} of {run.steps})"


def wasted_steps(run: LoggedRun) -> str | None:
    """Tell the patience that keeps the best evaluation of a run and saves most, if that is a tenth of the steps.

    A run that a callback of this package has ended is left out, because one run is too little to choose among
    patiences; so is one whose metric has no known direction, or fewer than `FEWEST_EVALUATIONS` evaluations.
    """
    if run.has_our_end or run.monitor is None or run.mode is None:
        return None
    best, count = run.best(run.monitor), len(run.evaluations(run.monitor))
    if best is None or count < FEWEST_EVALUATIONS:
        return None
    settings = grid(run.metric_text(run.monitor), run.mode, patience=_PATIENCES[: count - 1])
    suggestion = suggest(summarise(replay([run.past], settings)))
    if suggestion is None or not suggestion.within or suggestion.summary.saved < WORTH_SAVING:
        return None
    share, saved = _percent(best.step / run.steps), _percent(suggestion.summary.saved)
    patience = suggestion.summary.setting.values["patience"]
    return f"validation was best at {share} of the steps; patience {patience} would have saved {saved}"


def rate_at_the_end(run: LoggedRun) -> str | None:
    """Tell a last rate that was still a good part of the peak: a cooldown had not landed, or there was none."""
    rates = finite(run.recorded.learning_rates)
    peak = run.peak
    if len(rates) < 2 or not peak or run.steps - rates[-1][0] > 0.1 * run.steps:
        return None
    ratio = rates[-1][1] / peak
    if ratio < HIGH_RATE:
        return None
    return f"the rate was still at {_percent(ratio)} of the peak when it stopped (step {run.steps})"


def noisy_improvements(run: LoggedRun) -> str | None:
    """Tell how many improvements of the watched metric are within its standard error, if half of them are or more.

    Needs the standard error in the log, as ``<metric>_stderr``, or the number of examples in the rule of the run. A
    rule that counts in standard errors already is left out.
    """
    if run.monitor is None or run.mode is None:
        return None
    rule = _improvement(run)
    found = [each for each in run.evaluations(run.monitor) if math.isfinite(each.value)]
    errors = [_error(rule, each, run.monitor) for each in found]
    if rule.z or len(found) < 2 or not all(error is not None and math.isfinite(error) for error in errors):
        return None
    known = [error for error in errors if error is not None]
    within, total = _within(found, known, rule, run.mode)
    typical = sorted(known)[len(known) // 2]
    if not total or 2 * within < total or typical <= rule.min_delta:
        return None
    delta = f"min_delta {rule.min_delta:g}" if rule.min_delta else "min_delta"
    return f"validation noise (s.e. {typical:.2g}) exceeds {delta}: {within} of {total} improvements are within it"


def losses_not_finite(run: LoggedRun) -> str | None:
    """Tell training losses that are NaN or infinite."""
    odd = [step for step, loss in run.losses if not math.isfinite(loss)]
    if not odd:
        return None
    return f"{len(odd)} of {len(run.losses)} logged training losses are not finite, the first at step {odd[0]}"


def _within(
    found: Sequence[Evaluation], errors: Sequence[float], rule: Improvement, mode: Direction
) -> tuple[int, int]:
    """Return how many improvements are no larger than the standard error of either value, and how many there are."""
    indices = [index for index in find_best(Stream(found, mode), rule) if index is not None]
    steps = list(_steps(indices))
    gains = [abs(found[new].value - found[old].value) for old, new in steps]
    limits = [max(errors[old], errors[new]) for old, new in steps]
    return sum(gain <= limit for gain, limit in zip(gains, limits, strict=True)), len(steps)


def _steps(indices: Sequence[int]) -> Iterator[tuple[int, int]]:
    return ((old, new) for old, new in pairwise(indices) if new != old)


def _improvement(run: LoggedRun) -> Improvement:
    """Return what the run's own rule counts as an improvement; any improvement if no rule is recorded."""
    settings = str((run.recorded.record or {}).get("settings", ""))
    parts = dict(part.split("=", 1) for part in settings.split(", ") if part.count("=") == 1 and "(" not in part)
    names = ("min_delta", "relative_delta", "z", "samples")
    try:
        return Improvement.read(**{name: parts[name] for name in names if name in parts})
    except StrategyError:
        return Improvement()


def _error(rule: Improvement, evaluation: Evaluation, name: str) -> float | None:
    try:
        return rule.known_standard_error(evaluation, name)
    except StrategyError:
        return None


def _is_cycle(run: LoggedRun) -> bool:
    record = (run.state.get("stateful_callbacks") or {}).get("hf_strategies_schedule") or {}
    return any(name in str(record.get("plan", "")) for name in _RISES_BY_DESIGN)


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"
