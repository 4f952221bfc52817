"""Time the callbacks at evaluations whose log is long, and print as JSON what an evaluation and a training cost.

`__main__.py` starts this file as a program of its own, with PYTHONPATH set to the checkout that is measured. That may
be an older one, so only public names of the package are used here, and nothing of ``benchmarks``.

Nothing is trained: the program writes the log and calls the events by itself. The metric improves at every
evaluation, so that no callback stops training. With ``--whole`` the log is copied before each event, so that a
callback cannot recognise it and judges the whole of it. Seconds are those of the processor, which other work on the
machine moves less than those of the clock.
"""

import json
import tempfile
from argparse import ArgumentParser
from collections.abc import Callable
from copy import deepcopy
from statistics import median
from time import process_time
from typing import Any

import torch
from torch.optim.lr_scheduler import LambdaLR
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

import hf_strategies
from hf_strategies import EarlyStopping, PlateauCooldown, ReduceOnPlateau

CALLBACKS: dict[str, Callable[[], TrainerCallback]] = {
    "EarlyStopping": lambda: EarlyStopping("loss", patience=3, restore_best_weights=False),
    "ReduceOnPlateau": lambda: ReduceOnPlateau("loss", patience=3),
    "PlateauCooldown": lambda: PlateauCooldown("loss", patience=3, restore_best_weights=False),
}


class Training:
    """The events of a training that logs its loss at each step and evaluates every ``every`` steps."""

    def __init__(self, callback: TrainerCallback, folder: str, every: int, whole: bool) -> None:
        self.callback, self.every, self.whole, self.step = callback, every, whole, 0
        self.control = TrainerControl()
        self.state = TrainerState(max_steps=10**7, eval_steps=every, logging_steps=1)
        self.state.is_world_process_zero = True
        self.args = TrainingArguments(
            folder, max_steps=10**7, eval_strategy="steps", eval_steps=every, use_cpu=True, report_to="none"
        )
        model = torch.nn.Linear(2, 1)
        optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
        scheduler = LambdaLR(optimizer, lambda step: 1.0)
        self.kwargs = {"model": model, "optimizer": optimizer, "lr_scheduler": scheduler, "train_dataloader": None}
        callback.on_train_begin(self.args, self.state, self.control, **self.kwargs)

    def log(self, evaluations: int) -> None:
        """Go on by so many evaluations, without an event."""
        for _ in range(evaluations):
            for _ in range(self.every):
                self.step += 1
                self.state.log_history.append({"loss": 1.0, "step": self.step, "epoch": self.step / 1000})
            at = {"step": self.step, "epoch": self.step / 1000}
            self.state.log_history.append({"eval_loss": 1.0 + 1.0 / self.step, "eval_runtime": 1.0, **at})

    def evaluate(self) -> float:
        """Go on by an evaluation with its event; return the seconds that the event takes."""
        self.log(1)
        self.state.global_step, self.state.epoch = self.step, self.step / 1000
        if self.whole:
            self.state.log_history = deepcopy(self.state.log_history)
        start = process_time()
        self.callback.on_evaluate(
            self.args, self.state, self.control, metrics=self.state.log_history[-1], **self.kwargs
        )
        return process_time() - start


def evaluation_seconds(training: Training, length: int, repeats: int) -> float:
    """Return the seconds of an evaluation in a log of about ``length``; the first, which reads all, is left out."""
    training.log(length - repeats - 1)
    return median([training.evaluate() for _ in range(repeats + 1)][1:])


def training_seconds(training: Training, evaluations: int) -> float:
    """Return the seconds of all evaluations of a training.

    Judging the whole log each time costs as much as the log is long, so that every 50th evaluation stands for 50.
    """
    together = min(50, evaluations) if training.whole else 1
    seconds = 0.0
    for _ in range(evaluations // together):
        training.log(together - 1)
        seconds += together * training.evaluate()
    return seconds


def main() -> None:
    """Measure, and print which package was measured and the seconds."""
    parser = ArgumentParser(description="Time the callbacks once.")
    parser.add_argument("--lengths", type=int, nargs="+", required=True, help="numbers of evaluations in the log")
    parser.add_argument("--steps", type=int, required=True, help="logged steps of a training")
    parser.add_argument("--evaluations", type=int, required=True, help="of that training")
    parser.add_argument("--repeats", type=int, required=True, help="evaluations to time at each length")
    parser.add_argument("--whole", action="store_true", help="have the whole log judged each time")
    args = parser.parse_args()
    torch.set_num_threads(1)
    seconds: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory(prefix="judging-") as folder:
        for name, make in CALLBACKS.items():

            def training(every: int, make: Callable[[], TrainerCallback] = make) -> Training:
                return Training(make(), folder, every, args.whole)

            seconds[name] = {
                str(length): evaluation_seconds(training(1), length, args.repeats) for length in args.lengths
            }
            every = args.steps // args.evaluations
            seconds[name]["training"] = training_seconds(training(every), args.evaluations)
    result: dict[str, Any] = {"package": hf_strategies.__file__, "seconds": seconds}
    print(json.dumps(result))


if __name__ == "__main__":
    main()
