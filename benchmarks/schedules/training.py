"""Train a linear model with each callback in turn, and print as JSON what an optimizer step costs.

`processes.py` starts this file as a program of its own, with PYTHONPATH set to the checkout that is measured. That
may be an older one, so only public names of the package are used here, and nothing of ``benchmarks``.

The metric improves at every evaluation and then stays the same for three, the last of them at ``--steps``: there
EarlyStopping stops and PlateauCooldown starts its cooldown, which takes half as many steps again.
"""

import json
import tempfile
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from itertools import count
from statistics import median
from time import perf_counter, process_time
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PrinterCallback, Trainer, TrainerCallback, TrainingArguments

import hf_strategies
from hf_strategies import EarlyStopping, PlateauCooldown, ReduceOnPlateau

PATIENCE = 3
ROWS, BATCH = 4096, 8

CALLBACKS: dict[str, Callable[[], TrainerCallback | None]] = {
    "no callback": lambda: None,
    "empty callback": TrainerCallback,
    "EarlyStopping": lambda: EarlyStopping("score", patience=PATIENCE, mode="max"),
    "ReduceOnPlateau": lambda: ReduceOnPlateau("score", patience=PATIENCE, mode="max"),
    "PlateauCooldown": lambda: PlateauCooldown("score", patience=PATIENCE, mode="max"),
}
"""The empty callback shows what the measuring itself costs, and the Trainer's calls."""

EVENTS = [name for name in dir(TrainerCallback) if name.startswith("on_")]
STEP_EVENTS = {"on_step_begin", "on_substep_end", "on_pre_optimizer_step", "on_optimizer_step", "on_step_end"}


class Stopwatch(TrainerCallback):
    """The first callback of a training: it notes when each step begins, and times the events of another callback.

    Index n of each list belongs to step n, counted from 1; index 0 is the time before the first step. An evaluation
    belongs to the step that it follows.
    """

    def __init__(self, callback: TrainerCallback | None = None) -> None:
        self.began = [process_time()]
        self.step_events, self.other_events = [0.0], [0.0]  # seconds
        for event in EVENTS if callback else ():
            seconds = self.step_events if event in STEP_EVENTS else self.other_events
            setattr(callback, event, timed(getattr(callback, event), seconds))

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Begin a step."""
        self.step_events.append(0.0)
        self.other_events.append(0.0)
        self.began.append(process_time())

    def costs(self, first: int, end: int, every: int) -> dict[str, float]:
        """Return microseconds of a step and of an evaluation, over the steps from ``first`` up to ``end`` exclusive.

        The events are medians, which other work on the machine hardly moves. Of the training it is the mean of the
        processor's time, so that everything is in it that takes time only now and then.
        """
        evaluated = [step for step in range(first, end) if step % every == 0]
        return {
            "step events": 1e6 * median(self.step_events[first:end]),
            "evaluation events": 1e6 * median(self.other_events[step] for step in evaluated),
            "training": 1e6 * (self.began[end] - self.began[first]) / (end - first),
        }


def timed(method: Callable[..., Any], seconds: list[float]) -> Callable[..., Any]:
    """Return a function that calls ``method`` and adds the seconds to the last element of ``seconds``."""

    def call(*args: Any, **kwargs: Any) -> Any:
        start = perf_counter()
        result = method(*args, **kwargs)
        seconds[-1] += perf_counter() - start
        return result

    return call


class Linear(nn.Module):
    """A linear model with a squared loss."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(8, 1)

    def forward(self, x: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """Return loss and predictions."""
        predicted = self.linear(x).squeeze(-1)
        return {"loss": (predicted - labels).square().mean(), "logits": predicted}


def train(callback: TrainerCallback | None, steps: int, every: int) -> Stopwatch:
    """Train until the metric has stalled at ``steps``; PlateauCooldown goes on to the end of its cooldown."""
    watch = Stopwatch(callback)
    rows: Any = [{"x": x, "labels": x.sum()} for x in torch.randn(ROWS, 8)]
    scores = (min(number, steps // every - PATIENCE) for number in count(1))
    with tempfile.TemporaryDirectory(prefix="callbacks-") as folder:
        trainer = Trainer(
            model=Linear(),
            args=training_arguments(folder, 2 * steps if isinstance(callback, PlateauCooldown) else steps, every),
            train_dataset=rows,
            eval_dataset=rows[:BATCH],
            compute_metrics=lambda _: {"score": float(next(scores))},
            callbacks=[watch] if callback is None else [watch, callback],
        )
        trainer.remove_callback(PrinterCallback)
        trainer.train()
    return watch


def training_arguments(folder: str, max_steps: int, every: int) -> TrainingArguments:
    """Return the settings that all trainings share."""
    return TrainingArguments(
        output_dir=folder,
        max_steps=max_steps,
        per_device_train_batch_size=BATCH,
        learning_rate=1e-3,
        lr_scheduler_type="constant_with_warmup",
        warmup_steps=every // 2,
        eval_strategy="steps",
        eval_steps=every,
        logging_strategy="no",
        save_strategy="no",
        use_cpu=True,
        disable_tqdm=True,
        report_to="none",
    )


def measure(steps: int, every: int) -> dict[str, dict[str, float]]:
    """Return the costs of each callback while the learning rate is held, and of PlateauCooldown in its cooldown."""
    train(None, PATIENCE + 1, 1)  # fills caches
    costs = {}
    for name, make in CALLBACKS.items():
        watch = train(make(), steps, every)
        held = watch.costs(every // 2 + 1, steps, every)
        if name == "PlateauCooldown":
            costs[f"{name}, held"] = held
            costs[f"{name}, cooldown"] = watch.costs(steps + 1, len(watch.began) - 1, every)
        else:
            costs[name] = held
    return costs


def read_arguments() -> Namespace:
    """Read the command line, which `__main__.py` has checked."""
    parser = ArgumentParser(description="Measure the callbacks once.")
    parser.add_argument("--steps", type=int, required=True, help="steps until the metric has stalled")
    parser.add_argument("--every", type=int, required=True, help="steps between two evaluations")
    return parser.parse_args()


def main() -> None:
    """Measure, and print which package was measured and the costs."""
    args = read_arguments()
    torch.manual_seed(0)
    torch.set_num_threads(1)
    print(json.dumps({"package": hf_strategies.__file__, "costs": measure(args.steps, args.every)}))


if __name__ == "__main__":
    main()
