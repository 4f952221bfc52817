"""From a condition and the evaluations to the reason to stop at each of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hf_strategies.stopping.directions import Direction
from hf_strategies.stopping.expression import Call, Node, calls
from hf_strategies.stopping.history import LogRow, Meters, Series, series_of
from hf_strategies.stopping.improvement import IMPROVEMENT_PARAMETERS, Improvement
from hf_strategies.stopping.metric import Metric
from hf_strategies.stopping.smoothing import Smoothing

__all__ = ["Seen", "View", "names_of", "reasons", "view_of"]


@dataclass(frozen=True)
class Seen:
    """What there is to judge: evaluations, what training had used up at them, its planned steps."""

    rows: Sequence[LogRow]
    meters: Meters | None = None
    total_steps: int | None = None


@dataclass(frozen=True)
class View:
    """How a criterion looks at the evaluations: which metric, which way, smoothed how, what is an improvement."""

    metric: Metric
    mode: Direction
    smoothing: Smoothing | None = None
    improvement: Improvement = field(default_factory=Improvement)

    def series(self, seen: "Seen", first: int = 0) -> Series:
        """Take the series that it looks at out of the evaluations, from number ``first`` on."""
        found = series_of(
            seen.rows, self.metric, self.mode, meters=seen.meters, total_steps=seen.total_steps, first=first
        )
        return self.smoothing.of(found) if self.smoothing else found


def view_of(call: Call, watched: View) -> View:
    """Return how one criterion looks at the evaluations: as the rule does, but for what is given to it.

    What is an improvement of the watched metric has no meaning for another one, which starts from none.
    """
    given: Mapping[str, Any] = call.given
    metric = Metric.read(given["monitor"]) if "monitor" in given else watched.metric
    same = metric == watched.metric
    mode = watched.mode if same and "mode" not in given else metric.direction(given.get("mode"))
    smoothing = given.get("smoothing", watched.smoothing if same else None)
    settings = {
        name: getattr(watched.improvement if same else Improvement(), name) for name in IMPROVEMENT_PARAMETERS
    }
    settings |= {name: row.read(name, given[name]) for name, row in IMPROVEMENT_PARAMETERS.items() if name in given}
    return View(metric, mode, None if smoothing is None else Smoothing.read(smoothing), Improvement(**settings))


def reasons(node: Node, watched: View, seen: Seen, first: int = 0) -> list[str | None]:
    """Return for each evaluation from number ``first`` on why the condition holds there, or None.

    Of criteria joined by ``or`` the first that holds is the reason; joined by ``and``, all of them are.
    """
    if isinstance(node, Call):
        view = view_of(node, watched)
        extra = {"improvement": view.improvement} if node.criterion.improves else {}
        return list(node.criterion.function(view.series(seen, first), **node.parameters, **extra))
    parts = [reasons(part, watched, seen, first) for part in node.parts]
    if node.word == "or":
        return [next((said for said in each if said), None) for each in zip(*parts, strict=True)]
    return [" and ".join(map(str, each)) if all(each) else None for each in zip(*parts, strict=True)]


def names_of(node: Node, watched: View) -> tuple[str, ...]:
    """Return all the metrics' names in the log that a condition needs."""
    found = [*watched.metric.names]
    for call in calls(node):
        found += view_of(call, watched).metric.names
    return tuple(dict.fromkeys(found))
