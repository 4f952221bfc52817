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

from collections.abc import Sequence
from typing import cast

from datasets import DatasetDict
from transformers import DataCollatorWithPadding, Trainer, set_seed

from hf_strategies import StrategyArguments
from hf_strategies.recipe.arguments import ModelArguments, RecipeArguments
from hf_strategies.recipe.baselines import baseline_metrics
from hf_strategies.recipe.classification_data import (
    ClassificationArguments,
    ClassificationData,
    choose_labels,
    encode,
    load_classification,
)
from hf_strategies.recipe.flag_checks import check_flags
from hf_strategies.recipe.metrics import CLASSIFICATION_METRICS, classification_metrics
from hf_strategies.recipe.model import classifier, load_config, longest_input, make_tokenizer, trained_labels
from hf_strategies.recipe.parsing import parse, run_command
from hf_strategies.recipe.prepare import check_strategy, prepare_run
from hf_strategies.recipe.run import (
    predict_in_order,
    report_run,
    save_predictions,
    suggest_learning_rate,
    train_and_evaluate,
)


def main(argv: Sequence[str] | None = None) -> Trainer:
    """Run the recipe with the flags in ``argv``; return its Trainer."""
    kinds = (ClassificationArguments, ModelArguments, StrategyArguments, RecipeArguments)
    data_args, model_args, strategy, args = parse(kinds, argv, description=__doc__)
    metric_names = ["loss", *CLASSIFICATION_METRICS]
    check_flags(args, model_args, metric_names)
    check_strategy(args, strategy, metric_names)
    with args.main_process_first():
        data = load_classification(data_args)
    config = load_config(model_args)
    args.set_learning_rate(pretrained=config is not None)
    labels = choose_labels(data, trained_labels(config))
    prepare_run(args, data.splits)

    set_seed(args.seed)
    tokenizer = make_tokenizer(model_args, data.texts, args)
    encoded = encode(data, tokenizer, labels, longest_input(model_args, config, tokenizer))
    trainer = Trainer(
        model=classifier(model_args, config, tokenizer, labels),
        args=args,
        data_collator=DataCollatorWithPadding(
            tokenizer, pad_to_multiple_of=8 if args.device.type == "cuda" else None
        ),
        train_dataset=encoded.get("train"),
        eval_dataset=encoded.get("validation"),
        processing_class=tokenizer,
        compute_metrics=classification_metrics(),
        callbacks=strategy.callbacks(),
        optimizer_cls_and_kwargs=strategy.optimizer_cls_and_kwargs(args),
    )
    if args.find_lr:
        suggest_learning_rate(trainer)
        return trainer
    train_and_evaluate(trainer, encoded)
    report_run(trainer, compare_on_test_set(trainer, data, encoded, labels), data.name)
    return trainer


def compare_on_test_set(
    trainer: Trainer, data: ClassificationData, encoded: DatasetDict, labels: tuple[str, ...]
) -> dict[str, dict[str, float]]:
    """Predict the test set, if there is one; return the metrics of this model and, if asked for, of the baselines."""
    args = cast(RecipeArguments, trainer.args)
    if not args.do_predict or "test" not in encoded:
        return {}
    outputs, metrics = predict_in_order(trainer, encoded["test"])
    save_predictions(trainer, data.splits["test"], outputs, labels)
    if "label" not in data.splits["test"].column_names:
        return {}
    results = {"this model": {name: metrics[f"test_{name}"] for name in CLASSIFICATION_METRICS}}
    if args.baselines and args.process_index == 0:
        results |= baseline_metrics(data.splits["train"], data.splits["test"], labels)
    return results


if __name__ == "__main__":
    run_command(main)
