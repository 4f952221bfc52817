"""The means of the outcomes of each setting over runs, and the setting that they suggest."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from hf_strategies.errors import StrategyError
from hf_strategies.stopping.improvement import standard_error
from hf_strategies.stopping.replay.runs import Outcome
from hf_strategies.stopping.replay.settings import Setting
from hf_strategies.values import number

__all__ = ["Suggestion", "Summary", "suggest", "summarise"]

_ROUNDING = 1e-12


@dataclass(frozen=True)
class Summary:
    """The outcomes of one setting over runs, as counts of runs and as means of the attributes of `Outcome`.

    A mean is None if a value is not known in every run; only ``given_up`` leaves out runs whose metric was never
    finite. ``given_up_error`` is its standard error over runs, None for one run.
    """

    setting: Setting
    runs: int
    stopped: int
    ran_on: int
    saved: float
    kept: float | None
    secondary: float | None
    given_up: float | None
    given_up_error: float | None


@dataclass(frozen=True)
class Suggestion:
    """The summary of the suggested setting, the tolerance, and whether that setting is within the tolerance."""

    summary: Summary
    tolerance: float
    within: bool


def summarise(outcomes: Iterable[Outcome]) -> list[Summary]:
    """Return a summary of each setting, in the order of the settings; all runs have the same weight."""
    groups: dict[int, list[Outcome]] = {}
    for outcome in outcomes:
        groups.setdefault(id(outcome.setting), []).append(outcome)
    return [_summary(group) for group in groups.values()]


def suggest(summaries: Sequence[Summary], tolerance: object = None) -> Suggestion | None:
    """Suggest the setting that saves the most steps of those that give up almost nothing.

    A setting is within the tolerance if g + e <= ``tolerance``, where g is the mean of `Outcome.given_up` over runs
    and e its standard error (0 for one run). Of the settings within the tolerance, return the one with the largest
    mean share of steps saved; of several with the same share the one that gives up least, then the first. If none is
    within the tolerance, return the setting that gives up least. ``tolerance`` is a share in [0, 1], by default 0 for
    one run and 0.01 for several. Return None if no value was finite in any run.
    """
    known = [(summary.given_up, summary) for summary in summaries if summary.given_up is not None]
    if not known:
        return None
    limit = _tolerance(tolerance, known[0][1].runs)
    within = [
        (share, summary) for share, summary in known if share + (summary.given_up_error or 0.0) <= limit + _ROUNDING
    ]
    if within:
        return Suggestion(max(within, key=lambda each: (each[1].saved, -each[0]))[1], limit, True)
    return Suggestion(min(known, key=lambda each: (each[0], -each[1].saved))[1], limit, False)


def _summary(group: Sequence[Outcome]) -> Summary:
    given_up = [outcome.given_up for outcome in group if outcome.given_up is not None]
    return Summary(
        setting=group[0].setting,
        runs=len(group),
        stopped=sum(outcome.stop is not None for outcome in group),
        ran_on=sum(outcome.ran_on for outcome in group),
        saved=_mean([outcome.saved for outcome in group]) or 0.0,
        kept=_mean([outcome.kept.value if outcome.kept else None for outcome in group]),
        secondary=_mean([outcome.secondary for outcome in group]),
        given_up=_mean(given_up),
        given_up_error=standard_error(given_up) if len(given_up) > 1 else None,
    )


def _mean(values: Sequence[float | None]) -> float | None:
    """Return the mean; None if there are no values or one of them is not known."""
    known = [value for value in values if value is not None]
    return math.fsum(known) / len(known) if known and len(known) == len(values) else None


def _tolerance(given: object, runs: int) -> float:
    if given is None:
        return 0.0 if runs == 1 else 0.01
    share = float(number("tolerance", given))
    if not 0.0 <= share <= 1.0:
        raise StrategyError(f"tolerance={given!r} is out of range: give a share in [0, 1], such as 0.01")
    return share
