"""What the callbacks cost on the Trainer's events, and in the whole training."""

import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.schedules.processes import callback_costs, in_turns
from benchmarks.schedules.table import markdown, ratios, spread

Costs = dict[str, dict[str, float]]
"""Microseconds of one round, by the callback and by what is measured."""

COOLDOWNS = ("PlateauCooldown, held", "PlateauCooldown, cooldown")


def measure(checkouts: Sequence[Path], rounds: int, steps: int, every: int) -> list[list[Costs]]:
    """Return the rounds of each checkout; the checkouts take turns, so that other work hits them alike."""
    costs: list[list[Costs]] = [[] for _ in checkouts]
    for number in range(1, rounds + 1):
        for index in in_turns(len(checkouts), number):
            costs[index].append(callback_costs(checkouts[index], steps, every))
        print(f"callbacks: round {number} of {rounds}", file=sys.stderr, flush=True)
    return costs


def values(rounds: Sequence[Costs], callback: str, measure: str) -> list[float]:
    """Return one measured number of all rounds."""
    return [costs[callback][measure] for costs in rounds]


def times_early_stopping(rounds: Sequence[Costs], callback: str, measure: str = "step events") -> list[float]:
    """Return the cost of a callback over that of EarlyStopping, round by round."""
    return ratios(values(rounds, callback, measure), values(rounds, "EarlyStopping", measure))


def added(rounds: Sequence[Costs], callback: str) -> list[float]:
    """Return how much longer a step of the training takes than without a callback, round by round."""
    return [costs[callback]["training"] - costs["no callback"]["training"] for costs in rounds]


def table(rounds: Sequence[Costs]) -> str:
    """Return the costs of the callbacks, and those of PlateauCooldown as multiples of EarlyStopping's."""
    header = ["", "step events", "evaluation events", "whole training, added to a step"]
    rows = [[name, *_cells(rounds, name)] for name in rounds[0] if name != "no callback"]
    for name in COOLDOWNS:
        multiples = [times_early_stopping(rounds, name, measure) for measure in ("step events", "evaluation events")]
        rows.append([f"{name} / EarlyStopping", *map(spread, multiples), ""])
    step = spread(values(rounds, "no callback", "training"))
    return f"{markdown(header, rows)}\n\nWithout a callback a step takes {step} microseconds."


def _cells(rounds: Sequence[Costs], name: str) -> list[str]:
    events = [spread(values(rounds, name, measure)) for measure in ("step events", "evaluation events")]
    return [*events, spread(added(rounds, name))]
