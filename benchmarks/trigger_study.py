"""When should the cooldown start? Every start tried on the same training, then every criterion judged by it.

    python benchmarks/trigger_study.py                  # the tasks to choose on -> results/triggers.jsonl
    python benchmarks/trigger_study.py --table          # results/triggers.md and triggers.png

One training at a constant rate is the same for all criteria until one of them says that it stalls. So it is run once,
and at each evaluation a cooldown of half of the steps done branches off it, model and optimizer copied. From these
branches follows what any criterion would have got, and how far that is from the best start of all.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import json
import sys
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from itertools import chain, repeat
from pathlib import Path
from typing import Any

import torch
from strategy_models import BATCH, LikeLengths, Prepared, collate, prepare
from strategy_tasks import METRICS, TASKS
from torch.utils.data import DataLoader
from transformers.utils import logging
from trigger_table import write_report

from hf_strategies.errors import StrategyError, did_you_mean
from hf_strategies.schedules.plateau_cooldown import Cooldown

RESULTS = Path(__file__).resolve().parent / "results"
WARMUP = 0.25  # epochs, as in strategy_run.py
STARTS = (2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 17, 20, 24, 28, 32)
"""Evaluations, two an epoch, at which a cooldown branches off; at the last one too."""

TO_CHOOSE = tuple(name for name, task in TASKS.items() if task.role == "choose")

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
        said = self.model(**next(batches))
        said["loss"].backward()
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
            said = [self.model(**part) for part in parts]
            logits, labels = torch.cat([s["logits"] for s in said]), torch.cat([part["labels"] for part in parts])
            losses = [float(s["loss"]) * len(part["labels"]) for s, part in zip(said, parts, strict=True)]
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
        found: dict[str, Any] = {"evaluation": number, "step": held.step, **held.score("validation", "test")}
        if number in STARTS or number == 2 * args.epochs:
            state = torch.get_rng_state()
            found["cooled"] = _cooled(held.branch(), cooldown)
            torch.set_rng_state(state)
        yield found


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


def read_arguments() -> Namespace:
    """Read the command line."""
    parser = ArgumentParser(description="Try every start of the cooldown.")
    parser.add_argument("--tasks", nargs="+", default=list(TO_CHOOSE), help=f"of {', '.join(TASKS)}")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2], help="0 1 2")
    parser.add_argument("--layers", type=int, default=3, help="of MiniLM, from the first; it has 6 (3)")
    parser.add_argument("--epochs", type=int, default=10, help="at the full rate (10)")
    parser.add_argument("--cooldown", type=float, default=0.5, help="its length, a fraction of the steps done (0.5)")
    parser.add_argument("--results", type=Path, default=RESULTS / "triggers.jsonl", help="a line for each training")
    parser.add_argument("--table", action="store_true", help="write the table and the figure, run nothing")
    args = parser.parse_args()
    for task in args.tasks:
        if task not in TASKS:
            raise StrategyError(f"tasks={task!r} is unknown: {did_you_mean(task, TASKS)}")
    for name, most in (("layers", 6), ("epochs", 1000)):
        if not 1 <= getattr(args, name) <= most:
            raise StrategyError(f"{name}={getattr(args, name)}: give 1 to {most}")
    Cooldown.read(args.cooldown, "sqrt", 0.0)
    return args


def main() -> int:
    """Run; a user's mistake is one line and exit code 2."""
    try:
        args = read_arguments()
        if args.table:
            print(write_report(args.results))
        else:
            execute(args)
    except StrategyError as mistake:
        print(f"trigger_study.py: error: {mistake}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
