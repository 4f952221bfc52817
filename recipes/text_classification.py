"""Fine-tune an encoder to classify texts or pairs of texts.

    # nothing named: documentation sentences and a small BERT, no network
    accelerate launch recipes/text_classification.py --early_stopping_patience 3

    # your files, your model, a schedule by name
    accelerate launch recipes/text_classification.py --model_name_or_path bert-base-uncased \
        --train_file train.csv --validation_file dev.csv --test_file test.csv \
        --lr_scheduler_type exponential_warmup_cosine_decay --warmup_steps 0.1 \
        --num_train_epochs 20 --early_stopping_patience 3 --early_stopping_monitor accuracy

    # a data set of the Hub; flags from a file
    accelerate launch recipes/text_classification.py --dataset_name nyu-mll/glue --dataset_config_name mrpc
    accelerate launch recipes/text_classification.py --config recipes/configs/demo.yaml --seed 1

From the installed package: accelerate launch -m hf_strategies.recipes.text_classification ...
What is written to --output_dir: the model, all_results.json, predictions.jsonl, trainer_state.json, the model
card README.md and, with --figure, training.png.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from datasets import Dataset, DatasetDict
from transformers import AutoModelForSequenceClassification, DataCollatorWithPadding, Trainer

from hf_strategies.recipe.baselines import baseline_metrics
from hf_strategies.recipe.class_weights import balanced_weights, weighted_loss
from hf_strategies.recipe.classification_data import (
    ClassificationArguments,
    ClassificationData,
    choose_labels,
    encode,
    load_classification,
)
from hf_strategies.recipe.flow import read_flags
from hf_strategies.recipe.metrics import CLASSIFICATION_METRICS, classification_metrics
from hf_strategies.recipe.model import (
    label_names,
    load_config,
    load_model,
    longest_input,
    make_tokenizer,
    trained_labels,
)
from hf_strategies.recipe.parsing import run_command
from hf_strategies.recipe.prepare import prepare_run
from hf_strategies.recipe.recipe_trainer import make_trainer, padding_multiple
from hf_strategies.recipe.run import Results, predict_in_order, run_trainer, write_predictions


def main(argv: Sequence[str] | None = None) -> Trainer:
    """Run the recipe with the flags in ``argv``; return its Trainer."""
    flags = read_flags(ClassificationArguments, argv, __doc__ or "", list(CLASSIFICATION_METRICS))
    with flags.run.main_process_first():
        data = load_classification(flags.data)
    config = load_config(flags.model)
    labels = choose_labels(data, trained_labels(config))
    prepare_run(flags.run, data.splits, pretrained=config is not None)
    tokenizer = make_tokenizer(flags.model, data.texts, flags.run)
    with flags.run.main_process_first():
        encoded = encode(flags.data, data, tokenizer, labels, longest_input(flags.model, config, tokenizer))
    loss = None
    if flags.data.class_weights == "balanced" and "train" in encoded:
        weights = balanced_weights(encoded["train"]["labels"], len(labels))
        loss = weighted_loss(weights, flags.run.label_smoothing_factor)
    trainer = make_trainer(
        flags,
        load_model(AutoModelForSequenceClassification, flags.model, config, tokenizer, **label_names(labels)),
        tokenizer,
        encoded,
        collator=DataCollatorWithPadding(tokenizer, pad_to_multiple_of=padding_multiple(flags)),
        metrics=classification_metrics(),
        loss=loss,
    )

    def predict() -> Results:
        return predict_test_set(trainer, data, encoded, labels, baselines=flags.run.baselines)

    run_trainer(trainer, encoded, predict=predict, data=data.name, task="text-classification")
    return trainer


def predict_test_set(
    trainer: Trainer, data: ClassificationData, encoded: DatasetDict, labels: tuple[str, ...], *, baselines: bool
) -> Results:
    """Predict the test set; return the metrics of this model and, if asked for, of the baselines."""
    rows = data.splits["test"]
    outputs, metrics = predict_in_order(trainer, encoded["test"])
    write_predictions(trainer, named(rows, outputs, labels))
    if "label" not in rows.column_names:
        return {}
    results = {"this model": {name: metrics[f"test_{name}"] for name in CLASSIFICATION_METRICS}}
    if baselines and trainer.is_world_process_zero():
        results |= baseline_metrics(data.splits["train"], rows, labels)
    return results


def named(rows: Dataset, logits: np.ndarray, labels: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Yield each row with its likeliest label and that label's probability."""
    shifted = np.exp(logits - logits.max(axis=-1, keepdims=True))
    for row, probabilities in zip(rows, shifted / shifted.sum(axis=-1, keepdims=True), strict=True):
        best = int(probabilities.argmax())
        yield {**dict(row), "prediction": labels[best], "probability": float(probabilities[best])}


if __name__ == "__main__":
    run_command(main)
