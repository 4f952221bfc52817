"""Trainings at a constant rate, from each of which cooldowns branch off at many evaluations.

One training at a constant rate is the same for all criteria until one of them holds. So it is run once, and at each
evaluation a cooldown of half of the steps done branches off it, with a copy of the model and of the optimizer. These
branches show what any criterion would have got, and how far that is from the best start of all.
"""

import json
import time
from argparse import Namespace
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from itertools import chain, repeat
from typing import Any

import torch
from torch.utils.data import DataLoader
from transformers.utils import logging

from benchmarks.strategies.models import BATCH, LikeLengths, Prepared, collate, prepare
from benchmarks.strategies.tasks import METRICS, TASKS
from hf_strategies.schedules.plateau_cooldown import Cooldown

WARMUP = 0.25  # epochs, as in benchmarks/strategies/run.py
STARTS = (2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 17, 20, 24, 28, 32)
"""Evaluations, two an epoch, at which a cooldown branches off; at the last one too."""

Scores = dict[str, float]


@dataclass
class Training:
    """A model that is trained; ``step`` steps are done. A copy of it goes on alone, over the same batches."""

    prepared: Prepared
    seed: int
    lr: float
    step: int = 0

    def __post_init__(self) -> None:
        self.model = self.prepared.model(self.seed)
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=self.lr, weight_decay=0.0)

    def branch(self) -> "Training":
        """Copy model and optimizer."""
        other = Training(self.prepared, self.seed, self.lr, self.step)
        other.model.load_state_dict(self.model.state_dict())
        other.optimizer.load_state_dict(deepcopy(self.optimizer.state_dict()))
        return other

    def train(self, batches: Iterator[Any], ratio: float) -> None:
        """Make one step at ``ratio`` of the peak rate, as the Trainer does."""
        for group in self.optimizer.param_groups:
            group["lr"] = ratio * self.lr
        self.model.train()
        output = self.model(**next(batches))
        output["loss"].backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.step += 1

    @torch.inference_mode()
    def score(self, *splits: str) -> Scores:
        """Return metric and mean loss of the splits, ``{split}_metric`` in points and ``{split}_loss``."""
        self.model.eval()
        scores: Scores = {}
        for split in splits:
            rows, metric = self.prepared.splits[split], METRICS[self.prepared.task.metric]
            parts = [collate(rows[start : start + 2 * BATCH]) for start in range(0, len(rows), 2 * BATCH)]
            outputs = [self.model(**part) for part in parts]
            logits = torch.cat([output["logits"] for output in outputs])
            labels = torch.cat([part["labels"] for part in parts])
            losses = [float(o["loss"]) * len(part["labels"]) for o, part in zip(outputs, parts, strict=True)]
            scores[f"{split}_metric"] = 100 * metric(logits.numpy(), labels.numpy())
            scores[f"{split}_loss"] = sum(losses) / len(rows)
        return scores


def batches(prepared: Prepared, seed: int, skipped: int) -> Iterator[Any]:
    """Yield the batches of all epochs, from the one after ``skipped`` steps on."""
    torch.manual_seed(seed + skipped)  # of dropout
    rows: Any = prepared.splits["train"]
    loader = DataLoader(rows, BATCH, sampler=LikeLengths(rows, seed), collate_fn=collate)
    every = chain.from_iterable(repeat(loader))
    for _ in range(skipped):
        next(every)
    return every


def study(task: str, seed: int, lr: float, args: Namespace) -> Iterator[dict[str, Any]]:
    """Yield the evaluations of the hold, some with what a cooldown that starts there ends with."""
    prepared = prepare(task, seed, TASKS[task].layers(args.layers), 1)
    every, warmup = max(1, prepared.steps_per_epoch // 2), max(1, round(WARMUP * prepared.steps_per_epoch))
    held, source, cooldown = Training(prepared, seed, lr), batches(prepared, seed, 0), Cooldown(args.cooldown)
    for number in range(1, 2 * args.epochs + 1):
        while held.step < number * every:
            held.train(source, min(1.0, held.step / warmup))
        evaluation: dict[str, Any] = {"evaluation": number, "step": held.step, **held.score("validation", "test")}
        if number in STARTS or number == 2 * args.epochs:
            state = torch.get_rng_state()
            evaluation["cooled"] = _cooled(held.branch(), cooldown)
            torch.set_rng_state(state)
        yield evaluation


def _cooled(training: Training, cooldown: Cooldown) -> dict[str, Any]:
    start, steps = training.step, cooldown.steps(training.step)
    source = batches(training.prepared, training.seed, start)
    for done in range(steps):
        training.train(source, cooldown.fall(1.0, done, steps))
    return {"steps": steps, **training.score("validation", "test")}


def execute(args: Namespace) -> None:
    """Run what has no line yet; a line is a training with all its branches."""
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    torch.set_num_threads(1)
    for task in args.tasks:
        TASKS[task].check()
    path = args.results
    done = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    for seed in args.seeds:
        for task in args.tasks:
            for lr in TASKS[task].rates:
                key = {"task": task, "seed": seed, "lr": lr, "layers": args.layers, "cooldown": args.cooldown}
                if any(key.items() <= line.items() for line in done):
                    continue
                started = time.process_time()
                rows = list(study(task, seed, lr, args))
                line = {**key, "seconds": round(time.process_time() - started), "evaluations": rows}
                with path.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(line) + "\n")
                print(f"{task} seed {seed} {lr:g}: {line['seconds']} s", flush=True)
