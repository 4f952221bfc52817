"""From a Trainer to results on disk: train, evaluate, predict, report."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

import numpy as np
from datasets import Dataset, DatasetDict
from transformers import PreTrainedModel, Trainer, TrainingArguments
from transformers.trainer_utils import SchedulerType

from hf_strategies.recipe.arguments import RecipeArguments
from hf_strategies.report.figure import draw_run
from hf_strategies.report.lr_finder_figure import draw_range_test
from hf_strategies.report.run import RunReport
from hf_strategies.report.tables import print_run
from hf_strategies.trainer.lr_finder import find_lr
from hf_strategies.trainer.model_card import add_to_card

__all__ = ["predict_in_order", "report_run", "save_predictions", "suggest_learning_rate", "train_and_evaluate"]


def train_and_evaluate(trainer: Trainer, encoded: DatasetDict) -> None:
    """Train, save the model, evaluate it on the validation set; ``all_results.json`` gets the metrics."""
    args = cast(RecipeArguments, trainer.args)
    if args.do_train:
        metrics = trainer.train(resume_from_checkpoint=args.resume_from_checkpoint).metrics
        trainer.save_model()
        trainer.save_metrics("train", metrics | {"train_samples": len(encoded["train"])})
        trainer.save_state()
    if args.do_eval and "validation" in encoded:
        metrics = trainer.evaluate(encoded["validation"])
        trainer.save_metrics("eval", metrics | {"eval_samples": len(encoded["validation"])})


def suggest_learning_rate(trainer: Trainer) -> None:
    """Run the range test and say what it suggests; the figure goes into the output folder, if asked for."""
    result = find_lr(trainer)
    if not trainer.is_world_process_zero():
        return
    print(result)
    args = cast(RecipeArguments, trainer.args)
    if args.figure:
        folder = Path(args.output_dir or ".")
        folder.mkdir(parents=True, exist_ok=True)
        draw_range_test(result, folder / "lr_finder.png")


def predict_in_order(trainer: Trainer, rows: Dataset) -> tuple[np.ndarray, dict[str, float]]:
    """Return the model's outputs for ``rows``, in their order, and the metrics (``test_...``).

    The rows go through the model sorted by length, to be padded little.
    """
    lengths = [len(ids) for ids in rows["input_ids"]]
    order = np.argsort(lengths, kind="stable")[::-1]
    with _no_grouping(trainer.args):
        output = trainer.predict(rows.select(order.tolist()))
    metrics = dict(output.metrics or {})
    trainer.save_metrics("test", metrics | {"test_samples": len(rows)})
    outputs = np.empty_like(output.predictions)
    outputs[order] = output.predictions
    return outputs, metrics


@contextmanager
def _no_grouping(args: TrainingArguments) -> Iterator[None]:
    # With group_by_length the Trainer shuffles what it evaluates too, and the predictions come back shuffled.
    strategy, args.train_sampling_strategy = args.train_sampling_strategy, "sequential"
    try:
        yield
    finally:
        args.train_sampling_strategy = strategy


def save_predictions(trainer: Trainer, rows: Dataset, outputs: np.ndarray, labels: Sequence[str]) -> None:
    """Write ``predictions.jsonl``: text, text_pair, label, the predicted label, its probability."""
    if not trainer.is_world_process_zero():
        return
    shifted = np.exp(outputs - outputs.max(axis=-1, keepdims=True))
    probabilities = shifted / shifted.sum(axis=-1, keepdims=True)
    with Path(trainer.args.output_dir or ".", "predictions.jsonl").open("w", encoding="utf-8") as file:
        for row, probability in zip(rows, probabilities, strict=True):
            best = int(probability.argmax())
            said = {**cast(dict[str, Any], row), "prediction": labels[best], "probability": float(probability[best])}
            file.write(json.dumps(said, ensure_ascii=False) + "\n")


def report_run(trainer: Trainer, test: Mapping[str, Mapping[str, float]], data: str) -> None:
    """Print how the run went, draw it if asked to, and write the model card; in the main process only."""
    if not trainer.is_world_process_zero():
        return
    args = cast(RecipeArguments, trainer.args)
    report = RunReport.of_state(asdict(trainer.state))
    print_run(report, test)
    if args.figure and report.trained:
        draw_run(report, Path(args.output_dir or ".") / "training.png", title=_schedule(args))
    write_card(trainer, report, test, data)


def _schedule(args: RecipeArguments) -> str:
    name = SchedulerType(args.lr_scheduler_type).value
    return f"{name}, peak {args.learning_rate:g}, warmup_steps={args.warmup_steps:g}"


def write_card(trainer: Trainer, report: RunReport, test: Mapping[str, Mapping[str, float]], data: str) -> None:
    """Write the Trainer's model card with a section on the strategy: schedule, end, test metrics."""
    args = cast(RecipeArguments, trainer.args)
    config = cast(PreTrainedModel, trainer.model).config
    if not config.name_or_path:
        config.name_or_path = str(args.output_dir)  # a model from no other: else the card would link to nothing
    trainer.create_model_card(dataset=data, tasks="text-classification", tags=["hf-strategies"])
    card = Path(args.output_dir or ".", "README.md")
    lines = []
    # A callback that has ended training has put its reason there.
    if f"end of training: {report.ending}" not in card.read_text(encoding="utf-8"):
        lines.append(f"end of training: {report.ending}")
    if report.trained:
        lines.append(f"learning rate: {_schedule(args)}, {args.lr_scheduler_kwargs or 'default parameters'}")
    for name, values in test.items():
        lines.append(f"test set, {name}: " + ", ".join(f"{key} {value:.4f}" for key, value in values.items()))
    add_to_card(card, lines)
