"""One run of the benchmark of strategies: a task, a seed, a strategy, a peak learning rate -> a record."""

import tempfile
import time
from typing import Any, cast

import torch
from transformers import PrinterCallback, Trainer, TrainerCallback, TrainingArguments
from transformers.utils import logging

from benchmarks.strategies.models import BATCH, LikeLengths, Prepared, collate, prepare
from benchmarks.strategies.results import Key, Record
from benchmarks.strategies.strategies import STRATEGIES, Strategy
from benchmarks.strategies.tasks import METRICS
from hf_strategies import BestWeights

WARMUP = 0.25  # epochs


class BestKept(TrainerCallback):
    """Keep the weights of the best evaluation, to be measured beside the last ones."""

    def __init__(self, model: Any, metric: str) -> None:
        self.weights, self.metric, self.best = BestWeights(model), metric, float("-inf")

    def on_evaluate(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Keep them when the metric is higher than ever."""
        if kwargs["metrics"][self.metric] > self.best:
            self.best = kwargs["metrics"][self.metric]
            self.weights.keep()


class LikeLengthsTrainer(Trainer):
    """The stock Trainer over batches of like length."""

    def _get_train_sampler(self, train_dataset: Any = None) -> LikeLengths:
        rows: Any = self.train_dataset
        return LikeLengths(rows, self.args.seed)


def run(key: Key) -> Record:
    """Train once and measure."""
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    torch.set_num_threads(1)
    prepared, strategy = prepare(key.task, key.seed, key.layers, key.scale), STRATEGIES[key.strategy]
    with tempfile.TemporaryDirectory(prefix="strategies-") as folder:
        started = time.process_time()
        trainer, best = make_trainer(prepared, strategy, key, folder)
        trainer.train()
        seconds = time.process_time() - started
        validation, test = measure(trainer, prepared)
        best_validation, best_test = None, None
        if best is not None:
            best.weights.restore()
            best_validation, best_test = measure(trainer, prepared)
    return Record(
        key,
        steps=trainer.state.global_step,
        best_step=best_step(trainer.state.log_history, f"eval_{prepared.task.metric}"),
        validation=validation,
        test=test,
        validation_best=best_validation,
        test_best=best_test,
        seconds=seconds,
    )


def make_trainer(prepared: Prepared, strategy: Strategy, key: Key, folder: str) -> tuple[Trainer, BestKept | None]:
    """Make the Trainer, the same for all strategies but for what the strategy asks."""
    task, plan = prepared.task, strategy.plan(prepared.task.metric)
    model = prepared.model(key.seed)
    every = max(1, prepared.steps_per_epoch // 2)
    options: dict[str, Any] = {
        "output_dir": folder,
        "learning_rate": key.lr,
        "num_train_epochs": strategy.epochs,
        "warmup_steps": max(1, round(WARMUP * prepared.steps_per_epoch)),
        "per_device_train_batch_size": BATCH,
        "per_device_eval_batch_size": 2 * BATCH,
        "eval_strategy": "steps",
        "eval_steps": every,
        "save_strategy": "no",
        "save_steps": every,
        "logging_strategy": "no",
        "weight_decay": 0.0,
        "seed": key.seed,
        "dataloader_pin_memory": False,
        "remove_unused_columns": False,
        "report_to": "none",
        "disable_tqdm": True,
    }

    def score(prediction: Any) -> dict[str, float]:
        return {task.metric: METRICS[task.metric](prediction.predictions, prediction.label_ids)}

    trainer = LikeLengthsTrainer(
        model=model,
        args=TrainingArguments(**(options | plan.options)),
        train_dataset=prepared.splits["train"],
        eval_dataset=prepared.splits["validation"],
        data_collator=collate,
        compute_metrics=score,
        callbacks=plan.callbacks,
    )
    trainer.remove_callback(PrinterCallback)
    best = BestKept(model, f"eval_{task.metric}") if strategy.is_swept else None
    if best is not None:
        trainer.add_callback(best)
    return trainer, best


def measure(trainer: Trainer, prepared: Prepared) -> tuple[float, float]:
    """Return the metric, in points, on the validation and on the test set."""
    name, splits = prepared.task.metric, cast(dict[str, Any], prepared.splits)
    for callback in list(trainer.callback_handler.callbacks):
        trainer.remove_callback(type(callback))  # none has a say in what is measured afterwards
    values = [
        trainer.evaluate(splits[split], metric_key_prefix=split)[f"{split}_{name}"]
        for split in ("validation", "test")
    ]
    return 100 * values[0], 100 * values[1]


def best_step(log: list[dict[str, float]], metric: str) -> int:
    """Return the first step at which an evaluation gave the highest value of ``metric``."""
    evaluations = [entry for entry in log if metric in entry]
    return int(max(evaluations, key=lambda entry: entry[metric])["step"])
