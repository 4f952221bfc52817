"""Which runs of a comparison a race makes needless, by the results that there are."""

from collections.abc import Collection
from contextlib import suppress

from hf_strategies.comparison.race import lost_after
from hf_strategies.comparison.record import RunRecord
from hf_strategies.errors import StrategyError
from hf_strategies.experiments.plan import Plan, Run
from hf_strategies.experiments.results import choose_metric, read_records
from hf_strategies.experiments.runner import is_done
from hf_strategies.stopping.metric import direction

__all__ = ["Race", "is_greater_better"]


def is_greater_better(metric: str, mode: str | None) -> bool:
    """Return whether higher is better, for a key of ``all_results.json``; `StrategyError` if that is not known."""
    try:
        return direction(metric.partition("_")[2], mode) == "max"
    except StrategyError as mistake:
        raise StrategyError(f"{mistake} (--mode min, or --mode max)") from None


class Race:
    """Tells from the results in a plan's folder which runs are needless; results that are read are kept."""

    def __init__(self, plan: Plan, metric: str | None = None, mode: str | None = None) -> None:
        self._plan, self._metric, self._mode = plan, metric, mode
        self._done: set[Run] = set()
        self._needless: frozenset[Run] = frozenset()

    def needless(self) -> Collection[Run]:
        """Return the runs of strategies that have lost, after the seed at which they did."""
        runs = self._plan.runs
        done = [run for run in runs if run in self._done or is_done(run)]
        if len(done) > len(self._done):
            self._done = set(done)
            with suppress(StrategyError):  # what is wrong with a result is told at the end, when the others are made
                metric = choose_metric(done, self._metric)
                lost = self.lost(read_records(runs, metric), metric)
                kept = {name: self._plan.seeds[:count] for name, count in lost.items()}
                self._needless = frozenset(
                    run for run in runs if run.strategy in kept and run.seed not in kept[run.strategy]
                )
        return self._needless

    def lost(self, records: list[RunRecord], metric: str) -> dict[str, int]:
        """Return after how many seeds each strategy has lost that has."""
        is_greater = is_greater_better(metric, self._mode)
        return lost_after(records, list(self._plan.strategies), self._plan.seeds, greater_is_better=is_greater)
