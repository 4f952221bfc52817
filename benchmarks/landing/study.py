"""Trainings of one task: holds of all seeds and rates at once, their averages, cooldowns, and two decays.

For each seed and peak rate, all from the same first weights and over the same batches:

- a hold at the peak rate. Each evaluation, two an epoch, is of the raw weights and of nine running averages;
- cooldowns (1 - sqrt) of half of the steps done, from every evaluation at which one of the triggers below first holds
  on the raw or on an averaged curve, and from the last one where one of them never does; of a fifth of the steps from
  those of the default trigger;
- a linear and a cosine decay over 20 epochs, until transformers' early stopping, patience 4, would stop them.

Everything else, such as which weights a rule keeps, is computed from these records, without any further training.
"""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.landing.data import Data, Score
from benchmarks.landing.stacked import Stack
from hf_strategies.averaging import Average
from hf_strategies.schedules.plateau_cooldown import Cooldown

WARMUP = 0.25  # epochs
PLANNED = 20  # epochs of the linear and the cosine decay
PATIENCE = 4
AVERAGES = (
    *(f"ema(over='{epochs}ep')" for epochs in ("0.5", "1", "2", "4")),
    "tail(over='1ep')", "tail(over=0.5)", "tail(over=0.25)", "polynomial(power=1)", "polynomial(power=3)",
)  # fmt: skip
TRIGGERS = ((2, None), (3, None), (4, None), (None, 2), (None, 3), (None, 4), (2, 2), (3, 3))
"""Patience on the metric and on the loss; both have to hold."""
DEFAULT = (2, 2)
LONG, SHORT = 0.5, 0.2
DECAYS = ("linear", "cosine")


class TimeUpError(Exception):
    """The time is over, and what is not finished is left out."""


@dataclass
class Curve:
    """The evaluations of one curve so far, and which triggers have held."""

    metrics: list[float] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    held: set[tuple[int | None, int | None]] = field(default_factory=set)

    def add(self, metric: float, loss: float) -> set[tuple[int | None, int | None]]:
        """Take in an evaluation, and return the triggers that hold for the first time."""
        self.metrics.append(metric)
        self.losses.append(loss)
        waited = (waits(self.metrics), waits([-loss for loss in self.losses]))
        found = {
            pair
            for pair in TRIGGERS
            if all(need is None or have >= need for need, have in zip(pair, waited, strict=True))
        } - self.held
        self.held |= found
        return found


def waits(values: Sequence[float]) -> int:
    """Return how many evaluations the first best one is back."""
    return len(values) - 1 - int(np.argmax(np.nan_to_num(values, nan=-np.inf)))


def decay(name: str, step: int, warmup: int, total: int) -> float:
    """Return the ratio of the peak of a decay, as transformers has it."""
    if step < warmup:
        return step / warmup
    done = (step - warmup) / (total - warmup)
    return 1.0 - done if name == "linear" else 0.5 * (1.0 + math.cos(math.pi * done))


@dataclass
class Branch:
    """A cooldown that is still to be trained, and where it started."""

    model: int
    start: int
    length: float
    state: tuple[Tensor, ...]

    @property
    def cooldown(self) -> Cooldown:
        """Its cooldown."""
        return Cooldown(self.length)

    @property
    def steps(self) -> int:
        """How many steps it has."""
        return self.cooldown.steps(self.start)


class Study:
    """The trainings of one task, some seeds and two rates."""

    def __init__(self, data: Data, branches: int, alive: Callable[[], None]) -> None:
        self.data, self.branches, self.alive = data, branches, alive
        self.models = [(place, rate) for place in range(len(data.seeds)) for rate in data.meta["rates"]]
        self.kind = data.meta["kind"]
        self.every = max(1, data.steps_per_epoch // 2)
        self.warmup = max(1, round(WARMUP * data.steps_per_epoch))
        self.records: list[dict[str, Any]] = [
            {"hold": [], "cooled": [], "linear": [], "cosine": []} for _ in self.models
        ]
        self.rows: list[list[dict[str, np.ndarray]]] = [[] for _ in self.models]
        self.done = {"hold": 0, "cooled": 0, "decayed": 0}
        self.seconds = dict.fromkeys(self.done, 0.0)

    def run(self) -> Iterator[tuple[dict[str, Any], dict[str, np.ndarray]]]:
        """Train everything, and yield the record of each cell with what the test rows add, by weights."""
        torch.manual_seed(self.data.seeds[0])  # of dropout, which depends on what is trained together
        self.hold()
        self._timed("decayed", self._decays)
        device = torch.cuda.get_device_name() if self.data.device.type == "cuda" else "cpu"
        seconds = round(sum(self.seconds.values()) / len(self.models), 2)
        meta, counts = self.data.meta, self.data.meta["counts"]
        for (place, rate), record, rows in zip(self.models, self.records, self.rows, strict=True):
            yield {
                "task": meta["task"], "data": meta["data"], "metric": meta["metric"],
                "seed": self.data.seeds[place], "lr": rate, "layers": self.data.shape.layers,
                "train": counts[0], "validation": counts[1], "test": counts[2],
                "steps_per_epoch": self.data.steps_per_epoch, "every": self.every, "warmup": self.warmup,
                "averages": list(AVERAGES), **record, "seconds": seconds, "device": device,
            }, self._arrays(place, rows)  # fmt: skip

    def _arrays(self, place: int, rows: Sequence[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
        """Stack what the test rows add, by weights; with the labels where the metric is no sum over the rows."""
        arrays = {name: np.stack([row[name] for row in rows]) for name in rows[0]}
        if self.kind == "number":
            arrays["labels"] = self.data.arrays["labels"][place, -self.data.meta["counts"][2] :].cpu().numpy()
        return arrays

    def _timed(self, phase: str, work: Callable[..., None], *args: Any) -> None:
        clock = time.perf_counter if self.data.device.type == "cuda" else time.process_time
        start = clock()
        work(*args)
        self.seconds[phase] += clock() - start

    def _train(
        self, phase: str, stack: Stack, models: Sequence[int], steps: Sequence[int], rates: list[float]
    ) -> None:
        stack.train(self.kind, self.data.batch([self.models[model][0] for model in models], steps), rates)
        self.done[phase] += len(models)

    def _scores(self, rows: Tensor, models: Sequence[int]) -> list[list[float]]:
        """Evaluate weights, and keep what each test row adds."""
        scored: list[Score] = self.data.scores(rows, [self.models[model][0] for model in models])
        found = []
        for model, (metric, loss, test, parts) in zip(models, scored, strict=True):
            found.append([round(metric, 3), round(loss, 5), round(test, 3), len(self.rows[model])])
            self.rows[model].append(parts)
        return found

    # --- the hold -------------------------------------------------------------------------------------------

    def hold(self) -> None:
        """Train the holds; cooldowns are trained as soon as there are enough of them, so that few are in memory."""
        steps = self.every * 2 * self.data.meta["epochs"]
        stack = Stack(self.data.shape, self.first())
        averages = Averages(stack.rows, steps, self.warmup, self.data.steps_per_epoch)
        curves = [{name: Curve() for name in ("raw", *AVERAGES)} for _ in self.models]
        waiting: list[Branch] = []
        for end in range(self.every, steps + 1, self.every):
            self._timed("hold", self._hold_until, stack, averages, end)
            waiting += self._new_branches(stack, curves, end, last=end == steps)
            while len(waiting) >= self.branches or (waiting and end == steps):
                group, waiting = waiting[: self.branches], waiting[self.branches :]
                self._timed("cooled", self._cool, group)

    def first(self) -> Tensor:
        """Return the first weights of all models."""
        rows = {place: self.data.first(place) for place in range(len(self.data.seeds))}
        return torch.stack([rows[place] for place, _ in self.models]).to(self.data.device)

    def _hold_until(self, stack: Stack, averages: "Averages", end: int) -> None:
        self.alive()
        everyone = range(len(self.models))
        for step in range(end - self.every, end):
            ratio = min(1.0, step / self.warmup)
            self._train("hold", stack, everyone, [step] * len(everyone), [ratio * rate for _, rate in self.models])
            averages.update(stack.rows, step + 1)
        sets = [weights.to(self.data.scored_in) for weights in (stack.rows.detach(), *averages.read(end))]
        scores = self._scores(torch.cat(sets), [*everyone] * len(sets))
        for model in everyone:
            of_model = dict(zip(("raw", *AVERAGES), scores[model :: len(everyone)], strict=True))
            self.records[model]["hold"].append({"step": end, **of_model})

    def _new_branches(
        self, stack: Stack, curves: Sequence[dict[str, Curve]], step: int, *, last: bool
    ) -> Iterator[Branch]:
        for model, of_model in enumerate(curves):
            evaluation, found = self.records[model]["hold"][-1], set()
            for name, curve in of_model.items():
                found |= curve.add(*evaluation[name][:2])
                if last:
                    found |= set(TRIGGERS) - curve.held
            lengths = ([LONG] if found else []) + ([SHORT] if DEFAULT in found else [])
            for length in lengths:
                yield Branch(model, step, length, stack.state(model))

    # --- what decays ----------------------------------------------------------------------------------------

    def _cool(self, group: list[Branch]) -> None:
        """Train cooldowns at once; each is evaluated every ``every`` steps from its start, and at its end."""
        stack = Stack.of(self.data.shape, [branch.state for branch in group])
        records: list[dict[str, Any]] = [{"start": b.start, "length": b.length, "evaluations": []} for b in group]
        active, done, longest = list(range(len(group))), 0, max(branch.steps for branch in group)
        for event in sorted({*range(self.every, longest, self.every), *(branch.steps for branch in group)}):
            self.alive()
            self._cool_until(stack, [group[k] for k in active], done, event)
            done = event
            due = [i for i, k in enumerate(active) if event % self.every == 0 or group[k].steps == event]
            scores = self._scores(stack.rows[due], [group[active[i]].model for i in due])
            for i, score in zip(due, scores, strict=True):
                records[active[i]]["evaluations"].append({"step": group[active[i]].start + event, "raw": score})
            left = [i for i, k in enumerate(active) if group[k].steps > event]
            if left and len(left) < len(active):
                stack.keep(left)
            active = [active[i] for i in left]
        for branch, record in zip(group, records, strict=True):
            self.records[branch.model]["cooled"].append(record)

    def _cool_until(self, stack: Stack, group: Sequence[Branch], done: int, end: int) -> None:
        models = [branch.model for branch in group]
        for step in range(done, end):
            rates = [self.models[b.model][1] * b.cooldown.fall(1.0, step, b.steps) for b in group]
            self._train("cooled", stack, models, [b.start + step for b in group], rates)

    def _decays(self) -> None:
        """Train both decays of all models until the last of them is stopped."""
        total = PLANNED * self.data.steps_per_epoch
        active = [(model, name) for name in DECAYS for model in range(len(self.models))]
        stack = Stack(self.data.shape, self.first().repeat(len(DECAYS), 1))
        for end in range(self.every, total + 1, self.every):
            self.alive()
            models = [model for model, _ in active]
            for step in range(end - self.every, end):
                rates = [self.models[model][1] * decay(name, step, self.warmup, total) for model, name in active]
                self._train("decayed", stack, models, [step] * len(active), rates)
            for (model, name), score in zip(active, self._scores(stack.rows, models), strict=True):
                self.records[model][name].append({"step": end, "raw": score})
            left = [k for k, (model, name) in enumerate(active) if not self._stopped(model, name)]
            if not left:
                return
            if len(left) < len(active):
                stack.keep(left)
                active = [active[k] for k in left]

    def _stopped(self, model: int, name: str) -> bool:
        """Whether transformers' early stopping has stopped a decay."""
        return waits([evaluation["raw"][0] for evaluation in self.records[model][name]]) >= PATIENCE


class Averages:
    """The running averages of a stack of models, as `hf_strategies.averaging` plans them, from the end of warmup."""

    def __init__(self, rows: Tensor, steps: int, warmup: int, steps_per_epoch: int) -> None:
        self.plans = [
            Average.read(text).plan(total_steps=steps, steps_per_epoch=steps_per_epoch) for text in AVERAGES
        ]
        self.starts = [sum(plan.slots for plan in self.plans[:k]) for k in range(len(self.plans))]
        self.warmup = warmup
        self.kept = torch.zeros(sum(plan.slots for plan in self.plans), *rows.shape, device=rows.device)
        all_of = [[c for plan in self.plans for c in plan.coefficients(n)] for n in range(1, steps - warmup + 1)]
        self.coefficients = torch.tensor(all_of, device=rows.device)

    def update(self, rows: Tensor, step: int) -> None:
        """Take in the weights after ``step`` steps."""
        if step > self.warmup:
            share = self.coefficients[step - self.warmup - 1].view(-1, 1, 1)
            self.kept.lerp_(rows.detach().unsqueeze(0), share)

    def read(self, step: int) -> list[Tensor]:
        """Return the averages after ``step`` steps, each (M, size)."""
        count = step - self.warmup
        slots = [start + plan.read(count) for start, plan in zip(self.starts, self.plans, strict=True)]
        return [self.kept[slot] for slot in slots]
