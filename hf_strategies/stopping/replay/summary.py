"""Means over runs of what settings would have done, and the setting that they speak for."""

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
    """One setting over runs: how often it stopped, and means; None where a value is not known in every run.

    ``given_up`` leaves out runs whose metric was never finite; ``given_up_error`` is its standard error over runs,
    None for one run.
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
    """The setting suggested, the rule's tolerance, and whether any setting met it."""

    summary: Summary
    tolerance: float
    within: bool


def summarise(outcomes: Iterable[Outcome]) -> list[Summary]:
    """Average the outcomes of each setting over the runs, all runs alike; the settings keep their order."""
    found: dict[int, list[Outcome]] = {}
    for outcome in outcomes:
        found.setdefault(id(outcome.setting), []).append(outcome)
    return [_summary(group) for group in found.values()]


def suggest(summaries: Sequence[Summary], tolerance: object = None) -> Suggestion | None:
    """Suggest the setting that saves most among those that give up next to nothing.

    Of the settings with g + e <= ``tolerance``, where g is the mean of `Outcome.given_up` over runs and e its
    standard error (0 with one run), the one with the largest mean share of steps saved; of equals the one that
    gives up least, then the first. If there is none, the one that gives up least. ``tolerance`` is a share in
    [0, 1], by default 0 for one run and 0.01 for several. None if no metric was ever finite.
    """
    known = [(summary.given_up, summary) for summary in summaries if summary.given_up is not None]
    if not known:
        return None
    limit = _tolerance(tolerance, known[0][1].runs)
    within = [(up, one) for up, one in known if up + (one.given_up_error or 0.0) <= limit + _ROUNDING]
    if within:
        return Suggestion(max(within, key=lambda each: (each[1].saved, -each[0]))[1], limit, True)
    return Suggestion(min(known, key=lambda each: (each[0], -each[1].saved))[1], limit, False)


def _summary(group: Sequence[Outcome]) -> Summary:
    given_up = [one.given_up for one in group if one.given_up is not None]
    return Summary(
        setting=group[0].setting,
        runs=len(group),
        stopped=sum(one.stop is not None for one in group),
        ran_on=sum(one.ran_on for one in group),
        saved=_mean([one.saved for one in group]) or 0.0,
        kept=_mean([one.kept.value if one.kept else None for one in group]),
        secondary=_mean([one.secondary for one in group]),
        given_up=_mean(given_up),
        given_up_error=standard_error(given_up) if len(given_up) > 1 else None,
    )


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return math.fsum(known) / len(known) if known and len(known) == len(values) else None


def _tolerance(given: object, runs: int) -> float:
    if given is None:
        return 0.0 if runs == 1 else 0.01
    share = float(number("tolerance", given))
    if not 0.0 <= share <= 1.0:
        raise StrategyError(f"tolerance={given!r} is out of range: give a share in [0, 1], such as 0.01")
    return share
