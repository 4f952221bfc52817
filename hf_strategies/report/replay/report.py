"""A replay with everything that its tables and figures show."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from hf_strategies.stopping.replay.runs import Outcome, PastRun
from hf_strategies.stopping.replay.settings import Setting, varying
from hf_strategies.stopping.replay.summary import Suggestion, Summary

__all__ = ["ReplayReport"]


@dataclass(frozen=True)
class ReplayReport:
    """The runs, the settings, the outcome of each setting on each run, and the means over the runs.

    ``outcomes`` has the outcomes of the first run under each setting, then those of the second, as `replay` returns
    them; ``summaries`` is in the order of the settings. ``secondary`` is a second metric to show, if any.
    """

    runs: Sequence[PastRun]
    settings: Sequence[Setting]
    outcomes: Sequence[Outcome]
    summaries: Sequence[Summary]
    suggestion: Suggestion | None
    secondary: str | None = None

    def of_run(self, run: PastRun) -> list[Outcome]:
        """The outcomes of one run, in the order of the settings."""
        return [outcome for outcome in self.outcomes if outcome.run is run]

    @cached_property
    def monitor(self) -> str:
        """The metric that is watched."""
        return self.settings[0].rule.monitor

    @cached_property
    def better(self) -> str:
        """The direction in which the metric improves, lower or higher."""
        return "lower" if self.settings[0].rule.watched.mode == "min" else "higher"

    @cached_property
    def names(self) -> list[str]:
        """The names of the values in which the settings differ."""
        return varying(self.settings)

    @cached_property
    def shared(self) -> dict[str, str]:
        """The values that all settings have in common."""
        return {name: value for name, value in self.settings[0].values.items() if name not in self.names}

    @cached_property
    def labels(self) -> list[str]:
        """A short name of each setting: its value where only one differs, else its number from 1."""
        if len(self.names) == 1 and self.names != ["stop_when"]:
            return [setting.values[self.names[0]] for setting in self.settings]
        return [f"#{index}" for index in range(1, len(self.settings) + 1)]

    @cached_property
    def label_name(self) -> str:
        """What the labels show: the name of a value, or the number of the setting."""
        return "number" if self.labels[0].startswith("#") else self.names[0]
