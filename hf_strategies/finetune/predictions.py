"""Predictions of the test set: in the order of its file, with the user's columns, and compared with baselines."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
from datasets import Dataset
from transformers import Trainer

from hf_strategies.files import json_line, replacing
from hf_strategies.finetune.arguments import RecipeArguments
from hf_strategies.finetune.given_columns import GivenRows
from hf_strategies.finetune.sampling import longest_first

__all__ = ["Results", "compare_with_baselines", "predict_in_order", "with_truth", "write_predictions"]

Results = Mapping[str, Mapping[str, float]]
"""Test metrics by the name of what was measured: this model, or a baseline."""


def predict_in_order(trainer: Trainer, rows: Dataset) -> tuple[Any, dict[str, float]]:
    """Return the model's outputs for ``rows``, in their order, and the metrics (``test_...``), which are saved.

    The rows are predicted in the order of their length, to be padded little. Outputs that are a tuple stay a tuple.
    """
    ordered, order = longest_first(rows)
    output = trainer.predict(ordered)
    metrics = dict(output.metrics or {})
    trainer.save_metrics("test", metrics | {"test_samples": len(rows)})
    back = np.argsort(order)
    outputs: Any = output.predictions
    return (tuple(part[back] for part in outputs) if isinstance(outputs, tuple) else outputs[back]), metrics


def with_truth(rows: Dataset, name: str, predictions: Iterable[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield each prediction after the entry ``name`` of its row, where the rows have one."""
    truth: Any = rows[name][:] if name in rows.column_names else None
    for place, prediction in enumerate(predictions):
        yield {**({} if truth is None else {name: truth[place]}), **prediction}


def write_predictions(trainer: Trainer, given: GivenRows | None, made: Iterable[Mapping[str, Any]]) -> None:
    """Write ``predictions.jsonl`` in the main process: each ``given`` row with what the recipe has made of it."""
    if given is None or not trainer.is_world_process_zero():
        return
    file = Path(trainer.args.output_dir or ".", "predictions.jsonl")
    with replacing(file) as temporary, temporary.open("w", encoding="utf-8") as lines:
        lines.writelines(json_line(row) + "\n" for row in given.lines(made))


def compare_with_baselines(
    trainer: Trainer, metrics: Mapping[str, float], names: Iterable[str], baselines: Callable[[], Results]
) -> Results:
    """Return the metrics ``names`` of this model and, with ``--baselines``, those that ``baselines()`` returns.

    ``metrics`` are those of `predict_in_order`. The baselines are measured in the main process only.
    """
    results: dict[str, Mapping[str, float]] = {"this model": {name: metrics[f"test_{name}"] for name in names}}
    if cast(RecipeArguments, trainer.args).baselines and trainer.is_world_process_zero():
        results |= baselines()
    return results
