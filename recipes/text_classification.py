r"""Fine-tune an encoder to classify texts or pairs of texts, or to score them.

    # nothing named: documentation sentences and a small BERT, no network
    accelerate launch recipes/text_classification.py \
        --early_stopping_patience 3

    # your files, your model, a schedule by name
    accelerate launch recipes/text_classification.py \
        --model_name_or_path bert-base-uncased --train_file train.csv \
        --validation_file dev.csv --test_file test.csv \
        --lr_scheduler_type exponential_warmup_cosine_decay --warmup_steps 0.1 \
        --num_train_epochs 20 --early_stopping_patience 3 \
        --early_stopping_monitor accuracy

    # labels that are numbers: regression; lists: several labels ("a|b" in a
    # table: see --problem_type)
    accelerate launch recipes/text_classification.py --train_file stsb.csv \
        --label_column score
    accelerate launch recipes/text_classification.py \
        --train_file intents.json --label_column intents

    # several columns of zeros and ones: several labels; several files; files
    # without a header
    accelerate launch recipes/text_classification.py \
        --train_file 'train-*.csv.gz' --label_column toxic insult threat
    accelerate launch recipes/text_classification.py --train_file sms.tsv \
        --column_names label text

    # a data set of the Hub; flags from a file
    accelerate launch recipes/text_classification.py \
        --dataset_name nyu-mll/glue --dataset_config_name mrpc
    accelerate launch recipes/text_classification.py \
        --config recipes/configs/averaged_weights.yaml --seed 1

From the installed package: accelerate launch -m
hf_strategies.recipes.text_classification ... What is written to --output_dir:
the model, all_results.json, predictions.jsonl, report.txt (and .json) with
precision, recall and F1 of each class, trainer_state.json, the model card
README.md and, with --figure, training.png.
"""

from collections.abc import Sequence

from datasets import DatasetDict
from transformers import AutoModelForSequenceClassification, DataCollatorWithPadding, Trainer

from hf_strategies.finetune.class_weights import balanced_loss, refuse_cross_entropy_flags
from hf_strategies.finetune.command_line import run_command
from hf_strategies.finetune.flags import check_metrics, read_flags
from hf_strategies.finetune.metrics import metric_names
from hf_strategies.finetune.model import label_names, load_config, load_model, trained_labels
from hf_strategies.finetune.predictions import (
    Results,
    compare_with_baselines,
    predict_in_order,
    with_truth,
    write_predictions,
)
from hf_strategies.finetune.preflight import check_schedule, prepare_run
from hf_strategies.finetune.run import run_trainer
from hf_strategies.finetune.text_classification.data import (
    ClassificationArguments,
    ClassificationData,
    choose_labels,
    encode,
    load_classification,
)
from hf_strategies.finetune.text_classification.labels import METRIC_TABLES, kind_of_model
from hf_strategies.finetune.text_classification.threshold import forget_threshold, threshold_of
from hf_strategies.finetune.tokenizer import longest_input, make_tokenizer
from hf_strategies.finetune.trainer import make_trainer, only_logits, padding_multiple


def main(argv: Sequence[str] | None = None) -> Trainer:
    """Run the recipe with the flags in ``argv``; return its Trainer."""
    flags = read_flags(ClassificationArguments, argv, __doc__ or "", metric_names(*METRIC_TABLES))
    trains = flags.run.do_train
    config = load_config(flags.model)
    with flags.run.main_process_first():
        data = load_classification(flags.data, None if trains else kind_of_model(config), seed=flags.run.seed)
    kind = data.kind
    check_metrics(flags, metric_names(kind.metrics))
    if not kind.is_one_of:
        refuse_cross_entropy_flags(flags.data, flags.run, kind.name)
    labels = choose_labels(data, trained_labels(config), fixed=not trains)
    prepare_run(flags.run, data.splits, pretrained=config is not None)
    check_schedule(flags.run, data.splits)
    tokenizer = make_tokenizer(flags.model, config, data.texts, flags.run)
    length = longest_input(flags.model, config, tokenizer)
    with flags.run.main_process_first():
        encoded = encode(flags.data, data, tokenizer, labels, length)
    options = {"problem_type": kind.name, **label_names(labels)}
    model = load_model(
        AutoModelForSequenceClassification, flags.model, config, tokenizer, fixed=not trains, **options
    )
    if trains:
        forget_threshold(model.config)
    trainer = make_trainer(
        flags,
        model,
        tokenizer,
        encoded,
        collator=DataCollatorWithPadding(tokenizer, pad_to_multiple_of=padding_multiple(flags, length)),
        metrics=kind.compute_metrics(model, trains=trains),
        reduce=only_logits,
        loss=balanced_loss(flags.data, flags.run, encoded["train"]["labels"], len(labels)) if trains else None,
    )
    run_trainer(
        trainer,
        encoded,
        predict=lambda: predict_test_set(trainer, data, encoded, labels),
        data=data.name,
        task="text-classification",
        pairs=any("text_pair" in rows.column_names for rows in data.splits.values()),
        after_training=kind.after_training,
        report=kind.report_of(labels),
    )
    return trainer


def predict_test_set(
    trainer: Trainer, data: ClassificationData, encoded: DatasetDict, labels: tuple[str, ...]
) -> Results:
    """Predict the test set; return the metrics of this model and, if asked for, of the baselines."""
    rows, kind = data.splits["test"], data.kind
    outputs, metrics = predict_in_order(trainer, encoded["test"])
    predictions = kind.describe(outputs, labels, threshold_of(trainer.model))
    write_predictions(trainer, data.given, with_truth(rows, "label", predictions))
    if "label" not in rows.column_names:
        return {}

    def baselines() -> Results:
        return kind.baseline_metrics(data.splits["train"], rows, labels)

    return compare_with_baselines(trainer, metrics, kind.metrics, baselines)


if __name__ == "__main__":
    run_command(main)
