"""What each criterion would have got, worked out from the branches of the study, as tables and a figure.

A new criterion is one row of ``TRIGGERS``.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, median
from typing import Any

from benchmarks.strategies.tasks import TASKS
from hf_strategies.errors import StrategyError
from hf_strategies.stopping import StoppingRule

TRIGGERS: Mapping[str, tuple[str, str]] = {
    "metric, patience 1": ("metric", "patience(1)"),
    "metric, patience 2": ("metric", "patience(2)"),
    "metric, patience 3": ("metric", "patience(3)"),
    "metric, patience 4": ("metric", "patience(4)"),
    "metric, mean of 3, patience 2": ("metric", "patience(2, smoothing='mean(3)')"),
    "metric, growing patience 1/4 + 1": ("metric", "growing_patience(0.25, 1)"),
    "metric, growing patience 1/2 + 1": ("metric", "growing_patience(0.5, 1)"),
    "loss, patience 1": ("loss", "patience(1)"),
    "loss, patience 2": ("loss", "patience(2)"),
    "loss, patience 3": ("loss", "patience(3)"),
    "loss, growing patience 1/4 + 1": ("loss", "growing_patience(0.25, 1)"),
    "loss, growing patience 1/2 + 1": ("loss", "growing_patience(0.5, 1)"),
    "loss, 5 % worse": ("loss", "generalisation_loss(5)"),
    "either, patience 2": ("metric", "patience(2) or patience(2, monitor='loss')"),
    "either, patience 3": ("metric", "patience(3) or patience(3, monitor='loss')"),
    "both, patience 1": ("metric", "patience(1) and patience(1, monitor='loss')"),
    "both, patience 2": ("metric", "patience(2) and patience(2, monitor='loss')"),
    "both, patience 3": ("metric", "patience(3) and patience(3, monitor='loss')"),
    "both, growing patience 1/4 + 1": (
        "metric",
        "growing_patience(0.25, 1) and growing_patience(0.25, 1, monitor='loss')",
    ),
    "metric, patience 3, or loss, 1": ("metric", "patience(3) or patience(1, monitor='loss')"),
    "metric, patience 3, or loss, 2": ("metric", "patience(3) or patience(2, monitor='loss')"),
}
"""What is watched, and when the cooldown starts."""

LINES = ("metric, patience 2", "loss, patience 2", "both, patience 2")
"""Triggers that the figure marks."""

# The lines differ by dashes, too: in greyscale, and for people with any colour vision.
_LOOKS = (("#d55e00", "--"), ("#009e73", ":"), ("black", "-."))


@dataclass(frozen=True)
class Outcome:
    """What a start of the cooldown came to: validation and test metric in points, steps, the start in evaluations."""

    validation: float
    test: float
    steps: float
    start: float


@dataclass(frozen=True)
class Hold:
    """A training at a constant rate with the cooldowns that branch off it."""

    task: str
    seed: int
    lr: float
    evaluations: Sequence[Mapping[str, Any]]

    @property
    def log(self) -> list[dict[str, float]]:
        """The evaluations as a Trainer logs them; the metric as a share, the loss as it is."""
        return [
            {
                "step": each["step"],
                "eval_metric": each["validation_metric"] / 100,
                "eval_loss": each["validation_loss"],
            }
            for each in self.evaluations
        ]

    @property
    def starts(self) -> list[int]:
        """The evaluations, counted from 1, at which a cooldown was tried."""
        return [each["evaluation"] for each in self.evaluations if "cooled" in each]

    def trigger(self, monitor: str, condition: str) -> int:
        """Return the number of the evaluation at which the criterion holds, or the last one."""
        rule = StoppingRule.read(monitor, condition, "max" if monitor == "metric" else "min")
        stop = rule.judge(self.log).stop_index
        return len(self.evaluations) if stop is None else max(stop + 1, self.starts[0])

    def cooled(self, start: float) -> Outcome:
        """Return what a cooldown from the evaluation ``start`` ends with: between two that were tried, their mean."""
        below = max(number for number in self.starts if number <= start)
        above = min(number for number in self.starts if number >= start)
        ends = [self._end(below), self._end(above)]
        values = [mean(getattr(end, name) for end in ends) for name in ("validation", "test", "steps")]
        return Outcome(*values, start)

    def _end(self, start: int) -> Outcome:
        each = self.evaluations[start - 1]
        end = each["cooled"]
        return Outcome(end["validation_metric"], end["test_metric"], each["step"] + end["steps"], start)

    def best(self) -> Outcome:
        """Return the outcome of the start with the best test metric: no criterion can do better."""
        return max((self._end(start) for start in self.starts), key=lambda end: end.test)


def read(path: Path) -> dict[str, list[Hold]]:
    """Return the trainings of each task; StrategyError when there are none."""
    if not path.exists():
        raise StrategyError(f"results={str(path)!r}: no such file: run the study before --table")
    holds: dict[str, list[Hold]] = {}
    for line in map(json.loads, path.read_text(encoding="utf-8").splitlines()):
        hold = Hold(line["task"], line["seed"], line["lr"], line["evaluations"])
        holds.setdefault(hold.task, []).append(hold)
    return holds


def chosen(holds: Sequence[Hold], outcomes: Sequence[Outcome]) -> tuple[float, float]:
    """Return the mean over the seeds of the test metric of the rate with the best validation, and of all steps."""
    seeds = sorted({hold.seed for hold in holds})
    pairs = list(zip(holds, outcomes, strict=True))
    each = [[outcome for hold, outcome in pairs if hold.seed == seed] for seed in seeds]
    best = [max(of_seed, key=lambda outcome: outcome.validation).test for of_seed in each]
    return mean(best), mean(sum(outcome.steps for outcome in of_seed) for of_seed in each)


def lost(holds: Sequence[Hold], outcomes: Sequence[Outcome]) -> float:
    """Return by how many points the outcomes stay below those of the best starts, on average."""
    return mean(hold.best().test - outcome.test for hold, outcome in zip(holds, outcomes, strict=True))


def overall(everything: Mapping[str, Sequence[Hold]]) -> str:
    """Return the table over all tasks, each of the same weight: points below the best start, and how many steps."""
    lines = ["|start of the cooldown|below the best start|steps, of the best start's|", "|-|-|-|"]
    for name, trigger in TRIGGERS.items():
        points, shares = [], []
        for holds in everything.values():
            outcomes = [hold.cooled(hold.trigger(*trigger)) for hold in holds]
            points.append(lost(holds, outcomes))
            shares.append(sum(o.steps for o in outcomes) / sum(hold.best().steps for hold in holds))
        lines.append(f"|{name}|{mean(points):.1f}|{mean(shares):.2f}|")
    return "\n".join(lines)


def row(name: str, holds: Sequence[Hold], outcomes: Sequence[Outcome]) -> str:
    """Return a line of the table of a task."""
    test, steps = chosen(holds, outcomes)
    start = median(outcome.start for outcome in outcomes)
    every = mean(outcome.test for outcome in outcomes)
    return f"|{name}|{start / 2:.2g}|{every:.1f}|{lost(holds, outcomes):.1f}|{test:.1f}|{steps:.0f}|"


def table(holds: Sequence[Hold]) -> str:
    """Return the table of a task: the criteria, fixed starts, and the best that can be had."""
    lines = [
        "|start of the cooldown|epoch (median)|test, mean of all|below the best|test, rate by validation|steps|",
        "|-|-|-|-|-|-|",
    ]
    for name, (monitor, condition) in TRIGGERS.items():
        lines.append(row(name, holds, [hold.cooled(hold.trigger(monitor, condition)) for hold in holds]))
    for start in holds[0].starts:
        lines.append(row(f"always at epoch {start / 2:g}", holds, [hold.cooled(start) for hold in holds]))
    lines.append(row("the best by validation", holds, [_by_validation(hold) for hold in holds]))
    lines.append(row("the best by test", holds, [hold.best() for hold in holds]))
    return "\n".join(lines)


def _by_validation(hold: Hold) -> Outcome:
    return max((hold.cooled(start) for start in hold.starts), key=lambda end: end.validation)


def write_report(path: Path) -> str:
    """Write table (.md) and figure (.png) beside the results, and return the table."""
    everything = read(path)
    parts = [f"## {task}: {_about(task, holds)}\n\n{table(holds)}" for task, holds in everything.items()]
    parts.insert(0, f"## All tasks\n\n{overall(everything)}")
    text = "# When should the cooldown start?\n\n" + "\n\n".join(parts) + "\n"
    path.with_suffix(".md").write_text(text, encoding="utf-8")
    draw(everything, path.with_suffix(".png"))
    return text


def _about(task: str, holds: Sequence[Hold]) -> str:
    seeds = len({hold.seed for hold in holds})
    return f"{TASKS[task].metric}, to {TASKS[task].role} on; {seeds} seeds, {len(holds)} trainings"


def draw(everything: Mapping[str, Sequence[Hold]], path: Path) -> None:
    """Draw for each task the test metric and the validation loss against the start of the cooldown."""
    from matplotlib.figure import Figure

    # A page shows about 900 pixels, and wider figures get smaller letters.
    figure = Figure(figsize=(8.5, 1 + 2.5 * len(everything)), layout="constrained")
    panels = figure.subplots(len(everything), 2, squeeze=False)
    for (task, holds), (left, right) in zip(everything.items(), panels, strict=True):
        _metric(left, holds)
        _loss(right, holds)
        left.set_title(f"{task}, mean of {len(holds)} trainings", fontsize=10)
        left.set_ylabel(f"test {TASKS[task].metric}, points")
        right.set_ylabel("validation loss")
    for axes in panels[-1]:
        axes.set_xlabel("epochs at the full rate before the cooldown")
    figure.legend(*panels[0][0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    figure.savefig(path, dpi=110)


def _metric(axes: Any, holds: Sequence[Hold]) -> None:
    epochs = [each["evaluation"] / 2 for each in holds[0].evaluations]
    held = [mean(hold.evaluations[i]["test_metric"] for hold in holds) for i in range(len(epochs))]
    starts = holds[0].starts
    axes.plot(epochs, held, color="0.6", label="without a cooldown")
    cooled = [mean(hold.cooled(start).test for hold in holds) for start in starts]
    axes.plot([start / 2 for start in starts], cooled, "o-", color="#0072b2", label="after a cooldown from there")
    for name, (color, dashes) in zip(LINES, _LOOKS, strict=True):
        where = [hold.trigger(*TRIGGERS[name]) / 2 for hold in holds]
        axes.axvline(mean(where), color=color, linestyle=dashes, linewidth=2, label=f"{name} starts it here (mean)")
    axes.grid(alpha=0.3)


def _loss(axes: Any, holds: Sequence[Hold]) -> None:
    epochs = [each["evaluation"] / 2 for each in holds[0].evaluations]
    held = [mean(hold.evaluations[i]["validation_loss"] for hold in holds) for i in range(len(epochs))]
    axes.plot(epochs, held, color="0.6", label="without a cooldown")
    starts = holds[0].starts
    cooled = [mean(hold.evaluations[s - 1]["cooled"]["validation_loss"] for hold in holds) for s in starts]
    axes.plot([start / 2 for start in starts], cooled, "o-", color="#0072b2", label="after a cooldown from there")
    axes.grid(alpha=0.3)
